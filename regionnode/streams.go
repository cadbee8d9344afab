package regionnode

import (
	"context"

	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// Streams reads the change logs of a table's partitions as the table's streams
// show them. A Service that answers for streams is a Streams too. Requests are
// routed like those of Data, to the partition's leader, and show what is
// applied there, so what is durable on a majority.
type Streams interface {
	// StreamShards lists the shards of one stream that a partition holds, oldest
	// first: none before the partition has heard of the stream. Everything
	// acknowledged before the call is counted (I9).
	StreamShards(ctx context.Context, r *StreamShardsRequest) (*StreamShardsResponse, error)
	// StreamRecords reads a page of one shard. A shard that is not there is
	// ResourceNotFound, a page that begins before the oldest record
	// TrimmedDataAccess.
	StreamRecords(ctx context.Context, r *StreamRecordsRequest) (*StreamRecordsResponse, error)
}

// StreamShardsRequest names a stream by the end of its ARN.
type StreamShardsRequest struct {
	Target Target `msgpack:"t"`
	Label  string `msgpack:"l"`
}

// StreamShardsResponse answers StreamShards.
type StreamShardsResponse struct {
	Shards []StreamShard `msgpack:"s,omitempty"`
}

// StreamShard is what one stream shows of one generation of a partition's
// change log. A split closes it and opens one in each child; the closed one stays
// with the child that keeps the partition's id, for a day behind its last record.
type StreamShard struct {
	Partition  table.PartitionID `msgpack:"p"`
	Generation uint64            `msgpack:"g"`
	// Parent is the generation that a split closed to open this one, 0 for none.
	Parent uint64 `msgpack:"r,omitempty"`
	// First is the sequence of the oldest record that the shard has or will have;
	// End that of its newest one, First-1 when it has none.
	First uint64 `msgpack:"f"`
	End   uint64 `msgpack:"e"`
	// Closed shards get no more records.
	Closed bool `msgpack:"c,omitempty"`
}

// StreamRecordsRequest asks for the records of a shard behind sequence After.
type StreamRecordsRequest struct {
	Target     Target `msgpack:"t"`
	Label      string `msgpack:"l"`
	Generation uint64 `msgpack:"g"`
	After      uint64 `msgpack:"a"`
	// Since leaves out records made earlier, in Unix milliseconds; 0 for none.
	Since int64 `msgpack:"s,omitempty"`
	// Limit counts records, MaxBytes their Size; both must be positive. One record
	// is answered even if it is larger.
	Limit    int `msgpack:"n"`
	MaxBytes int `msgpack:"m"`
}

// StreamRecordsResponse is a page. It may be empty although the shard goes on:
// not every record of the log is a change.
type StreamRecordsResponse struct {
	Records []StreamRecord `msgpack:"r,omitempty"`
	// Last is where to go on (After of the next request).
	Last uint64 `msgpack:"l"`
	// Drained: the shard is closed and has nothing behind Last.
	Drained bool `msgpack:"d,omitempty"`
}

// StreamRecord is one change as a stream's view shows it.
type StreamRecord struct {
	Sequence uint64      `msgpack:"q"`
	Event    StreamEvent `msgpack:"e"`
	// At is about when it happened, in Unix milliseconds.
	At   int64        `msgpack:"a"`
	Keys item.Encoded `msgpack:"k"`
	// Old and New are the images that the view has, nil where the item was not
	// there or the view leaves them out.
	Old item.Encoded `msgpack:"o,omitempty"`
	New item.Encoded `msgpack:"n,omitempty"`
	// Expired: the item outlived its time to live, and this region deleted it.
	Expired bool `msgpack:"x,omitempty"`
	// Size is that of Keys, Old and New in DynamoDB's bytes.
	Size int `msgpack:"s"`
}

// StreamEvent is what happened to the item. On the wire: never reorder.
type StreamEvent uint8

// The events.
const (
	StreamInsert StreamEvent = iota + 1
	StreamModify
	StreamRemove
)
