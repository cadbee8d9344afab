// Package item is the data that tables hold: attribute values, DynamoDB's
// 38-digit numbers, items, their order, equality and size, their DynamoDB JSON
// and their compact binary form. It knows no table, no key schema, no
// expression and no storage.
package item
