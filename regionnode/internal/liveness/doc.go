// Package liveness knows, pair by pair, which nodes of a region answer one
// another. Each node sends each node that it shares a partition with a small
// message, a Beat, and says in it whom it hears. A node that hears another, and
// is heard by it, supports it: a promise, for a while, not to help to replace
// what that node leads. Support given stands on the giver's clock, a lease taken
// from it on the taker's, and no clock is ever compared with another's.
//
// A Monitor is a state machine without goroutines: its caller brings the clock,
// the transport and the pace. It knows no raft and no partition.
package liveness
