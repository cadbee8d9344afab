package link

import (
	"context"
	"errors"
	"time"

	"antipode/replication"
	"antipode/replication/hlc"
)

// SourceID names a log that is shipped. Unique within a region.
type SourceID struct {
	// Group is the global table's identity, the same in every region.
	Group string
	// Partition is the source region's partition.
	Partition uint64
}

// Source is the change log of one partition that this node leads, and the
// durable positions of its links. Safe for concurrent use. A Source belongs to
// one term of leadership: when the partition is led anew, it is another Source.
type Source interface {
	ID() SourceID
	// Read answers with what follows after, in log order: at most maxRecords
	// records of about maxBytes, but at least one record when there is one. A
	// position that the log no longer holds, or of an unknown incarnation, is
	// ErrResynchronise. Records may be shared with the log; link never changes
	// them. Only records applied on this leader, so durable on a majority (I1). A
	// page lies in one generation, End's; a Read at the end of a closed generation
	// answers with no records and End at the start of the next.
	Read(ctx context.Context, after replication.Position, maxRecords, maxBytes int) (Page, error)
	// Head is the log's newest position and a closed time that covers it, both
	// from memory: every record of this region with a version at or before
	// closed, in this log, now or later, lies at or before end. Reading to the
	// end of the log arrives at exactly this position.
	Head() (end replication.Position, closed hlc.Timestamp)
	// Changed is closed when Read has, or may have, something after after; closed
	// already when that is so at the call.
	Changed(after replication.Position) <-chan struct{}
	// Position is the durable position of the link to peer; false when none was
	// fixed yet. What the position covers, peer has.
	Position(peer replication.Region) (replication.Position, bool)
	// Acknowledge makes the link's position durable before it returns nil (I7).
	// Called with rising positions, one call at a time for a peer, and not for
	// each batch: a lower position than the true one only costs repetition.
	Acknowledge(ctx context.Context, peer replication.Region, p replication.Position) error
}

// Page is one Read.
type Page struct {
	Records []replication.Record
	// End is the position of the last record read or passed over; the Read's
	// after when there was nothing.
	End replication.Position
	// Closed covers End as Head's does; zero when the page ends before the log.
	Closed hlc.Timestamp
}

// ErrResynchronise says that a link cannot go on from where it stands: the log
// or the peer has lost what lies between. The table replica must be
// resynchronised; the link stays halted until Group.Set brings a new Source.
var ErrResynchronise = errors.New("link needs a resynchronisation")

// Kind says what a batch's records are. On the wire: never reorder.
type Kind uint8

// The kinds of a batch.
const (
	// Log records follow the source's log; all originated in Batch.From.
	Log Kind = iota
	// Snapshot records are current values of any region's origin, for back-fill
	// and repair. They have no positions.
	Snapshot
	// Heartbeat has Marks and no records.
	Heartbeat
)

// Batch is what one Send carries. Encoded by Append, with a checksum.
type Batch struct {
	Kind Kind
	// Session and Sequence identify the batch for its acknowledgement: a session
	// is one life of a sender, sequences count from 1.
	Session, Sequence uint64
	From, To          replication.Region
	Source            SourceID
	// Start (exclusive) and End (inclusive) bound the log range of a Log batch;
	// records within it that are not From's own are left out.
	Start, End replication.Position
	// Closed is a Mark of Source: it says nothing about this batch's records.
	Closed hlc.Timestamp
	// Marks are closed times of many sources, in a Heartbeat.
	Marks []Mark
	// Records have no Old image. Decoded ones share memory with the input.
	Records []replication.Record
}

// Mark says that the receiving region has acknowledged (applied, parked or
// refused into its dead letters) every record that region From wrote to Source
// with a version at or before Closed.
type Mark struct {
	Source SourceID
	Closed hlc.Timestamp
}

// Status is a receiver's answer to a batch. On the wire: never reorder.
type Status uint8

// The answers.
const (
	// Applied: every record is durably applied, parked, outdated, or in the dead
	// letters.
	Applied Status = iota
	// Failed: nothing may be concluded; send again later.
	Failed
	// Resynchronise: see ErrResynchronise.
	Resynchronise
)

// Ack answers one batch.
type Ack struct {
	Session, Sequence uint64
	Status            Status
	// Message explains a Status other than Applied.
	Message string
	// Rejected counts records that went to the dead letters.
	Rejected uint32
}

// Transport carries a batch to some node of the peer region and the answer
// back. An error leaves the outcome unknown; the batch is sent again. Many Sends
// run at once. Send ends when ctx does. It must not keep or change b.
type Transport interface {
	Send(ctx context.Context, peer replication.Region, b *Batch) (*Ack, error)
}

// Applier takes batches in at the receiving side; rpc calls it for what
// Transport sent. Receiver is the one implementation.
type Applier interface {
	Apply(ctx context.Context, b *Batch) (*Ack, error)
}

// Delivery is what a Sink applies: records of one batch that passed the
// Receiver's checks.
type Delivery struct {
	// From is the region that sent, not always the origin: see Snapshot.
	From     replication.Region
	Source   SourceID
	Snapshot bool
	Records  []replication.Record
}

// Sink stores what arrives, in the owner partitions of this region. Safe for
// concurrent use: deliveries of one source overlap.
type Sink interface {
	// Apply merges each record by last-writer-wins, with cause ByReplica and the
	// record's own version, and returns only when all is durable (I1, I7): an
	// outdated record is done once what outdates it is durable, one from a clock
	// too far ahead is parked durably (I12). Rejections name records that can never be applied. Any error, or a
	// wrapped ErrResynchronise, acknowledges nothing.
	Apply(ctx context.Context, d Delivery) ([]Rejection, error)
	// Closed passes marks on, from heartbeats and batches; they may repeat and go
	// back. Quick, from memory.
	Closed(from replication.Region, marks []Mark)
}

// Rejection says that Delivery.Records[Index] can never be applied.
type Rejection struct {
	Index  int
	Reason string
}

// DeadLetters keeps what can never be applied, for people to see.
type DeadLetters interface {
	// Add makes the letters durable before it returns nil. A letter with the same
	// table group, key and version as one that is there replaces it.
	Add(ctx context.Context, letters []DeadLetter) error
}

// DeadLetter is one record that was refused.
type DeadLetter struct {
	From   replication.Region
	Source SourceID
	Record replication.Record
	Reason string
	// Time is the receiver's wall time.
	Time time.Time
}

// Snapshotter reads a partition's current values for back-fill.
type Snapshotter interface {
	ID() SourceID
	// Next answers with values and tombstones whose keys follow after, in key
	// order, bounded as Source.Read is; none at the end. Versions and contexts are
	// the stored ones.
	Next(ctx context.Context, after []byte, maxRecords, maxBytes int) ([]replication.Record, error)
}

// Clock is time for senders: commit ages, back-off, intervals.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}
