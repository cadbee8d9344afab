package replication

import "antipode/replication/hlc"

// Cause says why a change happened. On disk and on the wire: never reorder.
type Cause uint8

// The causes of a change.
const (
	ByUser        Cause = iota // a client's write
	ByTTL                      // expired and deleted in the region that ran the sweep
	ByReplica                  // applied from another region; never shipped again (I5)
	ByTransaction              // a committed transaction's write
	Unchanged                  // wrote the image that was there; streams skip it
	Lost                       // changed nothing: tells a write's fate, see Verdict; streams and indexes skip it
)

// Record is one change of one key as a partition's change log holds it and as
// links ship it. Encoded as msgpack (an array, fields in this order; a reader
// ignores elements beyond those it knows).
type Record struct {
	// Sequence is the record's place in its log generation; assigned at apply.
	Sequence uint64
	// Key is opaque; equal bytes are the same key in every region.
	Key     []byte
	Version Version
	// Context is what the write had seen: the newest time of each region among
	// the values it replaced, sorted by region (DESIGN: conflicts).
	Context Context
	Cause   Cause
	// Delete marks a tombstone; New is nil then.
	Delete bool
	// Old and New are opaque images. Links ship no Old.
	Old []byte
	New []byte
	// Transaction is the id of the transaction that wrote, empty for none.
	Transaction string
	// Verdict is set exactly when Cause is Lost.
	Verdict *Verdict
}

// Context maps regions to the newest time seen from each, sorted by region.
type Context []ContextEntry

// ContextEntry is one region's part of a Context.
type ContextEntry struct {
	Region Region
	Time   hlc.Timestamp
}

// Generation names one generation of a partition's change log: unique over all
// regions. A split closes one and opens two, whose sequences go on from its last.
type Generation uint64

// Position is a place in a change log: everything up to and including Sequence.
type Position struct {
	// Incarnation names the table replica's life; an unknown one means
	// resynchronise.
	Incarnation uint64
	Generation  Generation
	Sequence    uint64
}
