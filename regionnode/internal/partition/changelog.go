package partition

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"time"

	"antipode/regionnode/internal/keys"
	"antipode/regionnode/internal/store"
	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/hlc"
)

// ErrPosition refuses a position that the change log does not hold: trimmed,
// of another life of the table replica, or never written. Its reader must
// resynchronise.
var ErrPosition = errors.New("position is not in the change log")

// ErrNoReader refuses the position of a region that LogConfig does not name.
var ErrNoReader = errors.New("region does not read the change log")

const (
	// trimStep is how many records are removed at once, at least.
	trimStep = 1024
	// trimScan bounds how many records one trim looks at.
	trimScan = 16 * trimStep
)

// changeFormat is the first byte of a change record: cause, time in Unix
// milliseconds, the transaction if one is the cause, key, new value, old item.
const changeFormat byte = 2

// record appends the change record of a write, under the next sequence (I2).
func (a *applier) record(w *write) error {
	old, closer, err := a.store.Get(a.dataKey(0, w.Key))
	if err != nil {
		return err
	}
	value := append(make([]byte, 0, len(w.Transaction)+len(w.Key)+len(w.Value)+len(old)+28), changeFormat, byte(w.Cause))
	value = binary.AppendUvarint(value, uint64(a.state.Clock.Wall/int64(time.Millisecond)))
	if w.Cause == replication.ByTransaction {
		value = appendBytes(value, w.Transaction)
	}
	value = appendBytes(appendBytes(value, w.Key), w.Value)
	if closer != nil {
		image, err := storedItem(old)
		value = append(value, image...)
		if err := errors.Join(err, closer.Close()); err != nil {
			return fmt.Errorf("old image: %w", err)
		}
	}
	a.state.Sequence++
	return a.batch.Set(keys.Change(a.id, a.view.spec.Generation, a.state.Sequence), value, nil)
}

// decodeChange reads a change record; it aliases nothing.
func decodeChange(sequence uint64, b []byte) (replication.Record, error) {
	d := decoder{b: bytes.Clone(b)}
	if d.byte() != changeFormat {
		return replication.Record{}, errBroken
	}
	r := replication.Record{Sequence: sequence, Cause: replication.Cause(d.byte())}
	d.uvarint() // time
	if r.Cause == replication.ByTransaction {
		r.Transaction = string(d.bytes())
	}
	r.Key = d.bytes()
	s, err := decodeStored(d.bytes())
	if err := errors.Join(d.err(), err); err != nil {
		return replication.Record{}, err
	}
	r.Version, r.Context, r.Delete, r.New = s.Version, s.Context, s.Tombstone, s.Item
	if len(r.New) == 0 {
		r.New = nil
	}
	if len(d.b) > 0 {
		r.Old = d.b
	}
	return r, nil
}

// changeTime is when a change record was made, by the leader's clock, which in
// one log never goes back.
func changeTime(b []byte) (ms int64, err error) {
	d := decoder{b: b}
	if d.byte() != changeFormat {
		return 0, errBroken
	}
	d.byte()
	ms = int64(d.uvarint())
	return ms, d.err()
}

// LogEnd is the position of the last change record applied here.
func (p *Partition) LogEnd() replication.Position {
	p.applied.mu.Lock()
	defer p.applied.mu.Unlock()
	return p.view().spec.at(p.applied.state.Sequence)
}

// LogStart is the position before the oldest record that the log still holds.
func (p *Partition) LogStart() replication.Position {
	p.applied.mu.Lock()
	defer p.applied.mu.Unlock()
	return p.view().spec.start(p.applied.state.Trimmed)
}

// Head is LogEnd with a closed time that covers it: every record that this
// region originates at or before closed lies at or before end, now and later,
// whoever leads (I13).
func (p *Partition) Head() (end replication.Position, closed hlc.Timestamp) {
	p.buffer.mu.Lock()
	defer p.buffer.mu.Unlock()
	// Stamps are given under buffer.mu. With none open, a group of one may close
	// the present: its clock does not go back over a restart, and nobody else
	// will ever stamp.
	idle := p.buffer.pending.Load() == 0 && p.role.Load().ready && p.solo()
	p.applied.mu.Lock()
	defer p.applied.mu.Unlock()
	end, closed = p.view().spec.at(p.applied.state.Sequence), p.applied.state.Closed
	if idle {
		closed = p.promise(latest(closed, p.buffer.holds.below(p.host.cfg.Clock.Now(), p.host.cfg.Clock.Physical())))
	}
	return end, closed
}

// LogChanged is closed when ReadLog has, or may have, something after after, or
// the partition is closed; already if that is so.
func (p *Partition) LogChanged(after replication.Position) <-chan struct{} {
	p.applied.mu.Lock()
	defer p.applied.mu.Unlock()
	if after != p.view().spec.at(p.applied.state.Sequence) {
		now := make(chan struct{})
		close(now)
		return now
	}
	return p.applied.logged
}

// ReadLog reads what follows after from this replica's applied state: at most
// maxRecords records of about maxBytes, at least one if there is one, all of one
// generation. end is where to go on: at the end of a closed generation there are
// no records, and end is the start of the next. A position that the log does not
// hold is ErrPosition.
func (p *Partition) ReadLog(ctx context.Context, after replication.Position, maxRecords, maxBytes int) (recs []replication.Record, end replication.Position, err error) {
	if err := ctx.Err(); err != nil {
		return nil, after, err
	}
	p.applied.mu.Lock()
	spec, st := p.view().spec, p.applied.state
	p.applied.mu.Unlock()
	g, ok := spec.holds(after, &st)
	if !ok {
		return nil, after, ErrPosition
	}
	if after.Sequence == g.end && g.next != 0 {
		return nil, replication.Position{Incarnation: after.Incarnation, Generation: g.next, Sequence: g.end}, nil
	}
	it, err := p.host.cfg.Store.Iterate(keys.Changes(p.id, g.generation, after.Sequence+1, g.end+1))
	if err != nil {
		return nil, after, err
	}
	defer it.Close()
	end = after
	size := 0
	for ok := it.First(); ok && len(recs) < maxRecords; ok = it.Next() {
		value := it.Value()
		if size += len(value); size > maxBytes && len(recs) > 0 {
			break
		}
		sequence, _ := keys.ChangeSequence(it.Key())
		if sequence != end.Sequence+1 {
			// Trimmed since the state was read.
			return nil, after, ErrPosition
		}
		r, err := decodeChange(sequence, value)
		if err != nil {
			return nil, after, fmt.Errorf("%s: %w", keys.Print(it.Key()), err)
		}
		recs, end.Sequence = append(recs, r), sequence
	}
	return recs, end, it.Error()
}

// positionLatch orders the readers' positions. It is shorter than any table key.
const positionLatch = "reader"

// SetPosition makes a reader's position durable on a majority before it returns
// (I7), and removes records that every reader has passed. A position at or
// before the reader's changes nothing.
func (p *Partition) SetPosition(ctx context.Context, peer replication.Region, pos replication.Position) error {
	return p.exclusive(ctx, positionLatch, func(v *view) ([]byte, error) {
		p.applied.mu.Lock()
		st, old := p.applied.state, p.applied.positions[peer]
		positions := maps.Clone(p.applied.positions)
		p.applied.mu.Unlock()
		_, held := v.spec.holds(pos, &st)
		switch {
		case !v.spec.Log.On || !v.spec.reads(peer):
			return nil, ErrNoReader
		case !held:
			return nil, ErrPosition
		case reached(old, pos):
			return nil, nil
		}
		positions[peer] = pos
		effects := appendPosition(nil, peer, pos)
		to, err := p.trimmable(v.spec, st, positions, trimStep)
		if err == nil && to >= st.Trimmed+trimStep {
			effects = appendNumbered(effects, trimEffect, to)
		}
		return effects, err
	})
}

// trimmable is the sequence up to which no reader needs the log. The answer is
// rough as long as it is less than step records away.
func (p *Partition) trimmable(spec *Spec, st appliedState, positions map[replication.Region]replication.Position, step uint64) (uint64, error) {
	to := st.Sequence
	for _, peer := range spec.readers() {
		pos, ok := positions[peer]
		if !ok {
			return st.Trimmed, nil
		}
		to = min(to, pos.Sequence)
	}
	if !spec.Log.Stream && !spec.shown(st.Trimmed) || to < st.Trimmed+step {
		return to, nil
	}
	return p.streamTrimmable(spec, st.Trimmed, to)
}

// streamTrimmable is the last of the records from trimmed to to that is older
// than streams may read.
func (p *Partition) streamTrimmable(spec *Spec, trimmed, to uint64) (uint64, error) {
	horizon := (p.host.cfg.Clock.Physical() - int64(table.StreamRetention)) / int64(time.Millisecond)
	it, err := p.host.cfg.Store.Iterate(spec.changes(p.id, trimmed+1, to))
	if err != nil {
		return trimmed, err
	}
	defer it.Close()
	old := trimmed
	for ok := it.First(); ok && old < trimmed+trimScan; ok = it.Next() {
		sequence, _ := keys.ChangeSequence(it.Key())
		at, err := changeTime(it.Value())
		if err != nil {
			return trimmed, fmt.Errorf("%s: %w", keys.Print(it.Key()), err)
		}
		if at > horizon {
			break
		}
		old = sequence
	}
	return old, it.Error()
}

// putPosition carries out a positionEffect.
func (a *applier) putPosition(d *decoder) error {
	peer := replication.Region(d.bytes())
	pos := d.position()
	if d.bad {
		return errBroken
	}
	a.readers()[peer] = pos
	return a.batch.Set(keys.Position(a.id, peer), appendPositionValue(nil, pos), nil)
}

// readers are the positions to change.
func (a *applier) readers() map[replication.Region]replication.Position {
	if a.positions == nil {
		a.positions = maps.Clone(a.current)
	}
	return a.positions
}

// trim carries out a trimEffect.
func (a *applier) trim(d *decoder) error { return a.trimTo(d.uvarint()) }

func (a *applier) trimTo(sequence uint64) error {
	if sequence = min(sequence, a.state.Sequence); sequence > a.state.Trimmed {
		span := a.view.spec.changes(a.id, a.state.Trimmed+1, sequence)
		a.state.Trimmed = sequence
		if err := a.batch.DeleteRange(span.Start, span.End, nil); err != nil {
			return err
		}
	}
	return a.forgetClosed()
}

func readPositions(s *store.Store, id table.PartitionID) (map[replication.Region]replication.Position, error) {
	it, err := s.Iterate(keys.Positions(id))
	if err != nil {
		return nil, err
	}
	defer it.Close()
	out := make(map[replication.Region]replication.Position)
	for ok := it.First(); ok; ok = it.Next() {
		peer, _ := keys.PositionReader(it.Key())
		d := decoder{b: it.Value()}
		if out[peer] = d.position(); d.bad {
			return nil, fmt.Errorf("%s: %w", keys.Print(it.Key()), errBroken)
		}
	}
	return out, it.Error()
}
