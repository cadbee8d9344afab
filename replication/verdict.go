package replication

// A write is current at its origin when it is born, so its origin decides its
// fate, once: replaced there by a write that had seen it, or lost. The decision
// travels as a record of cause Lost, so that every region keeps the same entry
// in its ledger of conflicts. Until it comes, a region that had to discard the
// write keeps a provisional entry.
//
// A deletion's fate can be told only while its tombstone is remembered. So a
// tombstone of version v may be dropped (I6) only after this has happened in
// order: every region has reported to have everything up to v, each with its
// clock's time; and the origin has everything up to the newest of those times.
// What was written without having seen v is then there.

// Verdict is what a record of cause Lost says about one write of its key: what
// replaced it had not seen it. The record's Context, Delete and New are the
// lost write's; its Version is a stamp of its own, which no item ever has.
type Verdict struct {
	Loser, Winner Version
	// WinnerDelete tells that the winner deleted the key.
	WinnerDelete bool
}

// Outcome is what becomes of a record of another region.
type Outcome struct {
	// Replace: the record is newer than what is held.
	Replace bool
	// Lost: what is held, a write of this region's own, was not seen by the record
	// that replaces it. The verdict is logged together with the replacement. So it
	// is also for two deletes, though they are no conflict: see Entry.Conflict.
	Lost bool
	// Discarded: what is held keeps out a record that it had not seen, which is
	// lost unless its origin knows better: see Ledger.Provisional.
	Discarded bool
}

// Decide says in region own what becomes of a record of another region where
// held is. A function of its arguments alone; decide in the same atomic step as
// the write. Only the origin of a lost write gives a verdict (I5).
func Decide(own Region, held, incoming Value) Outcome {
	if !Wins(incoming.Version, held.Version) {
		return Outcome{Discarded: incoming.Version.Region != own && Conflicts(held, incoming)}
	}
	return Outcome{
		Replace: true,
		Lost:    held.Version.Region == own && !incoming.Context.Includes(held.Version),
	}
}

// Entry is one write of one key that was replaced, or kept out, by a write that
// had not seen it.
type Entry struct {
	Verdict
	// Context, Delete and Image are the losing write's. Image is opaque; nil for a
	// deletion.
	Context Context
	Delete  bool
	Image   []byte
	// Provisional: the origin has not spoken yet.
	Provisional bool
}

// Conflict tells whether the entry is one to show and to count. Two deletes are
// no conflict: their entry only says that the first one's story has ended, so
// that copies of what it had seen are known for that when they come late.
func (e *Entry) Conflict() bool { return !e.Delete || !e.WinnerDelete }

// Ledger is the entries of one key, in any order.
type Ledger []Entry

// Verdict is the record by which the origin tells that held was lost to winner;
// stamp is its own version, newer than both.
func (held Value) Verdict(key, image []byte, winner Value, stamp Version) *Record {
	return &Record{
		Key: key, Version: stamp, Cause: Lost, Context: held.Context, Delete: held.Delete, New: image,
		Verdict: &Verdict{Loser: held.Version, Winner: winner.Version, WinnerDelete: winner.Delete},
	}
}

// Entry is what every region keeps of a record of cause Lost.
func (r *Record) Entry() Entry {
	return Entry{Verdict: *r.Verdict, Context: r.Context, Delete: r.Delete, Image: r.New}
}

// Provisional tells whether a discarded write needs a provisional entry: not so
// when its origin has spoken, or when a write in the ledger had seen it; those
// are copies that come late.
func (l Ledger) Provisional(discarded Value) bool {
	for i := range l {
		if l[i].Loser == discarded.Version || l[i].Context.Includes(discarded.Version) {
			return false
		}
	}
	return true
}

// Settled tells whether a record with this context, applied or not, ends a
// provisional entry: a write had seen the loser. Should the origin have lost it
// nevertheless, its verdict comes and stays.
func (e *Entry) Settled(by Context) bool { return e.Provisional && by.Includes(e.Loser) }
