package partition

import (
	"context"
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"

	"antipode/regionnode/internal/keys"
	"antipode/regionnode/table"
)

// settingsLatch orders changes of settings. It is shorter than any table key.
const settingsLatch = "setting"

// settings are what a settingsEffect sets.
type settings struct {
	Descriptor *table.Descriptor `msgpack:"d"`
	Log        LogConfig         `msgpack:"l"`
}

// SetDescriptor puts a table descriptor into force on all members. One of a
// lower generation than the one in force changes nothing (I11).
func (p *Partition) SetDescriptor(ctx context.Context, d *table.Descriptor) error {
	return p.changeSettings(ctx, func(s *settings) bool {
		if d == nil || s.Descriptor == nil || d.Generation <= s.Descriptor.Generation {
			return false
		}
		s.Descriptor = d
		return true
	})
}

// ConfigureLog switches the change log, durably and for all members. Switching
// it off removes its records, and leaving out a peer the peer's position.
func (p *Partition) ConfigureLog(ctx context.Context, c LogConfig) error {
	return p.changeSettings(ctx, func(s *settings) bool {
		if s.Log.equal(&c) {
			return false
		}
		s.Log = c
		return true
	})
}

func (l *LogConfig) equal(o *LogConfig) bool {
	if l.On != o.On || l.Stream != o.Stream || l.Tombstones != o.Tombstones || len(l.Peers) != len(o.Peers) {
		return false
	}
	for _, peer := range l.Peers {
		if !o.has(peer) {
			return false
		}
	}
	return true
}

// changeSettings applies change to the settings in force; false means that they
// are right already.
func (p *Partition) changeSettings(ctx context.Context, change func(*settings) bool) error {
	return p.exclusive(ctx, settingsLatch, func(v *view) ([]byte, error) {
		next := settings{Descriptor: v.spec.Descriptor, Log: v.spec.Log}
		if !change(&next) {
			return nil, nil
		}
		b, err := msgpack.Marshal(&next)
		if err != nil {
			return nil, fmt.Errorf("encode settings: %w", err)
		}
		return appendKeyed(nil, settingsEffect, b), nil
	})
}

// exclusive evaluates under one latch and waits until the effects are applied;
// no effects mean that nothing is to be done.
func (p *Partition) exclusive(ctx context.Context, latch string, evaluate func(*view) ([]byte, error)) error {
	for {
		if err := p.latches.acquire(ctx, latch); err != nil {
			return err
		}
		err := p.exclusiveOnce(ctx, latch, evaluate)
		if !errors.Is(err, errNotApplied) {
			return err
		}
	}
}

func (p *Partition) exclusiveOnce(ctx context.Context, latch string, evaluate func(*view) ([]byte, error)) error {
	r, err := p.leading(ctx)
	var effects []byte
	v := p.view()
	if err == nil {
		effects, err = evaluate(v)
	}
	if err != nil {
		p.latches.release(latch)
		return err
	}
	if effects == nil {
		p.latches.release(latch)
		return p.confirm(ctx)
	}
	prop := &proposal{term: r.term, view: v, effects: effects, stamp: noStamp, latched: []string{latch}, done: make(chan error, 1)}
	if err := p.submit(prop); err != nil {
		return err
	}
	return prop.await(ctx)
}

// currentSpec is the descriptor as of this entry.
func (a *applier) currentSpec() *Spec {
	if a.spec != nil {
		return a.spec
	}
	return a.view.spec
}

// putSpec makes s the descriptor in force after this entry.
func (a *applier) putSpec(s *Spec) error {
	a.spec = s
	raw, err := encodeSpec(s)
	if err != nil {
		return err
	}
	return a.batch.Set(keys.Descriptor(a.id), raw, nil)
}

// putSettings carries out a settingsEffect.
func (a *applier) putSettings(d *decoder) error {
	var s settings
	if err := msgpack.Unmarshal(d.bytes(), &s); err != nil {
		return fmt.Errorf("decode settings: %w", err)
	}
	next := *a.currentSpec()
	next.Descriptor, next.Log = s.Descriptor, s.Log
	next.Settings++
	next.followStreams(a.state.Sequence)
	if err := a.putSpec(&next); err != nil {
		return err
	}
	for peer := range a.readers() {
		if next.Log.On && next.reads(peer) {
			continue
		}
		delete(a.positions, peer)
		if err := a.batch.Delete(keys.Position(a.id, peer), nil); err != nil {
			return err
		}
	}
	if err := a.forgetIndexes(&next); err != nil {
		return err
	}
	if !next.Log.On && len(next.Streams) == 0 {
		return a.trimTo(a.state.Sequence)
	}
	return nil
}
