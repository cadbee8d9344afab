// Package store is a node's one Pebble: how it is opened and sized, reads,
// unsynced batches of applied state, the raft logs of all partitions, and the
// append loop that makes what they append durable with one sync for many of
// them. Log entries and applied state are opaque here; it knows no raft, no
// items, and no partition beyond its id.
package store
