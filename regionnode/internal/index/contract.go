package index

import (
	"context"
	"log/slog"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/table"
	"antipode/replication"
)

// Source is the change log and the items of one partition on the node that leads
// it. Positions are those of its log; an index is named by its table id.
type Source interface {
	ID() table.PartitionID
	// LogStart and LogEnd bound the log; LogChanged is closed once ReadLog has
	// something after a position, or the source has ended.
	LogStart() replication.Position
	LogEnd() replication.Position
	LogChanged(after replication.Position) <-chan struct{}
	// ReadLog reads on after a position, with old images. A page lies in one
	// generation; at the end of a closed one there are no records, and the position
	// answered is the start of the next.
	ReadLog(ctx context.Context, after replication.Position, maxRecords, maxBytes int) ([]replication.Record, replication.Position, error)
	// IndexPosition is how far an index has the log; false before it has begun.
	// Nothing behind the position is trimmed, nor anything before it has begun.
	IndexPosition(index table.ID) (replication.Position, bool)
	SetIndexPosition(ctx context.Context, index table.ID, pos replication.Position) error
	// NoteIndexed says the same in memory, often; writes wait for it when it falls
	// behind.
	NoteIndexed(index table.ID, sequence uint64)
	// ScanItems reads current items in key order; last is nil behind the last.
	ScanItems(ctx context.Context, after []byte, maxRecords, maxBytes int) (recs []replication.Record, last []byte, err error)
	// IndexFilled is how far an index has the items, durably.
	IndexFilled(index table.ID) (after []byte, all bool, err error)
	SetIndexFilled(ctx context.Context, index table.ID, after []byte, all bool) error
}

// Sender takes batches to nodes. A nil error means that the batch is durable
// there. *regionnode.NotLeader and *regionnode.Stale come as themselves; after
// any error the batch is sent again.
type Sender interface {
	Send(ctx context.Context, to regionnode.Holder, b *regionnode.IndexBatch) error
}

// Config is what a Group is made of.
type Config struct {
	Sender Sender
	// Partitions answers with the newest partition map of an index.
	Partitions func(ctx context.Context, index table.ID) (*regionnode.PartitionMap, error)
	// BatchRecords and BatchBytes bound what is read at once: 1,000 changes and
	// 512 KiB when 0.
	BatchRecords, BatchBytes int
	// FillRecords and FillBytes bound a page of a back-fill: 500 items and 512 KiB
	// when 0.
	FillRecords, FillBytes int
	// Fills bounds how many partitions are back-filled from at one time: 8 when 0.
	Fills int
	// SaveRecords and SaveInterval are after how many changes or items, and how
	// long after the last change, a position is made durable: 1,000 and 1 s when 0.
	SaveRecords  uint64
	SaveInterval time.Duration
	// SendTimeout ends one attempt: 10 s when 0.
	SendTimeout time.Duration
	// RetryMin and RetryMax bound the wait after a failure: 2 ms and 1 s when 0.
	RetryMin, RetryMax time.Duration
	// Log may be nil.
	Log *slog.Logger
}

// Spec asks for one follower.
type Spec struct {
	Source Source
	// Term of the leadership under which the source is read.
	Term       uint64
	Descriptor *table.Descriptor
	// Index is one of the descriptor's global indexes.
	Index *table.Index
}

// Stats is one follower at one moment.
type Stats struct {
	Partition table.PartitionID
	Index     string
	// Applied is the last sequence that the index has, End the log's last one.
	Applied, End uint64
	// Filling: items are being read for a new index.
	Filling bool
	// Error is the last failure since the last success, "" for none.
	Error string
}
