package partition

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"antipode/regionnode/internal/keys"
	"antipode/regionnode/internal/store"
	"antipode/regionnode/table"
	"antipode/replication"
)

// Effects on a partition's range. In logs on disk: never renumber.
const (
	splitEffect byte = iota + 64 // the upper hashes go to a new partition
	fenceEffect                  // a new range epoch, and nothing else
)

// counts are of items (0) and of local indexes (1…5).
type counts [maxLocal + 1]Count

// splitPlan is a splitEffect: all that the members cannot work out for
// themselves without reading the whole right half.
type splitPlan struct {
	SplitRecord
	// Counts of what the right child gets.
	Counts counts
}

func (s *splitPlan) append(dst []byte) []byte {
	dst = appendNumbered(dst, splitEffect, uint64(s.Right), s.At, uint64(s.LeftGeneration), uint64(s.RightGeneration))
	for _, c := range s.Counts {
		dst = binary.AppendVarint(binary.AppendVarint(dst, c.Items), c.Bytes)
	}
	return dst
}

func (s *splitPlan) decode(d *decoder) error {
	s.Right, s.At = table.PartitionID(d.uvarint()), d.uvarint()
	s.LeftGeneration, s.RightGeneration = replication.Generation(d.uvarint()), replication.Generation(d.uvarint())
	for i := range s.Counts {
		s.Counts[i] = Count{Items: d.varint(), Bytes: d.varint()}
	}
	return d.err()
}

// split carries out a splitEffect, which is alone in its entry. No item moves:
// keys do not name partitions. What is kept beside them under the parent's id is
// dealt out to the children.
func (a *applier) split(d *decoder) error {
	var plan splitPlan
	if err := plan.decode(d); err != nil {
		return err
	}
	parent := a.view.spec
	if !parent.inside(plan.At) {
		return errBroken
	}
	left, right := parent.divide(&plan, a.state.Sequence, a.state.Clock.Wall/int64(time.Millisecond))
	state := appliedState{
		Index: firstIndex, Term: firstTerm, Clock: a.state.Clock, Closed: a.state.Closed,
		Sequence: a.state.Sequence, Trimmed: a.state.Sequence,
		Counts: plan.Counts, Deleted: a.state.Deleted, AbsentRead: a.state.AbsentRead,
	}
	for i, c := range plan.Counts {
		a.state.Counts[i].Items -= c.Items
		a.state.Counts[i].Bytes -= c.Bytes
	}
	there, err := a.has(keys.Descriptor(right.ID))
	if err != nil {
		return err
	}
	past, err := a.past(right.ID)
	if err != nil {
		return err
	}
	a.unwanted = !there && past.gone > right.Epoch.Members
	m := mover{a: a, to: right.ID, drop: there || a.unwanted, moves: right.hashes().Contains}
	if err := m.parked(); err != nil {
		return err
	}
	state.Parked = m.movedParked
	if err := m.indexState(); err != nil {
		return err
	}
	if err := a.splitPositions(&m, left, right); err != nil {
		return err
	}
	if err := a.putSpec(left); err != nil {
		return err
	}
	a.moved = right
	switch {
	case there:
		// Never overwritten: what is there is newer.
		return nil
	case a.unwanted:
		// The others have removed this node meanwhile.
		for _, span := range keys.DataSpans(right.Table, right.hashes()) {
			if err := a.batch.DeleteRange(span.Start, span.End, nil); err != nil {
				return err
			}
		}
		return nil
	}
	return recordReplica(a.batch, right, &state, past)
}

// divide makes the children's descriptors. n is the last sequence of the parent's
// log, at the time in Unix milliseconds.
func (s *Spec) divide(plan *splitPlan, n uint64, at int64) (left, right *Spec) {
	l, r := *s, *s
	record := plan.SplitRecord
	l.End, r.Start = plan.At, plan.At
	l.Epoch.Range++
	r.Epoch.Range++
	r.ID, r.Members = plan.Right, slices.Clone(s.Members)
	l.Generation, r.Generation = plan.LeftGeneration, plan.RightGeneration
	l.Split, r.Split = &record, nil
	l.Closed = append(slices.Clone(s.Closed), ClosedLog{Generation: s.Generation, End: n, At: at})
	r.Closed, l.Streams, r.Streams = nil, nil, nil
	var opened []StreamWindow
	for _, w := range s.Streams {
		if !w.Closed {
			next := StreamWindow{Label: w.Label, Generation: l.Generation, Parent: s.Generation, Start: n}
			opened = append(opened, next)
			next.Generation = r.Generation
			r.Streams = append(r.Streams, next)
			w.Closed, w.End, w.ClosedAt = true, n, at
		}
		l.Streams = append(l.Streams, w)
	}
	l.Streams = append(l.Streams, opened...)
	return &l, &r
}

// splitPositions gives the right child's log the parent's readers, who begin at
// its start. Those of regions still have to read the parent's log to its end;
// global indexes have.
func (a *applier) splitPositions(m *mover, left, right *Spec) error {
	n := a.state.Sequence
	indexes := map[replication.Region]bool{}
	for _, x := range left.indexed() {
		indexes[indexReader(x.Table)] = true
	}
	readers := slices.Collect(maps.Keys(a.readers()))
	if left.Log.On {
		for reader := range indexes {
			if _, begun := a.positions[reader]; !begun {
				readers = append(readers, reader)
			}
		}
	}
	slices.Sort(readers)
	for _, reader := range readers {
		if indexes[reader] {
			a.positions[reader] = left.at(n)
			if err := a.batch.Set(keys.Position(a.id, reader), appendPositionValue(nil, left.at(n)), nil); err != nil {
				return err
			}
		}
		if err := m.put(keys.Position(right.ID, reader), appendPositionValue(nil, right.at(n))); err != nil {
			return err
		}
	}
	return nil
}

// fence carries out a fenceEffect.
func (a *applier) fence(d *decoder) error {
	next := *a.currentSpec()
	next.Epoch.Range = uint32(d.uvarint())
	if d.bad {
		return errBroken
	}
	return a.putSpec(&next)
}

// mover deals out what lies under the parent's id.
type mover struct {
	a  *applier
	to table.PartitionID
	// drop: the right child is here already and has all this.
	drop bool
	// moves tells whether a table key goes to the right child.
	moves       func(key []byte) bool
	movedParked uint64
}

func (m *mover) put(key, value []byte) error {
	if m.drop {
		return nil
	}
	return m.a.batch.Set(key, value, nil)
}

// parked moves the parked records of the right child's keys.
func (m *mover) parked() error {
	return eachKey(m.a.store, keys.ParkedRecords(m.a.id), func(key, value []byte) error {
		v, record, ok := keys.ParkedVersion(key)
		if !ok {
			return errBroken
		}
		if !m.moves(record) {
			return nil
		}
		m.movedParked++
		m.a.state.Parked--
		if err := m.a.batch.Delete(key, nil); err != nil {
			return err
		}
		return m.put(keys.Parked(m.to, v, record), value)
	})
}

// indexState gives both children of an index's partition how far each change log
// is applied, and each the tombstones of its entries; both children of an item
// partition have put as much into an index as the parent had.
func (m *mover) indexState() error {
	err := eachKey(m.a.store, keys.IndexSources(m.a.id), func(key, value []byte) error {
		g, ok := keys.IndexSourceGeneration(key)
		if !ok {
			return errBroken
		}
		return m.put(keys.IndexSource(m.to, g), value)
	})
	if err != nil {
		return err
	}
	err = eachKey(m.a.store, keys.IndexProgresses(m.a.id), func(key, value []byte) error {
		index, ok := keys.IndexProgressTable(key)
		if !ok {
			return errBroken
		}
		return m.put(keys.IndexProgress(m.to, index), value)
	})
	if err != nil {
		return err
	}
	return eachKey(m.a.store, keys.IndexTombstones(m.a.id), func(key, value []byte) error {
		g, entry, ok := keys.IndexTombstoneEntry(key)
		if !ok {
			return errBroken
		}
		if !m.moves(entry) {
			return nil
		}
		if err := m.a.batch.Delete(key, nil); err != nil {
			return err
		}
		return m.put(keys.IndexTombstone(m.to, g, entry), value)
	})
}

// eachKey calls f with each pair of a span, of which f may keep nothing but the
// copies that it makes.
func eachKey(s *store.Store, span keys.Span, f func(key, value []byte) error) error {
	it, err := s.Iterate(span)
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		if err := f(bytes.Clone(it.Key()), it.Value()); err != nil {
			return fmt.Errorf("%s: %w", keys.Print(it.Key()), err)
		}
	}
	return it.Error()
}

// showSplit opens the right child once the left one's range is in force, so that
// no key has two partitions that take writes. Whoever leads the left one stands
// for election at once.
func (p *Partition) showSplit(right *Spec, unwanted bool) error {
	p.forgetMoved()
	if unwanted {
		return nil
	}
	q, err := p.host.adopt(right)
	if err != nil || q == nil {
		return err
	}
	if p.role.Load().leading {
		q.campaignEagerly()
	}
	return nil
}

// adopt opens a partition that a split has made; nil when the host is closing, or
// has it open already.
func (h *Host) adopt(spec *Spec) (*Partition, error) {
	if _, ok := h.Partition(spec.ID); ok {
		return nil, nil
	}
	// It may have been here before a crash that forgot it, and have promised.
	q, err := h.open(spec, true)
	if errors.Is(err, ErrClosed) {
		return nil, nil // it is recorded, and opened by the next start
	}
	return q, err
}

// forgetMoved drops from memory what transactions have of keys that have moved.
// Who waits for a mark is told, and finds that the key is elsewhere.
func (p *Partition) forgetMoved() {
	kept := p.view().spec.hashes()
	p.buffer.mu.Lock()
	defer p.buffer.mu.Unlock()
	t := &p.transactions
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, m := range t.marks {
		if !kept.Contains([]byte(key)) {
			p.buffer.holds.drop(m.id.Time)
			delete(t.marks, key)
			close(m.resolved)
		}
	}
	for key := range t.checks {
		if !kept.Contains([]byte(key)) {
			delete(t.checks, key)
		}
	}
}
