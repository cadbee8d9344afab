// Package partiql is DynamoDB's dialect of PartiQL: it parses a statement, binds
// it to its parameters and, given a table, turns it into what the other
// operations are made of: key bounds, conditions, updates and projections. It
// reads and writes nothing itself, and knows neither requests nor answers.
package partiql
