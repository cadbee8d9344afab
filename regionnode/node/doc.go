// Package node assembles one storage node: a store, the partitions in it, the
// region's catalog, gossip, rpc, and the links to other regions. It is the one
// package that knows nearly all others of the region, and it decides nothing
// that they could: it wires, starts and stops. It knows no HTTP API and no
// request of a client.
package node
