package regionnode

import (
	"context"

	"antipode/regionnode/apierr"
	"antipode/regionnode/expr"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/hlc"
)

// Transactions does what TransactWriteItems and TransactGetItems ask for. A
// Service that coordinates transactions is a Transactions too.
type Transactions interface {
	// TransactWrite does all writes or none. Refusals are TransactionCanceled with
	// a reason for each write, IdempotentParameterMismatch or
	// TransactionInProgress; any other error that is no refusal of a single
	// operation has an unknown outcome, which a call with the same Token settles.
	TransactWrite(ctx context.Context, r *TransactWriteRequest) (*TransactWriteResponse, error)
	// TransactGet reads all items as of one moment, or answers
	// TransactionCanceled.
	TransactGet(ctx context.Context, r *TransactGetRequest) (*TransactGetResponse, error)
}

// TransactWriteRequest is a write transaction of one region.
type TransactWriteRequest struct {
	// Token makes the request idempotent for ten minutes, with the account that it
	// belongs to; empty for none. Digest is equal for equal requests.
	Token  string       `msgpack:"t,omitempty"`
	Digest []byte       `msgpack:"d,omitempty"`
	Writes []TableWrite `msgpack:"w"` // of distinct items
}

// TableWrite is one write of a transaction. Return is not used.
type TableWrite struct {
	Table table.ID `msgpack:"t"`
	Write Write    `msgpack:"w"`
}

// TransactWriteResponse answers a transaction that was committed.
type TransactWriteResponse struct {
	// Usages are what each write consumed, once: a transaction is charged twice.
	Usages []Usage `msgpack:"u"`
	// Replayed: an earlier request with the same token did the writes.
	Replayed bool `msgpack:"r,omitempty"`
}

// TransactGetRequest is a read transaction of one region.
type TransactGetRequest struct {
	Reads []TableRead `msgpack:"r"`
}

// TableRead is one read of a transaction.
type TableRead struct {
	Table      table.ID         `msgpack:"t"`
	Key        []byte           `msgpack:"k"`
	Projection *expr.Projection `msgpack:"p,omitempty"`
}

// TransactGetResponse has one entry for each read, in order.
type TransactGetResponse struct {
	Items []GetResponse `msgpack:"i"`
}

// TransactionID names one attempt of a transaction: its row in the ledger, and
// the timestamp that its writes get. A later attempt of the same transaction has
// the same row and a later time.
type TransactionID struct {
	Row  string        `msgpack:"r"`
	Time hlc.Timestamp `msgpack:"t"`
}

// String is how change records name a transaction.
func (id TransactionID) String() string { return id.Row + "@" + id.Time.String() }

// receiptTag stands in a key where an item has the kind of its partition key. No
// kind is that. On disk: frozen.
const receiptTag = 0xff

// Receipt is the key of the receipt that an attempt leaves beside its first item.
// It has the item's hash, so it stays in the item's partition.
func (id TransactionID) Receipt(first []byte) []byte {
	key := append(make([]byte, 0, table.HashLen+1+len(id.Row)+hlc.Size), first[:table.HashLen]...)
	return id.Time.Append(append(append(key, receiptTag), id.Row...))
}

// IsReceipt tells a receipt's key from an item's.
func IsReceipt(key []byte) bool { return len(key) > table.HashLen && key[table.HashLen] == receiptTag }

// Participants are the partitions that a transaction's items are in, as its
// coordinator and whoever recovers it use them. Calls may be repeated, but for a
// Prepare AtOnce: they name the attempt, and what was done already stays done. A
// Service whose partitions take part in transactions is a Participants too.
type Participants interface {
	// Prepare marks the items of one table, those of one partition together: all
	// or none of them. A refusal is in the votes.
	Prepare(ctx context.Context, r *PrepareRequest) (*PrepareResponse, error)
	// Finish commits or cancels what was prepared by that attempt, and ignores
	// what was not.
	Finish(ctx context.Context, r *FinishRequest) (*FinishResponse, error)
	// Settle tells whether an attempt that was to leave a receipt was done.
	Settle(ctx context.Context, r *SettleRequest) (*SettleResponse, error)
	// ReadMarked reads items of one table with what a read transaction compares.
	ReadMarked(ctx context.Context, r *ReadMarkedRequest) (*ReadMarkedResponse, error)
}

// PrepareRequest prepares writes of one table.
type PrepareRequest struct {
	Target Target        `msgpack:"t"`
	ID     TransactionID `msgpack:"i"`
	// Until is when the request is too old to be followed, in Unix nanoseconds.
	Until  int64   `msgpack:"u"`
	Writes []Write `msgpack:"w"`
	// AtOnce asks for the commit too, in the same step and under a time of the
	// partition's. It happens only if one partition holds all the items. Such a
	// request must not be repeated when its outcome is unknown.
	AtOnce bool `msgpack:"o,omitempty"`
	// Receipt asks an AtOnce for a receipt, by which Settle knows it until Finish
	// cancels the receipt's key: for a transaction that has a row in the ledger. It
	// may be refused as late, like any prepare.
	Receipt bool `msgpack:"rc,omitempty"`
}

// PrepareResponse has one vote for each write, in order.
type PrepareResponse struct {
	Votes []Vote `msgpack:"v"`
	// Committed answers AtOnce: everything is done. Without it, and without a
	// refusal, the transaction is to be prepared in the ordinary way.
	Committed bool `msgpack:"d,omitempty"`
	// Receipt: there is one. A node of an earlier release leaves none.
	Receipt bool `msgpack:"rc,omitempty"`
	// Sized says why AtOnce did nothing: the table has local indexes. So it will be
	// the next time.
	Sized bool `msgpack:"s,omitempty"`
	// Clock is the newest of the clocks of those who refused.
	Clock hlc.Timestamp `msgpack:"c"`
}

// Vote is what became of one item's prepare.
type Vote struct {
	// Refusal is empty when the write may be committed.
	Refusal apierr.Reason `msgpack:"r"`
	// Late refuses the timestamp alone: a later one may do.
	Late bool `msgpack:"l,omitempty"`
	// Marked: the item waits for Finish. A write that nothing spoke against is not
	// marked when another one of its partition was refused.
	Marked bool  `msgpack:"m,omitempty"`
	Usage  Usage `msgpack:"u"`
}

// FinishRequest ends an attempt on items of one table.
type FinishRequest struct {
	Target Target        `msgpack:"t"`
	ID     TransactionID `msgpack:"i"`
	Commit bool          `msgpack:"c"`
	Keys   [][]byte      `msgpack:"k"`
}

// FinishResponse has the size of each item's collection after a commit, in
// order; 0 when the table has no local indexes, or when nothing was to be done.
type FinishResponse struct {
	Collections []int64 `msgpack:"c"`
}

// SettleRequest asks about one attempt. Key is the key of its first item. Block
// sees to it that an attempt that was not done never is, if it is old enough.
type SettleRequest struct {
	Target Target        `msgpack:"t"`
	ID     TransactionID `msgpack:"i"`
	Key    []byte        `msgpack:"k"`
	Block  bool          `msgpack:"b,omitempty"`
}

// SettleResponse says neither when the attempt may be done yet.
type SettleResponse struct {
	// Done: it was, with these usages.
	Done   bool    `msgpack:"d,omitempty"`
	Usages []Usage `msgpack:"u,omitempty"`
	// Never: it was not, and will not be.
	Never bool `msgpack:"n,omitempty"`
}

// ReadMarkedRequest reads items of one table. Projections is empty, or has one
// for each key; Compare leaves the items out.
type ReadMarkedRequest struct {
	Target      Target             `msgpack:"t"`
	Keys        [][]byte           `msgpack:"k"`
	Projections []*expr.Projection `msgpack:"p,omitempty"`
	Compare     bool               `msgpack:"c,omitempty"`
}

// ReadMarkedResponse has one entry for each key, in order.
type ReadMarkedResponse struct {
	Items []MarkedItem `msgpack:"i"`
}

// MarkedItem is an item, or its absence, at one moment.
type MarkedItem struct {
	// Pending: a write transaction has prepared the item.
	Pending bool `msgpack:"w,omitempty"`
	// Version differs whenever the item was written in between.
	Version replication.Version `msgpack:"v"`
	Item    item.Encoded        `msgpack:"i,omitempty"`
	Size    int                 `msgpack:"s,omitempty"`
}
