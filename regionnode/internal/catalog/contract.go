package catalog

import (
	"context"
	"errors"

	"antipode/regionnode"
	"antipode/regionnode/internal/ring"
	"antipode/regionnode/table"
)

// KV is the system partition as the catalog uses it. Errors: ErrConflict,
// *regionnode.NotLeader (a definite "not applied"); any other error of Apply has
// an unknown outcome.
type KV interface {
	// Apply makes all changes or none.
	Apply(ctx context.Context, changes []Change) error
	// Get and Scan (in key order) read the leader's confirmed state (I9).
	Get(ctx context.Context, key []byte) ([]byte, bool, error)
	Scan(ctx context.Context, prefix []byte) ([]Pair, error)
	// Changed has something to receive after the state, or this node's part in
	// it, may have changed; bursts fold into one.
	Changed() <-chan struct{}
	// Leads tells whether this node believes to lead the partition, and since
	// which term. It is a hint: Apply, Get and Scan find out.
	Leads() (term uint64, ok bool)
}

// Change sets (or, with a nil Value, deletes) one key whose value is still Old;
// a nil Old means that the key must be absent.
type Change struct {
	Key   []byte
	Value []byte
	Old   []byte
}

// Pair is one key and its value.
type Pair struct {
	Key   []byte
	Value []byte
}

// ErrConflict refuses a change because a key was not as the change expected.
// Nothing was applied.
var ErrConflict = errors.New("catalog: state has changed")

// Registry is everything that nodes, functions and tools ask of a region's
// catalog. Catalog answers where the leader is, Client everywhere.
type Registry interface {
	regionnode.Tables

	// TableByID is DescribeTable by id; ids of global indexes find their table.
	TableByID(ctx context.Context, id table.ID) (*table.Descriptor, error)
	// Descriptors are all tables, in order of name.
	Descriptors(ctx context.Context) ([]*table.Descriptor, error)

	// RegisterNode records that a node runs at an address and answers with its
	// row: with the id and Name of a row it updates address and zone and counts
	// Epoch up. ID 0 asks for an id on behalf of a new disk; a bootstrap node names
	// its own (BootstrapNode). A Name whose id may have voted is refused to a new
	// disk, and a removed node to come back.
	RegisterNode(ctx context.Context, n Node) (Node, error)
	// DrainNode sets whether the node shall get no new replicas and lose those
	// that it has.
	DrainNode(ctx context.Context, id table.NodeID, draining bool) error
	// Nodes are in order of id, without removed ones.
	Nodes(ctx context.Context) ([]Node, error)
	NodeRegistry

	// SetPeer adds or changes a peer region; RemovePeer forgets one that no table
	// uses. Peers are in order of region.
	SetPeer(ctx context.Context, p Peer) error
	RemovePeer(ctx context.Context, region string) error
	Peers(ctx context.Context) ([]Peer, error)

	// PutAccessKey adds or replaces a key, DeleteAccessKey removes one.
	// AccessKeys are in order of id.
	PutAccessKey(ctx context.Context, k AccessKey) error
	DeleteAccessKey(ctx context.Context, id string) error
	AccessKeys(ctx context.Context) ([]AccessKey, error)

	// Jobs are the running jobs, oldest first.
	Jobs(ctx context.Context) ([]Job, error)
}

// Node is a member of the region.
type Node struct {
	ID   table.NodeID `msgpack:"i"`
	Name string       `msgpack:"n"` // chosen by the node, kept on its disk
	Addr string       `msgpack:"a"` // host:port of its rpc listener
	Zone string       `msgpack:"z,omitempty"`
	// Epoch counts the node's starts, from 1.
	Epoch    uint64 `msgpack:"e"`
	Draining bool   `msgpack:"d,omitempty"`
	// Leaving is set once the node shall be removed, Removed once it is: then the
	// row stays only so that the id is never used again.
	Leaving bool `msgpack:"l,omitempty"`
	Removed bool `msgpack:"x,omitempty"`
}

// Peer is another region: configuration, never learned from gossip.
type Peer struct {
	Region string   `msgpack:"r"`
	Addrs  []string `msgpack:"a"` // rpc addresses of some of its nodes
}

// AccessKey lets a client sign requests.
type AccessKey struct {
	ID      string `msgpack:"i"`
	Secret  string `msgpack:"s"`
	Account string `msgpack:"a"` // 12 digits
}

// Job is work that outlives a leader: a state machine whose state is Data.
type Job struct {
	ID    uint64   `msgpack:"i"`
	Kind  string   `msgpack:"k"`
	Table table.ID `msgpack:"t"`
	// Generation counts the job's changes; a change names the one it is based on.
	Generation uint64 `msgpack:"g"`
	Data       []byte `msgpack:"d"` // the owner's msgpack
}

// firstCounter is the first counter that the catalog gives out; those below are
// for what exists before the catalog does. On disk: never change.
const firstCounter = 1024

// SystemPartition is the id of the region's system partition, known before there
// is a catalog to ask. Its table and its log generation have the same number.
func SystemPartition(region string) table.PartitionID {
	return table.PartitionID(ring.ID(ring.Tag(region), 1))
}

// MaxBootstrap bounds the nodes that may start a region together.
const MaxBootstrap = 512

// IsBootstrapNode tells whether an id is one of BootstrapNode's, which the
// catalog never gives out.
func IsBootstrapNode(id table.NodeID) bool { return ring.CounterOf(uint64(id)) < firstCounter }

// BootstrapNode is the id of the i-th (from 0, below MaxBootstrap) of the nodes
// that start a region together, in an order that all of them agree on.
func BootstrapNode(region string, i int) table.NodeID {
	return table.NodeID(ring.ID(ring.Tag(region), uint64(16+i)))
}
