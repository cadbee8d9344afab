package regionnode

import (
	"context"

	"antipode/regionnode/expr"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
	"antipode/replication"
)

// Service is one region as its functions see it. client.Client finds the right
// node for each call; node.Node answers for the partitions it holds; rpc
// carries it between processes. Errors are *apierr.Error, or a routing error of
// this package (Stale, NotLeader) that only client handles.
type Service interface {
	Data
	Tables
}

// Data is the data plane. Every request names its partition through Target;
// client fills Target.Partition and Epoch in from Table and Key.
type Data interface {
	// Get reads one item.
	Get(ctx context.Context, r *GetRequest) (*GetResponse, error)
	// Write evaluates and applies one write. It is durable on a majority of the
	// partition's replicas before Write returns nil (I1). An error that is no
	// *apierr.Error, or an InternalServerError, has an unknown outcome (I10).
	Write(ctx context.Context, r *WriteRequest) (*WriteResponse, error)
	// Range reads a run of keys of one partition: a page of a Query or a Scan.
	Range(ctx context.Context, r *RangeRequest) (*RangeResponse, error)
	// BatchGet and BatchWrite do many independent reads or writes of one
	// partition in one call; each element has its own outcome.
	BatchGet(ctx context.Context, r *BatchGetRequest) (*BatchGetResponse, error)
	BatchWrite(ctx context.Context, r *BatchWriteRequest) (*BatchWriteResponse, error)
}

// Tables is the control plane of one region.
type Tables interface {
	// CreateTable registers d (ID, UUID, Created, Generation and Status are
	// filled in by the catalog) and answers with status CREATING, or
	// ResourceInUse. Partitions <= 0 means the default number.
	CreateTable(ctx context.Context, r *CreateTableRequest) (*table.Descriptor, error)
	// DescribeTable answers with the catalog's newest descriptor, or
	// ResourceNotFound (apierr.TableMissing).
	DescribeTable(ctx context.Context, name string) (*table.Descriptor, error)
	// ListTables answers with at most limit names after start, in byte order.
	ListTables(ctx context.Context, start string, limit int) (names []string, more bool, err error)
	// UpdateTable replaces the descriptor by compare-and-set on Generation
	// (I11); a lost race is ResourceInUse.
	UpdateTable(ctx context.Context, r *UpdateTableRequest) (*table.Descriptor, error)
	// DeleteTable marks the table DELETING and drops its partitions.
	DeleteTable(ctx context.Context, name string) (*table.Descriptor, error)
	// Partitions is the partition map of one table (or global index), sorted by
	// Start and covering the whole hash space.
	Partitions(ctx context.Context, id table.ID) (*PartitionMap, error)
}

// Epoch counts a partition's changes of range (Range) and of members (Members).
type Epoch struct {
	Range   uint32 `msgpack:"r"`
	Members uint32 `msgpack:"m"`
}

// Target names what a data request is for.
type Target struct {
	Table     table.ID          `msgpack:"t"`
	Index     table.IndexID     `msgpack:"i,omitempty"`
	Partition table.PartitionID `msgpack:"p"`
	// Range is the range part of the epoch the caller routed by (I8).
	Range uint32 `msgpack:"e"`
}

// PartitionMap is a table's partitions at one moment.
type PartitionMap struct {
	Table      table.ID    `msgpack:"t"`
	Generation uint64      `msgpack:"g"`
	Partitions []Partition `msgpack:"p"`
}

// Partition is one entry of a map: the hash interval [Start, next Start), where
// hashes are the first eight bytes of a table.Key read big-endian.
type Partition struct {
	ID    table.PartitionID `msgpack:"id"`
	Start uint64            `msgpack:"s"`
	Epoch Epoch             `msgpack:"e"`
	// Leader is a hint, 0 when unknown.
	Leader   table.NodeID `msgpack:"l,omitempty"`
	Replicas []Holder     `msgpack:"r"`
}

// Holder is a node that holds a replica.
type Holder struct {
	Node table.NodeID `msgpack:"n"`
	Addr string       `msgpack:"a"` // host:port of its rpc listener
	Zone string       `msgpack:"z,omitempty"`
}

// GetRequest asks for the item with Key (table.KeySchema.Key's bytes).
type GetRequest struct {
	Target     Target           `msgpack:"t"`
	Key        []byte           `msgpack:"k"`
	Consistent bool             `msgpack:"c,omitempty"`
	Projection *expr.Projection `msgpack:"p,omitempty"`
}

// GetResponse holds the item, nil when there is none. Size is the stored item's
// size in DynamoDB's bytes, before the projection; 0 when there is none.
type GetResponse struct {
	Item item.Encoded `msgpack:"i,omitempty"`
	Size int          `msgpack:"s,omitempty"`
}

// WriteOp is what a Write does. On the wire and in the ledger: never reorder.
type WriteOp uint8

// The write operations.
const (
	PutOp WriteOp = iota + 1
	UpdateOp
	DeleteOp
	CheckOp // evaluates the condition only; in transactions
)

// Return says which image a write answers with, as ReturnValues does.
type Return uint8

// The values of ReturnValues.
const (
	ReturnNone Return = iota
	ReturnAllOld
	ReturnUpdatedOld
	ReturnAllNew
	ReturnUpdatedNew
)

// Write is one write, evaluated on the partition's leader.
type Write struct {
	Op  WriteOp `msgpack:"o"`
	Key []byte  `msgpack:"k"` // table.KeySchema.Key's bytes
	// Item is the whole item (Put), or the key attributes (Update: the item that
	// an update of an absent key starts from).
	Item      item.Encoded    `msgpack:"i,omitempty"`
	Update    *expr.Update    `msgpack:"u,omitempty"`
	Condition *expr.Condition `msgpack:"c,omitempty"`
	Return    Return          `msgpack:"r,omitempty"`
	// ReturnOnFailure puts the old image into a failed condition's error.
	ReturnOnFailure bool `msgpack:"f,omitempty"`
}

// WriteRequest is one write of one partition.
type WriteRequest struct {
	Target Target `msgpack:"t"`
	Write  Write  `msgpack:"w"`
}

// WriteResponse answers a write. Attributes is what Return asked for, nil when
// there is nothing.
type WriteResponse struct {
	Attributes item.Encoded `msgpack:"a,omitempty"`
	Usage      Usage        `msgpack:"u"`
}

// Usage is what capacity is computed from: sizes in DynamoDB's bytes.
type Usage struct {
	// OldSize and NewSize of the item, 0 for none.
	OldSize int `msgpack:"o,omitempty"`
	NewSize int `msgpack:"n,omitempty"`
	// Collection is the size of the item collection after the write, when the
	// table has local indexes.
	Collection int64 `msgpack:"c,omitempty"`
	// Indexes: one for each local and global index that the write touches.
	Indexes []IndexUsage `msgpack:"x,omitempty"`
}

// IndexUsage is the write's cost in one index: the old and new entry's size, 0
// for none, and whether the entry moved (a delete and a put).
type IndexUsage struct {
	Name    string `msgpack:"n"`
	OldSize int    `msgpack:"o,omitempty"`
	NewSize int    `msgpack:"w,omitempty"`
	Moved   bool   `msgpack:"m,omitempty"`
}

// RangeRequest reads keys in (After, …) bounded by Low and High, in one
// partition and one index span, in key order or backwards.
type RangeRequest struct {
	Target Target `msgpack:"t"`
	// Low (inclusive) and High (exclusive) bound the span's key bytes; nil is
	// the partition's own bound.
	Low  []byte `msgpack:"l,omitempty"`
	High []byte `msgpack:"h,omitempty"`
	// After is the full key to continue behind (ExclusiveStartKey), nil to start
	// at the end that Backward names.
	After    []byte `msgpack:"a,omitempty"`
	Backward bool   `msgpack:"b,omitempty"`
	// Limit counts evaluated items (before Filter), 0 for none; MaxBytes bounds
	// the evaluated items' size, 0 for 1 MB.
	Limit      int              `msgpack:"n,omitempty"`
	MaxBytes   int              `msgpack:"m,omitempty"`
	Consistent bool             `msgpack:"c,omitempty"`
	Filter     *expr.Condition  `msgpack:"f,omitempty"`
	Projection *expr.Projection `msgpack:"p,omitempty"`
	// Fetch reads the table's item behind each local index entry, for a
	// projection that the index does not hold; it costs extra reads.
	Fetch bool `msgpack:"x,omitempty"`
	// CountOnly answers without items.
	CountOnly bool `msgpack:"k,omitempty"`
}

// RangeResponse is one page.
type RangeResponse struct {
	Items []item.Encoded `msgpack:"i,omitempty"`
	// Count of items that passed the filter, Scanned of those evaluated.
	Count   int `msgpack:"c"`
	Scanned int `msgpack:"s"`
	// Bytes is the evaluated items' size; FetchedBytes that of the table items
	// behind index entries, one rounding for each.
	Bytes   int   `msgpack:"b"`
	Fetched []int `msgpack:"f,omitempty"`
	// Last is the item (index entries with the table's key attributes) at which
	// the page ended and LastKey its full key; both nil when the partition's
	// range is exhausted.
	Last    item.Encoded `msgpack:"l,omitempty"`
	LastKey []byte       `msgpack:"k,omitempty"`
}

// BatchGetRequest reads many items of one partition.
type BatchGetRequest struct {
	Target     Target           `msgpack:"t"`
	Keys       [][]byte         `msgpack:"k"`
	Consistent bool             `msgpack:"c,omitempty"`
	Projection *expr.Projection `msgpack:"p,omitempty"`
}

// BatchGetResponse has one entry for each key, in order.
type BatchGetResponse struct {
	Items []GetResponse `msgpack:"i"`
}

// BatchWriteRequest does many puts and deletes of one partition.
type BatchWriteRequest struct {
	Target Target  `msgpack:"t"`
	Writes []Write `msgpack:"w"`
}

// BatchWriteResponse has one outcome for each write, in order.
type BatchWriteResponse struct {
	Results []WriteResult `msgpack:"r"`
}

// WriteResult is a response or an error.
type WriteResult struct {
	Response *WriteResponse `msgpack:"r,omitempty"`
	Error    *WriteError    `msgpack:"e,omitempty"`
}

// CreateTableRequest creates a table in this region.
type CreateTableRequest struct {
	Descriptor table.Descriptor `msgpack:"d"`
	Partitions int              `msgpack:"p,omitempty"`
}

// UpdateTableRequest replaces a descriptor whose Generation is unchanged.
type UpdateTableRequest struct {
	Descriptor table.Descriptor `msgpack:"d"`
	// Replicas changes the replica set; the home region's job carries it out.
	Replicas []ReplicaUpdate `msgpack:"r,omitempty"`
}

// ReplicaUpdate adds, changes or removes one table replica.
type ReplicaUpdate struct {
	Action  string        `msgpack:"a"` // "Create", "Update" or "Delete"
	Replica table.Replica `msgpack:"r"`
}

// Change is one record of a partition's change log, decoded for streams,
// indexes and tests.
type Change struct {
	Sequence uint64              `msgpack:"q"`
	Key      []byte              `msgpack:"k"`
	Version  replication.Version `msgpack:"v"`
	Old      item.Encoded        `msgpack:"o,omitempty"`
	New      item.Encoded        `msgpack:"n,omitempty"`
	Cause    replication.Cause   `msgpack:"c"`
}
