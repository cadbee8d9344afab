package controller

import (
	"context"

	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/table"
	"antipode/replication"
)

// Host is one node as controllers use it: what package node implements, and what
// Nodes answers with for a node elsewhere. Every call is idempotent. Calls that
// only a partition's leader can serve answer *regionnode.NotLeader elsewhere.
type Host interface {
	// CreatePartition makes this node hold a replica: of a new partition, on all
	// of Spec.Replicas at once. It returns when the replica is durable and started.
	CreatePartition(ctx context.Context, s *Spec) error
	// DestroyPartition stops the replica and deletes its data and raft state; it
	// succeeds when there is none.
	DestroyPartition(ctx context.Context, id table.PartitionID) error
	// SetDescriptor (leader) hands the partition its table's descriptor through
	// its log; one with a lower Generation than it holds is ignored.
	SetDescriptor(ctx context.Context, r *DescriptorRequest) error
	// OpenLink (leader) makes the partition's log keep everything for a region
	// from a position on, and ship it there. A link that is open stays as it is.
	OpenLink(ctx context.Context, r *LinkRequest) (*Progress, error)
	// CloseLink (leader) ends shipping to a region and forgets the position.
	CloseLink(ctx context.Context, r *LinkRequest) error
	// LinkProgress (leader) tells how far the region has acknowledged.
	LinkProgress(ctx context.Context, r *LinkRequest) (*Progress, error)
	// Backfill (leader) reads a page of the partition's versions (tombstones and
	// contexts included) and has it applied durably in another region's replica of
	// the table before it answers.
	Backfill(ctx context.Context, r *BackfillRequest) (*BackfillResponse, error)
	// SplitPartition (leader) cuts the partition in two and answers when that is
	// done, which may take long, or that it is not. Once done it stays done.
	SplitPartition(ctx context.Context, r *SplitRequest) (*SplitOutcome, error)
	// CancelSplit (leader) sees to it that no SplitPartition with this request,
	// made before or still to come, is done; unless one is, which it says.
	CancelSplit(ctx context.Context, r *SplitRequest) (*SplitOutcome, error)
	Mover
}

// Nodes finds a node of this region: the Host itself for the node at hand, a
// client of rpc for any other.
type Nodes interface {
	Host(n catalog.Node) Host
}

// Spec is all that a node needs to start a replica of a new partition.
type Spec struct {
	Partition table.PartitionID `msgpack:"p"`
	// Table is the id in the partition's keys: the table's, or a global index's.
	Table table.ID `msgpack:"t"`
	// Index is the global index whose entries the partition holds, "" for items.
	Index string `msgpack:"i,omitempty"`
	// Start and End bound the hashes: [Start, End), End 0 for the end of the space.
	Start uint64 `msgpack:"s"`
	End   uint64 `msgpack:"e"`
	// Generation names the partition's first log generation.
	Generation replication.Generation `msgpack:"g"`
	// Incarnation names this life of the table in this region: its id.
	Incarnation uint64 `msgpack:"in"`
	// Replicas hold the partition; the first campaigns.
	Replicas []table.NodeID `msgpack:"r"`
	// Descriptor is the table's (for an index: the base table's).
	Descriptor *table.Descriptor `msgpack:"d"`
	Log        LogConfig         `msgpack:"l"`
}

// LogConfig is what a partition records besides its items; state of the
// partition, part of every descriptor that it gets.
type LogConfig struct {
	// Changes switches the change log on.
	Changes bool `msgpack:"c,omitempty"`
	// OldImages puts the replaced image into each record.
	OldImages bool `msgpack:"o,omitempty"`
	// Tombstones keeps deleted keys' versions (I6).
	Tombstones bool `msgpack:"t,omitempty"`
}

// LogOf is the configuration that a table asks of its item partitions.
func LogOf(d *table.Descriptor) LogConfig {
	stream := d.Stream != nil && d.Stream.Enabled
	global := d.Global != nil
	return LogConfig{
		Changes:    stream || global || len(d.Globals) > 0,
		OldImages:  stream || len(d.Globals) > 0,
		Tombstones: global,
	}
}

// DescriptorRequest is a SetDescriptor.
type DescriptorRequest struct {
	Partition  table.PartitionID `msgpack:"p"`
	Descriptor *table.Descriptor `msgpack:"d"`
	Log        LogConfig         `msgpack:"l"`
}

// LinkRequest names one partition's link to another region.
type LinkRequest struct {
	Partition table.PartitionID `msgpack:"p"`
	To        string            `msgpack:"t"`
	// FromStart opens the link at the log's beginning, otherwise at its end.
	FromStart bool `msgpack:"f,omitempty"`
}

// Progress is how far a link is.
type Progress struct {
	Partition table.PartitionID `msgpack:"p"`
	// Start is where the link began; fixed when it was opened.
	Start replication.Position `msgpack:"s"`
	// End is the newest record of the log at the time of the answer, Acked the
	// newest that the other region has durably (I7).
	End   replication.Position `msgpack:"e"`
	Acked replication.Position `msgpack:"a"`
}

// BackfillRequest asks for one page.
type BackfillRequest struct {
	Partition table.PartitionID `msgpack:"p"`
	Table     string            `msgpack:"n"`
	To        string            `msgpack:"t"`
	// After continues behind a key of an earlier answer; nil starts.
	After []byte `msgpack:"a,omitempty"`
}

// BackfillResponse is the outcome of a page that the other region has durably.
type BackfillResponse struct {
	After   []byte `msgpack:"a,omitempty"`
	Done    bool   `msgpack:"d,omitempty"`
	Records int    `msgpack:"r"`
}

// SplitRequest is one split; its Right names it.
type SplitRequest struct {
	Partition table.PartitionID `msgpack:"p"`
	// Range is the range part of the epoch that the partition has until it is
	// split.
	Range uint32            `msgpack:"e"`
	Right table.PartitionID `msgpack:"r"`
	// The log generations of the two that begin with the split.
	LeftGeneration  replication.Generation `msgpack:"g"`
	RightGeneration replication.Generation `msgpack:"h"`
	// At is the first hash of the right one; 0 lets the partition choose, by its
	// bytes or, ByLoad, by its requests.
	At     uint64 `msgpack:"a,omitempty"`
	ByLoad bool   `msgpack:"l,omitempty"`
}

// SplitOutcome is what became of a split.
type SplitOutcome struct {
	// At is the first hash of the right partition, 0 when the split is not done.
	At uint64 `msgpack:"a,omitempty"`
	// Refusal is why the split was not done; Never says that it would not help to
	// ask again soon.
	Refusal string `msgpack:"f,omitempty"`
	Never   bool   `msgpack:"n,omitempty"`
}

// Regions finds a region of the deployment: this one or a peer. An unknown one
// is nil.
type Regions interface {
	Region(name string) Region
	// Names are all regions of the deployment, this one included, in order.
	Names() []string
}

// Region is one region as another region's controller uses it, answered by the
// leader of its catalog (Controller.Serve; Peers is the client). Every call is
// idempotent.
type Region interface {
	// Describe answers with the region's descriptor, or apierr.TableMissing.
	Describe(ctx context.Context, name string) (*table.Descriptor, error)
	// Update hands a change of a global table to its home.
	Update(ctx context.Context, r *catalog.GlobalUpdate) (*table.Descriptor, error)
	// CreateReplica makes the region's replica of a global table. It answers once
	// the table's partitions take records; the table stays CREATING until SetGlobal
	// calls the replica ACTIVE. A table of that name of another group is refused.
	CreateReplica(ctx context.Context, r *ReplicaRequest) error
	// SetGlobal installs the group's state and its synchronised settings, unless
	// the region has the same or newer ones, and answers when the region's
	// partitions have them.
	SetGlobal(ctx context.Context, r *ReplicaRequest) error
	// DropReplica deletes the region's replica of the group, if there is one, and
	// answers when it is gone.
	DropReplica(ctx context.Context, r *GroupRequest) error
	// OpenLinks, CloseLinks and LinkProgress do what Host does, for all partitions
	// of the region's replica.
	OpenLinks(ctx context.Context, r *LinksRequest) ([]Progress, error)
	CloseLinks(ctx context.Context, r *LinksRequest) error
	LinkProgress(ctx context.Context, r *LinksRequest) ([]Progress, error)
}

// ReplicaRequest carries a global table's state: Descriptor is the home's, whose
// Global and synchronised settings the region takes over.
type ReplicaRequest struct {
	Descriptor *table.Descriptor `msgpack:"d"`
}

// GroupRequest names a region's replica of a global table.
type GroupRequest struct {
	Table string `msgpack:"n"`
	Group string `msgpack:"g"`
}

// LinksRequest names all links of a region's replica to another region.
type LinksRequest struct {
	Table     string `msgpack:"n"`
	Group     string `msgpack:"g"`
	To        string `msgpack:"t"`
	FromStart bool   `msgpack:"f,omitempty"`
}

// IndexBuilder is a Host that fills global indexes which were added to a table
// with items. A Host that is none has nothing to fill.
type IndexBuilder interface {
	// IndexReady (leader) tells whether everything that the partition held when
	// the index came is in the index, durably.
	IndexReady(ctx context.Context, r *IndexRequest) (bool, error)
}

// IndexRequest names a global index as one item partition sees it.
type IndexRequest struct {
	Partition table.PartitionID `msgpack:"p"`
	Index     string            `msgpack:"x"`
}
