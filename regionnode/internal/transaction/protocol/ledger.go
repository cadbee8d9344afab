package protocol

import (
	"antipode/regionnode"
	"antipode/replication/hlc"
)

// State is how far a transaction is. In the ledger on disk: never renumber.
type State uint8

// The states. A transaction is decided by the one conditional write that takes
// its row out of Preparing, unless it was Single.
const (
	// Preparing: it may have marked items, and has committed none.
	Preparing State = iota + 1
	// Committing: it is decided to commit; some items may be marked still.
	Committing
	// Cancelling: whoever found it stalled has decided that it does not happen.
	Cancelling
	// Committed: every item is.
	Committed
	// Cancelled: no item is marked any more.
	Cancelled
	// Single: one partition may have done it in one step, and then has its receipt;
	// nothing is marked. The partition decides.
	Single
)

// Ended tells the states that nothing follows.
func (s State) Ended() bool { return s == Committed || s == Cancelled }

// Row is the part of a ledger row that decisions are taken by.
type Row struct {
	State State
	// Time of the attempt under way, or of the last.
	Time hlc.Timestamp
}

// May tells whether the row may become next. Writers make their write
// conditional on the row that they asked about.
func (r Row) May(next Row) bool {
	switch next.State {
	case Preparing, Single:
		// Another attempt, or another transaction with a token that is free again. The
		// partition of one that was Single has said that it did nothing.
		return (r.State == Preparing || r.State == Single || r.State.Ended()) && r.Time.Less(next.Time)
	case Committing, Cancelling:
		return r.State == Preparing && r.Time == next.Time
	case Committed:
		return (r.State == Committing || r.State == Single) && r.Time == next.Time
	case Cancelled:
		return (r.State == Preparing || r.State == Cancelling || r.State == Single) && r.Time == next.Time
	}
	return false
}

// Fate is what becomes of a mark that somebody has run into.
type Fate uint8

// The fates.
const (
	// Wait: its coordinator is at work.
	Wait Fate = iota
	// ToCommit: it is decided, and the item is to be committed.
	ToCommit
	// ToCancel: nothing will ever commit it.
	ToCancel
	// ToDecide: its coordinator is silent. The row is to become Cancelling first.
	ToDecide
)

// FateOf decides about a mark of attempt id by its ledger row, nil when there is
// none. The row is written before anything is marked and stays until all is
// committed, so without it there is nothing to commit; and a mark of an attempt
// that is over can only have come late, after its cancel. stalled tells that
// the attempt has had its time.
func FateOf(row *Row, id regionnode.TransactionID, stalled bool) Fate {
	switch {
	case row == nil || row.Time != id.Time:
		return ToCancel
	case row.State == Committing:
		return ToCommit
	case row.State == Preparing && stalled:
		return ToDecide
	case row.State == Preparing:
		return Wait
	}
	return ToCancel
}

// Told decides about the receipt of attempt id by its ledger row, nil when there
// is none: whether the ledger knows by now that the attempt was done, so that
// the receipt may go. The row was written before, and goes no sooner than it
// has said Committed.
func Told(row *Row, id regionnode.TransactionID) bool {
	return row == nil || row.Time != id.Time || row.State != Single
}
