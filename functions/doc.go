// Package functions is the edge: one http.Handler that speaks DynamoDB's HTTP
// API and turns each request into calls of a region's regionnode.Service. It is
// stateless, so that the same handler serves as an HTTP server, as a Lambda
// function behind a function URL, or many times over behind a balancer.
//
// Each operation has a file of its own, named after it; operations.go lists
// them all. What a request must satisfy without looking at its table is checked
// first (package wire for the API model, then the operation's own rules), then
// what depends on the table's descriptor, and the rest on the partition's
// leader: the order in which DynamoDB answers.
//
// The package knows no storage, no raft, no membership and no replication; it
// reaches partitions only through Backend.
package functions
