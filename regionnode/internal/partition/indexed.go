package partition

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"antipode/regionnode"
	"antipode/regionnode/internal/keys"
	"antipode/regionnode/table"
	"antipode/replication"
)

// ErrSuperseded refuses an index batch of a leader that has been followed by
// another: the other one's batches say the same, and more.
var ErrSuperseded = errors.New("index batch of an earlier leader")

var errUnsorted = errors.New("index batch is not sorted")

// Effects on partitions of global indexes, and on the item partitions behind
// them. In logs on disk: never renumber.
const (
	entryEffect  byte = iota + 32 // one entry's new value
	sourceEffect                  // how far a change log is applied
	forgetEffect                  // a back-fill's tombstone is not needed any more
	filledEffect                  // how far an item partition is back-filled
)

// global is the index whose entries the partition holds; nil when it holds
// items, or when the index is leaving.
func (s *Spec) global() *table.Index {
	d := s.Descriptor
	if d == nil || d.ID == s.Table {
		return nil
	}
	for i := range d.Globals {
		if d.Globals[i].Table == s.Table {
			return &d.Globals[i]
		}
	}
	return nil
}

// indexSource is how far one change log is applied here.
type indexSource struct{ Term, Sequence uint64 }

func (p *Partition) indexSource(g replication.Generation) (indexSource, error) {
	raw, err := p.host.cfg.Store.GetCopy(keys.IndexSource(p.id, g))
	if err != nil || raw == nil {
		return indexSource{}, err
	}
	d := decoder{b: raw}
	s := indexSource{Term: d.uvarint(), Sequence: d.uvarint()}
	return s, d.err()
}

// sourceLatch orders the batches of one change log. An entry belongs to one item,
// so no two logs write the same entry.
func sourceLatch(g replication.Generation) string {
	return string(binary.BigEndian.AppendUint64([]byte("source"), uint64(g)))
}

// ApplyIndex makes what one item partition says of its items true here, durably
// on a majority before it returns. What was applied before changes nothing, so a
// batch may come again after any error. An entry only gives way to a newer
// version of its item.
func (p *Partition) ApplyIndex(ctx context.Context, b *regionnode.IndexBatch) error {
	if _, err := p.check(&b.Target); err != nil {
		return err
	}
	err := p.exclusive(ctx, sourceLatch(b.Source), func(v *view) ([]byte, error) { return p.evaluateIndex(v, b) })
	if errors.Is(err, ErrSuperseded) || errors.Is(err, errUnsorted) {
		return fmt.Errorf("partition %d: %w", p.id, err)
	}
	return p.outward(err)
}

func (p *Partition) evaluateIndex(v *view, b *regionnode.IndexBatch) ([]byte, error) {
	x := v.spec.global()
	switch {
	case x == nil:
		return nil, p.stale("index is leaving")
	case b.Target.Range != v.spec.Epoch.Range:
		return nil, p.stale("range changed")
	}
	at, err := p.indexSource(b.Source)
	if err != nil {
		return nil, err
	}
	if at.Term > b.Term {
		return nil, ErrSuperseded
	}
	if b.Through == 0 && !x.Backfilling {
		return nil, nil // a page that was under way when the back-fill ended: it is in already
	}
	e := entryEvaluation{p: p, v: v, source: b.Source, keep: x.Backfilling}
	for i := range b.Changes {
		c := &b.Changes[i]
		if i > 0 && bytes.Compare(b.Changes[i-1].Key, c.Key) >= 0 {
			return nil, errUnsorted
		}
		if b.Through > 0 && c.Sequence <= at.Sequence {
			continue
		}
		if err := e.one(c); err != nil {
			return nil, err
		}
	}
	if b.Through <= at.Sequence && b.Term == at.Term {
		return e.effects, nil
	}
	return appendNumbered(e.effects, sourceEffect, uint64(b.Source), b.Term, max(b.Through, at.Sequence)), nil
}

// entryEvaluation turns changes into effects.
type entryEvaluation struct {
	p      *Partition
	v      *view
	source replication.Generation
	// keep leaves tombstones, which beat what the back-fill reads late.
	keep    bool
	effects []byte
}

func (e *entryEvaluation) one(c *regionnode.IndexChange) error {
	if !e.v.spec.hashes().Contains(c.Key) {
		return e.p.stale("key lies outside")
	}
	raw, closer, err := e.p.host.cfg.Store.GetNew(keyOf(e.v, c.Key))
	if err != nil {
		return err
	}
	var old stored
	if closer != nil {
		defer closer.Close()
		if old, err = decodeStored(raw); err != nil {
			return fmt.Errorf("stored index entry: %w", err)
		}
	}
	if old.Version.Compare(c.Version) >= 0 {
		return nil
	}
	w := entryWrite{Key: c.Key, Bytes: int64(c.Image.Size() - old.Item.Size())}
	if old.live() {
		w.Items--
	}
	switch {
	case len(c.Image) > 0:
		w.Items++
		w.Value = appendStored(nil, c.Version, nil, c.Image)
	case e.keep:
		w.Value, w.Forget = appendStored(nil, c.Version, nil, nil), e.source
	case closer == nil:
		return nil
	}
	e.effects = w.append(e.effects)
	return nil
}

// entryWrite is an entryEffect.
type entryWrite struct {
	Key []byte
	// Value in the item span's form; empty removes the entry.
	Value []byte
	// Items and Bytes are changes of the partition's counters.
	Items, Bytes int64
	// Forget lists a tombstone as one of that log's; 0 lists nothing.
	Forget replication.Generation
}

func (w *entryWrite) append(dst []byte) []byte {
	dst = appendKeyed(dst, entryEffect, w.Key, w.Value)
	dst = binary.AppendVarint(dst, w.Items)
	dst = binary.AppendVarint(dst, w.Bytes)
	return binary.AppendUvarint(dst, uint64(w.Forget))
}

// putEntry carries out an entryEffect.
func (a *applier) putEntry(d *decoder) error {
	w := entryWrite{
		Key: d.bytes(), Value: d.bytes(), Items: d.varint(), Bytes: d.varint(),
		Forget: replication.Generation(d.uvarint()),
	}
	if d.bad {
		return errBroken
	}
	a.state.Counts[0].Items += w.Items
	a.state.Counts[0].Bytes += w.Bytes
	a.tally.note(0, w.Key, w.Items, w.Bytes)
	if w.Forget != 0 {
		if err := a.batch.Set(keys.IndexTombstone(a.id, w.Forget, w.Key), nil, nil); err != nil {
			return err
		}
	}
	key := a.dataKey(0, w.Key)
	if len(w.Value) == 0 {
		return a.batch.Delete(key, nil)
	}
	return a.batch.Set(key, w.Value, nil)
}

// putSource carries out a sourceEffect.
func (a *applier) putSource(d *decoder) error {
	g, term, sequence := d.uvarint(), d.uvarint(), d.uvarint()
	if d.bad {
		return errBroken
	}
	value := binary.AppendUvarint(binary.AppendUvarint(nil, term), sequence)
	return a.batch.Set(keys.IndexSource(a.id, replication.Generation(g)), value, nil)
}

// forgetPage bounds how many tombstones one raft entry removes.
const forgetPage = 1000

// ForgetTombstones removes what deletes left behind while the index was
// back-filled. It does nothing before the back-fill has ended.
func (p *Partition) ForgetTombstones(ctx context.Context) error {
	for {
		g, found, err := p.firstTombstone()
		if err != nil || !found {
			return err
		}
		err = p.exclusive(ctx, sourceLatch(g), func(v *view) ([]byte, error) {
			if x := v.spec.global(); x == nil || x.Backfilling {
				return nil, nil
			}
			return p.evaluateForget(v, g)
		})
		if err != nil {
			return err
		}
		if x := p.Spec().global(); x == nil || x.Backfilling {
			return nil
		}
	}
}

// firstTombstone is the log that the first of the tombstones belongs to.
func (p *Partition) firstTombstone() (replication.Generation, bool, error) {
	it, err := p.host.cfg.Store.Iterate(keys.IndexTombstones(p.id))
	if err != nil {
		return 0, false, err
	}
	defer it.Close()
	if !it.First() {
		return 0, false, it.Error()
	}
	g, _, ok := keys.IndexTombstoneEntry(it.Key())
	return g, ok, nil
}

// evaluateForget lists the effects for a page of one log's tombstones. With the
// log's latch held, nothing else writes their entries.
func (p *Partition) evaluateForget(v *view, g replication.Generation) ([]byte, error) {
	it, err := p.host.cfg.Store.Iterate(keys.IndexTombstones(p.id))
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var effects []byte
	n := 0
	for ok := it.First(); ok && n < forgetPage; ok = it.Next() {
		owner, key, known := keys.IndexTombstoneEntry(it.Key())
		if !known || owner != g {
			break
		}
		gone, err := p.tombstoned(v, key)
		if err != nil {
			return nil, err
		}
		effects = appendKeyed(effects, forgetEffect, bytes.Clone(key))
		effects = binary.AppendUvarint(effects, uint64(g))
		effects = append(effects, gone)
		n++
	}
	return effects, it.Error()
}

// tombstoned is 1 if a tombstone is stored under the key.
func (p *Partition) tombstoned(v *view, key []byte) (byte, error) {
	raw, closer, err := p.host.cfg.Store.Get(keyOf(v, key))
	if err != nil || closer == nil {
		return 0, err
	}
	defer closer.Close()
	s, err := decodeStored(raw)
	if err != nil || !s.Tombstone {
		return 0, err
	}
	return 1, nil
}

// forget carries out a forgetEffect.
func (a *applier) forget(d *decoder) error {
	key, g, gone := d.bytes(), replication.Generation(d.uvarint()), d.byte()
	if d.bad {
		return errBroken
	}
	if gone != 0 {
		if err := a.batch.Delete(a.dataKey(0, key), nil); err != nil {
			return err
		}
	}
	return a.batch.Delete(keys.IndexTombstone(a.id, g, key), nil)
}
