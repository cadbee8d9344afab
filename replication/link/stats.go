package link

import (
	"time"

	"antipode/replication"
	"antipode/replication/hlc"
)

// State is what a link is doing.
type State uint8

// The states of a link.
const (
	// Unpositioned: the source has no position for the peer yet.
	Unpositioned State = iota
	// Streaming: shipping, or caught up.
	Streaming
	// Retrying: the last attempt to read or send failed; LastError tells why.
	Retrying
	// Paused by a Control.
	Paused
	// Halted: needs a resynchronisation; LastError tells why.
	Halted
)

func (s State) String() string {
	return [...]string{"unpositioned", "streaming", "retrying", "paused", "halted"}[s]
}

// Stats is one link at one moment. Counters count since the link was started on
// this node.
type Stats struct {
	Source  SourceID
	Peer    replication.Region
	State   State
	Control Control
	// Acknowledged covers what the peer has durably; it may be ahead of the
	// position that is durable here.
	Acknowledged replication.Position
	// Durable is a time at or before which every write of this partition is
	// durable at the peer: the watermark. Zero when unknown yet.
	Durable hlc.Timestamp
	// Lag is the age of the oldest write that the peer is not known to have; 0
	// when it has all.
	Lag time.Duration
	// Pending counts log records after Acknowledged, those of other regions
	// included.
	Pending uint64
	// InFlight batches and bytes are sent, or waiting to be, and not acknowledged.
	InFlight      int
	InFlightBytes int
	// Shipped counts acknowledged records and their bytes; Skipped the records
	// left out because they are not the region's own.
	Shipped, ShippedBytes, Skipped uint64
	// Batches counts acknowledged batches, Retries failed attempts, Rejected the
	// records that the peer put into its dead letters.
	Batches, Retries, Rejected uint64
	LastError                  string
	LastErrorTime              time.Time
	LastAckTime                time.Time
}

// Shipment is one acknowledged batch, for metrics.
type Shipment struct {
	Source  SourceID
	Peer    replication.Region
	Records int
	Bytes   int
	// Latency is from the commit of the batch's oldest record to its
	// acknowledgement.
	Latency time.Duration
}
