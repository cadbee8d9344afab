package partition

import (
	"slices"
	"time"

	"antipode/regionnode/internal/keys"
	"antipode/regionnode/table"
	"antipode/replication"
)

// ClosedLog is a generation of the change log that a split has closed. Its
// sequences go on in the next one, so a partition's log is the row of its
// generations, and a sequence alone names a record of it.
type ClosedLog struct {
	Generation replication.Generation `msgpack:"g"`
	// End is the last sequence of the generation.
	End uint64 `msgpack:"e"`
	// At is when it was closed, in Unix milliseconds.
	At int64 `msgpack:"a"`
}

// generationOf is the generation that holds a sequence, or will.
func (s *Spec) generationOf(sequence uint64) replication.Generation {
	for i := range s.Closed {
		if sequence <= s.Closed[i].End {
			return s.Closed[i].Generation
		}
	}
	return s.Generation
}

// start is the position before the record that follows sequence trimmed.
func (s *Spec) start(trimmed uint64) replication.Position {
	return replication.Position{Incarnation: s.Incarnation, Generation: s.generationOf(trimmed + 1), Sequence: trimmed}
}

// changes bounds the records of sequences lo up to hi, both included. Later
// generations have greater numbers, so the span is in the order of sequences.
func (s *Spec) changes(id table.PartitionID, lo, hi uint64) keys.Span {
	return keys.Span{
		Start: keys.Change(id, s.generationOf(lo), lo),
		End:   keys.Change(id, s.generationOf(hi), hi+1),
	}
}

// stretch is one generation as a reader at a position meets it.
type stretch struct {
	generation replication.Generation
	// end is the last sequence of it, now or for good.
	end uint64
	// next is the generation that follows, 0 for the one being written.
	next replication.Generation
}

// holds finds a position's generation; false for a position that the log does
// not have: trimmed, of another life of the table replica, or never written.
func (s *Spec) holds(p replication.Position, st *appliedState) (stretch, bool) {
	if p.Incarnation != s.Incarnation || p.Sequence < st.Trimmed {
		return stretch{}, false
	}
	begin := uint64(0)
	for i := range s.Closed {
		c := &s.Closed[i]
		if c.Generation == p.Generation {
			g := stretch{generation: c.Generation, end: c.End, next: s.Generation}
			if i+1 < len(s.Closed) {
				g.next = s.Closed[i+1].Generation
			}
			return g, p.Sequence >= begin && p.Sequence <= c.End
		}
		begin = c.End
	}
	return stretch{generation: s.Generation, end: st.Sequence},
		p.Generation == s.Generation && p.Sequence >= begin && p.Sequence <= st.Sequence
}

// reached tells whether a reader that stands at one position of a log has
// nothing to learn from another.
func reached(at, other replication.Position) bool {
	return at.Incarnation == other.Incarnation && at.Incarnation != 0 &&
		at.Generation >= other.Generation && at.Sequence >= other.Sequence
}

// closedRetention is how long a closed generation, and the shard that a stream
// shows of it, are known after the split, even if they have no records left:
// readers find out at leisure that the log goes on.
const closedRetention = table.StreamRetention

// outlived tells whether what was closed at a time, up to a sequence, may be
// forgotten.
func outlived(at int64, end uint64, st *appliedState, now int64) bool {
	return end <= st.Trimmed && now-at >= int64(closedRetention/time.Millisecond)
}

// forgettable tells whether forgetClosed would find something, at a time in Unix
// milliseconds.
func (s *Spec) forgettable(st *appliedState, positions map[replication.Region]replication.Position, now int64) bool {
	return slices.ContainsFunc(s.Closed, func(c ClosedLog) bool { return c.forgettable(st, positions, now) }) ||
		slices.ContainsFunc(s.Streams, func(w StreamWindow) bool { return w.forgettable(st, now) })
}

func (c *ClosedLog) forgettable(st *appliedState, positions map[replication.Region]replication.Position, now int64) bool {
	for _, p := range positions {
		if p.Generation <= c.Generation {
			return false
		}
	}
	return outlived(c.At, c.End, st, now)
}

func (w *StreamWindow) forgettable(st *appliedState, now int64) bool {
	return w.ClosedAt != 0 && outlived(w.ClosedAt, w.End, st, now)
}

// forgetClosed drops closed generations and their shards once nobody can ask for
// them any more.
func (a *applier) forgetClosed() error {
	s := a.currentSpec()
	positions, now := a.current, a.state.Clock.Wall/int64(time.Millisecond)
	if a.positions != nil {
		positions = a.positions
	}
	if !s.forgettable(&a.state, positions, now) {
		return nil
	}
	next := *s
	next.Closed = slices.DeleteFunc(slices.Clone(s.Closed), func(c ClosedLog) bool { return c.forgettable(&a.state, positions, now) })
	next.Streams = slices.DeleteFunc(slices.Clone(s.Streams), func(w StreamWindow) bool { return w.forgettable(&a.state, now) })
	return a.putSpec(&next)
}
