// Package protocol is the decisions of distributed transactions and nothing
// else: what a partition's leader answers to a prepare, what a commit changes,
// and what becomes of a mark whose coordinator is silent. It reads no clock,
// stores nothing and sends nothing; partitions and coordinators ask it, and so
// does the checker that walks through every order of events.
//
// The protocol is timestamp ordering with two phases, as DynamoDB's authors
// published it (Idziorek et al., USENIX ATC 2023), with additions: a watermark
// of checks that found nothing, a separate time of checks on items, closed time,
// and an attempt's row in the ledger as the one place where it is decided.
package protocol

import (
	"math"

	"antipode/regionnode"
	"antipode/replication/hlc"
)

// Item is what is known of one key when a message about it is decided. Decisions
// about a key follow one another: a later one sees what an earlier one changed.
type Item struct {
	// Exists: there is an item.
	Exists bool
	// Version is the time of the last write, also of a delete that is remembered
	// under the key; zero when the key is not there at all.
	Version hlc.Timestamp
	// Checked is the time of the last committed check of the item.
	Checked hlc.Timestamp
	// Pending is the attempt that has marked the key, nil for none.
	Pending *regionnode.TransactionID
}

// Watermarks are what a partition remembers of keys that are not there any more
// or never were. They only rise.
type Watermarks struct {
	// Deleted is the newest time of a delete that left nothing under its key.
	Deleted hlc.Timestamp
	// AbsentRead is the newest time of a committed check that found no item.
	AbsentRead hlc.Timestamp
	// Closed is a time up to which the partition has promised not to write.
	Closed hlc.Timestamp
}

// Verdict answers a prepare, as far as time and other transactions decide it.
type Verdict uint8

// The verdicts.
const (
	// Accept: nothing speaks against it.
	Accept Verdict = iota
	// Repeat: the same attempt has marked the key already.
	Repeat
	// Conflict: another attempt has.
	Conflict
	// Late: something that is ordered behind the attempt has happened.
	Late
)

// Prepare decides a prepare of attempt id. All comparisons are strict, so that
// a duplicate that comes after the commit is refused.
func Prepare(it Item, w Watermarks, id regionnode.TransactionID) Verdict {
	if it.Pending != nil {
		if *it.Pending == id {
			return Repeat
		}
		return Conflict
	}
	ordered := it.Version.Less(id.Time) && it.Checked.Less(id.Time) && w.Closed.Less(id.Time)
	if !it.Exists {
		ordered = ordered && w.Deleted.Less(id.Time) && w.AbsentRead.Less(id.Time)
	}
	if !ordered {
		return Late
	}
	return Accept
}

// Change is what a prepared operation does when it is committed. In marks on
// disk: never renumber.
type Change uint8

// The changes.
const (
	Put    Change = iota + 1 // the item becomes what was prepared
	Remove                   // there is no item afterwards
	Check                    // nothing changes
)

// Effect is what a commit does besides taking the mark away.
type Effect struct {
	// Write: the prepared image, or its absence, replaces what is stored, with the
	// attempt's time as its version.
	Write bool
	// Which of these times become the attempt's, unless they are newer.
	Checked, AbsentRead, Deleted bool
}

// Commit decides a commit of attempt id; false when there is nothing of it to
// commit, which says that it was done before. remembers tells that deletes leave
// their version under the key.
func Commit(it Item, id regionnode.TransactionID, c Change, remembers bool) (Effect, bool) {
	if !Holds(it, id) {
		return Effect{}, false
	}
	return effect(it, c, remembers), true
}

func effect(it Item, c Change, remembers bool) Effect {
	switch {
	case c == Check && it.Exists:
		return Effect{Checked: true}
	case c == Check:
		return Effect{AbsentRead: true}
	case c == Remove && !it.Exists && !remembers:
		return Effect{Deleted: true}
	}
	return Effect{Write: true, Deleted: c == Remove && !remembers}
}

// AtOnce decides a change of a transaction whose items one partition holds, and
// which is prepared and committed in one step there. Its time is given in that
// step, as a single write's is, and is newer than all that the partition knows
// of; so only a mark speaks against it, and false is a conflict.
func AtOnce(it Item, c Change, remembers bool) (Effect, bool) {
	if it.Pending != nil {
		return Effect{}, false
	}
	return effect(it, c, remembers), true
}

// Holds tells whether a cancel of attempt id has a mark to take away.
func Holds(it Item, id regionnode.TransactionID) bool {
	return it.Pending != nil && *it.Pending == id
}

// Below is the newest time up to t that a partition may close while the attempts
// of the given times have marks there: what they commit is newer.
func Below(t hlc.Timestamp, pending ...hlc.Timestamp) hlc.Timestamp {
	for _, p := range pending {
		if !t.Less(p) {
			t = before(p)
		}
	}
	return t
}

// before is the newest time before t.
func before(t hlc.Timestamp) hlc.Timestamp {
	if t.Logical > 0 {
		return hlc.Timestamp{Wall: t.Wall, Logical: t.Logical - 1}
	}
	return hlc.Timestamp{Wall: t.Wall - 1, Logical: math.MaxUint32}
}
