package partition

import (
	"context"
	"errors"
	"fmt"

	"antipode/regionnode"
	"antipode/regionnode/internal/keys"
	"antipode/regionnode/item"
	"antipode/replication"
)

// unparkBatch bounds how many parked records are taken up at once.
const unparkBatch = 256

// park makes the proposal that sets a record aside until the clock has come
// near it (I12); nil when it is set aside already.
func (e *evaluation) park(rec *replication.Record, r *role) (*proposal, error) {
	cfg := &e.p.host.cfg
	key := keys.Parked(e.p.id, rec.Version, rec.Key)
	old, err := cfg.Store.GetCopy(key)
	if err != nil || old != nil {
		return nil, err
	}
	cfg.Log.Warn("record of another region is ahead of this clock: parked",
		"partition", e.p.id, "version", rec.Version, "physical", cfg.Clock.Physical())
	image := item.Encoded(rec.New)
	if rec.Delete {
		image = nil
	}
	return &proposal{
		term: r.term, view: e.view, stamp: noStamp, done: make(chan error, 1),
		effects: appendKeyed(nil, parkEffect, key, appendStored(nil, rec.Version, rec.Context, image)),
	}, nil
}

// park carries out a parkEffect. A record is counted once, however often it is
// parked.
func (a *applier) park(d *decoder) error {
	key, value := d.bytes(), d.bytes()
	there, err := a.has(key)
	if err != nil || there {
		return err
	}
	a.state.Parked++
	return a.batch.Set(key, value, nil)
}

// unpark carries out an unparkEffect.
func (a *applier) unpark(d *decoder) error {
	key := d.bytes()
	there, err := a.has(key)
	if err != nil || !there {
		return err
	}
	a.state.Parked--
	return a.batch.Delete(key, nil)
}

func (a *applier) has(key []byte) (bool, error) {
	_, closer, err := a.store.Get(key)
	if err != nil || closer == nil {
		return false, err
	}
	return true, closer.Close()
}

// OldestParked is the version of the oldest parked record; closed time of
// records from other regions must stay below it (I12). false when none is.
func (p *Partition) OldestParked() (replication.Version, bool, error) {
	it, err := p.host.cfg.Store.Iterate(keys.ParkedRecords(p.id))
	if err != nil {
		return replication.Version{}, false, err
	}
	defer it.Close()
	if !it.First() {
		return replication.Version{}, false, it.Error()
	}
	v, _, ok := keys.ParkedVersion(it.Key())
	if !ok {
		return v, false, fmt.Errorf("%s: %w", keys.Print(it.Key()), errBroken)
	}
	return v, true, nil
}

// unparkSoon takes up parked records in the background, if the clock has come
// near enough to the oldest; one goroutine at a time.
func (p *Partition) unparkSoon() {
	oldest, ok, err := p.OldestParked()
	if err != nil {
		p.warn("parked records: " + err.Error())
		return
	}
	if !ok || p.host.cfg.Clock.Check(oldest.Time) != nil || !p.unparking.CompareAndSwap(false, true) {
		return
	}
	p.host.tasks.Go(func() {
		defer p.unparking.Store(false)
		if err := p.unpark(p.host.ctx); err != nil && p.host.ctx.Err() == nil {
			p.warn("apply parked records: " + err.Error())
		}
	})
}

// unpark applies the parked records that the clock has come near, oldest first.
// What fails stays parked for the next tick.
func (p *Partition) unpark(ctx context.Context) error {
	due, err := p.dueParked()
	if err != nil {
		return err
	}
	for i := range due {
		if err := p.unparkOne(ctx, &due[i]); err != nil && !errors.Is(err, errNotApplied) {
			return err
		}
	}
	return nil
}

// dueParked reads the oldest records that the clock has come near.
func (p *Partition) dueParked() ([]replication.Record, error) {
	it, err := p.host.cfg.Store.Iterate(keys.ParkedRecords(p.id))
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var due []replication.Record
	for ok := it.First(); ok && len(due) < unparkBatch; ok = it.Next() {
		_, key, ok := keys.ParkedVersion(it.Key())
		s, err := decodeStored(append([]byte(nil), it.Value()...))
		if !ok || err != nil {
			return nil, fmt.Errorf("%s: %w", keys.Print(it.Key()), errBroken)
		}
		if p.host.cfg.Clock.Check(s.Version.Time) != nil {
			break
		}
		due = append(due, replication.Record{
			Key: append([]byte(nil), key...), Version: s.Version, Context: s.Context, Delete: s.Tombstone, New: s.Item,
		})
	}
	return due, it.Error()
}

func (p *Partition) unparkOne(ctx context.Context, rec *replication.Record) error {
	latch := string(rec.Key)
	if err := p.latches.acquire(ctx, latch); err != nil {
		return err
	}
	prop, err := p.evaluateRemote(ctx, rec, keys.Parked(p.id, rec.Version, rec.Key))
	if err != nil || prop == nil {
		p.latches.release(latch)
		var stale *regionnode.Stale
		if isMarked(err) || errors.As(err, &stale) {
			return nil // stays parked until a later tick, or has moved
		}
		return err
	}
	prop.latched = []string{latch}
	if err := p.submit(prop); err != nil {
		return err
	}
	return prop.await(ctx)
}
