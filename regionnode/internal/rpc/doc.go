// Package rpc carries calls and one-way messages between antipode's processes:
// what functions ask of nodes, what nodes and regions say to one another. To it
// a payload is opaque bytes; the typed layer (Handle, Call) puts msgpack into
// them, and the stubs of regionnode.Service are the only ones it brings along.
// It knows no raft, no partition map and no retry: it says precisely whether a
// failed call may have run, and leaves what follows from that to its caller.
package rpc
