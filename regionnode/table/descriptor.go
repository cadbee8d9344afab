// Package table is what a table is: its descriptor, key schema, indexes, stream
// and table replicas, the limits on them, and how an item's key becomes the
// ordered bytes that partitions are cut from. It knows no storage and no
// request.
package table

// ID names a table in one region. The upper 16 bits are the region's tag, so
// ids are unique over all regions of a deployment; a global index is a table
// id of its own. 0 is no table.
type ID uint64

// IndexID tells a table's item span (0) from its local index spans (1…5).
type IndexID uint8

// PartitionID names one partition: unique over all regions, never reused.
type PartitionID uint64

// NodeID names one node (one process with one Pebble): unique over all
// regions, never reused.
type NodeID uint64

// Status is a table's or an index's status as DescribeTable prints it.
type Status string

// The statuses of tables, indexes and table replicas.
const (
	Creating       Status = "CREATING"
	CreationFailed Status = "CREATION_FAILED"
	Updating       Status = "UPDATING"
	Deleting       Status = "DELETING"
	Active         Status = "ACTIVE"
)

// Attribute is one AttributeDefinition; Type is "S", "N" or "B".
type Attribute struct {
	Name string `msgpack:"n"`
	Type string `msgpack:"t"`
}

// KeySchema lists key attribute names. A table has one hash and at most one
// range attribute; a global index up to four of each.
type KeySchema struct {
	Hash  []string `msgpack:"h"`
	Range []string `msgpack:"r,omitempty"`
}

// Projection of an index: "ALL", "KEYS_ONLY" or "INCLUDE" with NonKey.
type Projection struct {
	Type   string   `msgpack:"t"`
	NonKey []string `msgpack:"k,omitempty"`
}

// Throughput is provisioned capacity in units per second.
type Throughput struct {
	Read  int64 `msgpack:"r"`
	Write int64 `msgpack:"w"`
	// Times of the last changes in Unix milliseconds, 0 for never, and the
	// decreases of the current UTC day.
	LastIncrease   int64 `msgpack:"li,omitempty"`
	LastDecrease   int64 `msgpack:"ld,omitempty"`
	DecreasesToday int64 `msgpack:"dt,omitempty"`
}

// OnDemand holds the maximum request units, -1 for none.
type OnDemand struct {
	MaxRead  int64 `msgpack:"r"`
	MaxWrite int64 `msgpack:"w"`
}

// WarmThroughput is the pre-warmed capacity; zero means AWS's defaults.
type WarmThroughput struct {
	Read   int64  `msgpack:"r"`
	Write  int64  `msgpack:"w"`
	Status Status `msgpack:"s,omitempty"`
}

// Index is a local or global secondary index.
type Index struct {
	Name       string     `msgpack:"n"`
	Key        KeySchema  `msgpack:"k"`
	Projection Projection `msgpack:"p"`
	// Local indexes: the span inside the table's partitions.
	Local IndexID `msgpack:"l,omitempty"`
	// Global indexes: the table id that holds the entries.
	Table       ID              `msgpack:"t,omitempty"`
	Status      Status          `msgpack:"s,omitempty"`
	Backfilling bool            `msgpack:"b,omitempty"`
	Throughput  Throughput      `msgpack:"tp"`
	OnDemand    *OnDemand       `msgpack:"od,omitempty"`
	Warm        *WarmThroughput `msgpack:"w,omitempty"`
	// Counts as of the last update, as in the Descriptor.
	Items int64 `msgpack:"ni,omitempty"`
	Bytes int64 `msgpack:"nb,omitempty"`
}

// Stream is a table's stream. View is one of DynamoDB's four view types.
type Stream struct {
	Enabled bool   `msgpack:"e"`
	View    string `msgpack:"v"`
	// Label is the creation time that ends the stream's ARN.
	Label string `msgpack:"l"`
	Ended int64  `msgpack:"x,omitempty"` // Unix ms at which it was disabled
}

// TTL is the time-to-live setting.
type TTL struct {
	Attribute string `msgpack:"a"`
	Status    string `msgpack:"s"` // ENABLING, ENABLED, DISABLING, DISABLED
	Changed   int64  `msgpack:"c"` // Unix ms
}

// Encryption is the SSE description as given; antipode only reports it.
type Encryption struct {
	Enabled bool   `msgpack:"e"`
	Type    string `msgpack:"t"`
	Key     string `msgpack:"k"`
}

// Replica is one table replica of a global table, in another region or in the
// region at hand.
type Replica struct {
	Region string `msgpack:"r"`
	Status Status `msgpack:"s"`
	// StatusNote is DescribeTable's ReplicaStatusDescription.
	StatusNote string `msgpack:"sn,omitempty"`
	KMSKey     string `msgpack:"k,omitempty"`
	TableClass string `msgpack:"c,omitempty"`
	// Overrides in this replica; nil for none.
	ReadOverride *int64          `msgpack:"ro,omitempty"`
	OnDemandRead *int64          `msgpack:"od,omitempty"`
	Indexes      []ReplicaIndex  `msgpack:"i,omitempty"`
	Warm         *WarmThroughput `msgpack:"w,omitempty"`
}

// ReplicaIndex is a global index's overrides in a table replica.
type ReplicaIndex struct {
	Name         string `msgpack:"n"`
	ReadOverride *int64 `msgpack:"ro,omitempty"`
	OnDemandRead *int64 `msgpack:"od,omitempty"`
}

// Global is what makes a table global; nil in a Descriptor for a table of one
// region.
type Global struct {
	// Group names the global table: the same in every region.
	Group string `msgpack:"g"`
	// Home orders changes; Epoch rises when an operator moves it.
	Home  string `msgpack:"h"`
	Epoch uint64 `msgpack:"e"`
	// Generation orders the replica set and the global settings at the home.
	Generation uint64    `msgpack:"n"`
	Replicas   []Replica `msgpack:"r"`
}

// Descriptor is everything a region knows of a table. It is immutable: a change
// makes a new one with a higher Generation.
type Descriptor struct {
	ID         ID     `msgpack:"id"`
	Name       string `msgpack:"n"`
	Region     string `msgpack:"rg"`
	Account    string `msgpack:"ac"` // 12 digits
	UUID       string `msgpack:"u"`  // DescribeTable's TableId
	Generation uint64 `msgpack:"gen"`
	Status     Status `msgpack:"s"`
	Created    int64  `msgpack:"c"` // Unix ms

	Attributes []Attribute `msgpack:"at"`
	Key        KeySchema   `msgpack:"k"`
	Locals     []Index     `msgpack:"li,omitempty"`
	Globals    []Index     `msgpack:"gi,omitempty"`

	BillingMode    string          `msgpack:"bm"` // PROVISIONED or PAY_PER_REQUEST
	BillingChanged int64           `msgpack:"bc,omitempty"`
	Throughput     Throughput      `msgpack:"tp"`
	OnDemand       *OnDemand       `msgpack:"od,omitempty"`
	Warm           *WarmThroughput `msgpack:"w,omitempty"`
	Class          string          `msgpack:"cl,omitempty"` // STANDARD or STANDARD_INFREQUENT_ACCESS; "" = never named
	ClassChanged   int64           `msgpack:"cc,omitempty"`
	Protected      bool            `msgpack:"dp,omitempty"`
	Encryption     *Encryption     `msgpack:"e,omitempty"`
	Stream         *Stream         `msgpack:"st,omitempty"`
	// Past are the streams before Stream, the oldest first; see StartStream.
	Past   []Stream `msgpack:"ps,omitempty"`
	TTL    *TTL     `msgpack:"ttl,omitempty"`
	Tags   []Tag    `msgpack:"tg,omitempty"` // sorted by key
	Global *Global  `msgpack:"gl,omitempty"`
	Policy string   `msgpack:"po,omitempty"`
	// PolicyRevision is when Policy was put, in Unix milliseconds.
	PolicyRevision int64 `msgpack:"pr,omitempty"`

	// Counts as of the last update (DynamoDB: about every six hours).
	Items int64 `msgpack:"ni,omitempty"`
	Bytes int64 `msgpack:"nb,omitempty"`
}

// Tag is one resource tag.
type Tag struct {
	Key   string `msgpack:"k"`
	Value string `msgpack:"v"`
}
