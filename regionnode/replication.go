package regionnode

import "context"

// Replication tells how far a partition's writes have reached other regions. A
// Service that answers for that is a Replication too. Requests are routed like
// those of Data, to the partition's leader.
type Replication interface {
	// Replication lists the partition's links to other regions. What it says of
	// Durable stays true, whoever leads the partition next.
	Replication(ctx context.Context, r *ReplicationRequest) (*ReplicationResponse, error)
}

// ReplicationRequest names the partition, with the range that it has in the
// caller's map: partitions that answer for one map's ranges cover the table.
type ReplicationRequest struct {
	Target Target `msgpack:"t"`
}

// ReplicationResponse answers Replication.
type ReplicationResponse struct {
	Links []ReplicationLink `msgpack:"l,omitempty"`
}

// ReplicationLink is one partition's link to one other region. Counters count
// since the link was started at this leader.
type ReplicationLink struct {
	Peer  string    `msgpack:"p"`
	State LinkState `msgpack:"s"`
	// Durable is a time in Unix nanoseconds: every write of this region to the
	// partition's range, or to a closed generation of the log that the partition
	// keeps, with a version at or before it is durable at the peer. 0 when unknown.
	Durable int64 `msgpack:"d,omitempty"`
	// Lag is the age in nanoseconds of the oldest write that the peer is not known
	// to have, 0 when it has all.
	Lag int64 `msgpack:"g,omitempty"`
	// Pending counts log records that the peer is not known to have, those of other
	// regions included.
	Pending uint64 `msgpack:"n,omitempty"`
	// InFlight batches and bytes are sent, or waiting to be, and not acknowledged.
	InFlight      int `msgpack:"f,omitempty"`
	InFlightBytes int `msgpack:"fb,omitempty"`
	// Rejected counts records that the peer put into its dead letters.
	Rejected uint64 `msgpack:"r,omitempty"`
	// LastError stays after the link has recovered; LastErrorAt is in Unix
	// milliseconds.
	LastError   string `msgpack:"e,omitempty"`
	LastErrorAt int64  `msgpack:"et,omitempty"`
}

// LinkState is what a link is doing, after LinkUnknown from the best to the worst.
// On the wire:
// never reorder.
type LinkState uint8

// The states of a link.
const (
	LinkUnknown LinkState = iota
	// LinkStreaming: shipping, or level.
	LinkStreaming
	// LinkPaused on purpose.
	LinkPaused
	// LinkUnpositioned: about to begin.
	LinkUnpositioned
	// LinkRetrying: the last attempt to read or to send failed.
	LinkRetrying
	// LinkHalted: it needs a resynchronisation.
	LinkHalted
)
