package replication

import "antipode/replication/hlc"

// Wins is last-writer-wins: incoming replaces what is held exactly when its
// version is greater. An equal version is the same write and changes nothing.
// Decide it in the same atomic step as the write.
func Wins(incoming, held Version) bool { return incoming.Compare(held) > 0 }

// Value is what the conflict rule needs to know of one write of a key.
type Value struct {
	Version Version
	// Context is what the write had seen; see Context.
	Context Context
	Delete  bool
}

// Follow is the context of a local write that replaces held: what held had
// seen, and held itself. The zero Value may be a deletion that is remembered no
// more, with everything at or before the floor under which deletions are dropped
// here (I6); such a write has seen all of that. Zero for no floor.
func Follow(held Value, floor hlc.Timestamp) Context {
	if held.Version.IsZero() {
		var none Context
		return none.With(Version{Time: floor, Region: everywhere})
	}
	return held.Context.With(held.Version)
}

// Conflicts tells whether winner replaced, or kept out, loser without having
// seen it: loser is a lost write. Not so when there was nothing to lose, when
// both are deletes, or when they are one write.
func Conflicts(winner, loser Value) bool {
	switch {
	case loser.Version.IsZero(), winner.Version == loser.Version:
		return false
	case winner.Delete && loser.Delete:
		return false
	}
	return !winner.Context.Includes(loser.Version)
}
