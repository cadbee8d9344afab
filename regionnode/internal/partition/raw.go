package partition

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sort"

	"antipode/regionnode/internal/keys"
)

// ErrConflict says that a pair was not as a RawOp expected; nothing was written.
var ErrConflict = errors.New("raw pair is not as expected")

var errNotSystem = errors.New("raw pairs are for system partitions")

// RawOp writes one pair of a system partition.
type RawOp struct {
	Key []byte
	// Value to write; nil deletes.
	Value []byte
	// Expect is the exact current value, unless ExpectAbsent or Unconditional.
	Expect        []byte
	ExpectAbsent  bool
	Unconditional bool
}

// RawPair is one pair of a system partition.
type RawPair struct{ Key, Value []byte }

// ApplyRaw carries ops out, all or nothing, each key at most once.
func (p *Partition) ApplyRaw(ctx context.Context, ops []RawOp) error {
	if p.view().spec.Descriptor != nil {
		return errNotSystem
	}
	if len(ops) == 0 {
		return nil
	}
	latched, err := rawLatches(ops)
	if err != nil {
		return err
	}
	for {
		err := p.applyRawOnce(ctx, ops, latched)
		if !errors.Is(err, errNotApplied) {
			return err
		}
	}
}

// rawLatches are the keys to latch, in order.
func rawLatches(ops []RawOp) ([]string, error) {
	out := make([]string, len(ops))
	for i := range ops {
		// A byte in front keeps pairs apart from the partition's own latches.
		out[i] = "\x00" + string(ops[i].Key)
	}
	sort.Strings(out)
	for i := 1; i < len(out); i++ {
		if out[i] == out[i-1] {
			return nil, fmt.Errorf("raw pair %q written twice at once", out[i][1:])
		}
	}
	return out, nil
}

func (p *Partition) applyRawOnce(ctx context.Context, ops []RawOp, latched []string) error {
	prop := &proposal{view: p.view(), stamp: noStamp, done: make(chan error, 1)}
	for _, key := range latched {
		if err := p.latches.acquire(ctx, key); err != nil {
			prop.release(p)
			return err
		}
		prop.latched = append(prop.latched, key)
	}
	r, err := p.leading(ctx)
	if err == nil {
		prop.term, prop.view = r.term, p.view()
		prop.effects, err = p.evaluateRaw(ops)
	}
	if err != nil {
		prop.release(p)
		if lost := p.confirm(ctx); lost != nil {
			return lost
		}
		return err
	}
	if err := p.submit(prop); err != nil {
		return err
	}
	return prop.await(ctx)
}

func (p *Partition) evaluateRaw(ops []RawOp) ([]byte, error) {
	var effects []byte
	for i := range ops {
		op := &ops[i]
		if !op.Unconditional {
			old, err := p.host.cfg.Store.GetCopy(keys.Raw(p.id, op.Key))
			if err != nil {
				return nil, err
			}
			if (old == nil) != op.ExpectAbsent || !op.ExpectAbsent && !bytes.Equal(old, op.Expect) {
				return nil, ErrConflict
			}
		}
		effects = appendRaw(effects, op.Key, op.Value, op.Value == nil)
	}
	return effects, nil
}

// GetRaw reads one pair, after confirming leadership (I9).
func (p *Partition) GetRaw(ctx context.Context, key []byte) ([]byte, bool, error) {
	if err := p.confirm(ctx); err != nil {
		return nil, false, err
	}
	v, err := p.host.cfg.Store.GetCopy(keys.Raw(p.id, key))
	return v, v != nil, err
}

// ScanRaw reads all pairs whose key begins with prefix, in key order and of one
// moment, after confirming leadership (I9).
func (p *Partition) ScanRaw(ctx context.Context, prefix []byte) ([]RawPair, error) {
	if err := p.confirm(ctx); err != nil {
		return nil, err
	}
	it, err := p.host.cfg.Store.Iterate(keys.RawPrefix(p.id, prefix))
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var out []RawPair
	for ok := it.First(); ok; ok = it.Next() {
		key, _ := keys.RawKey(it.Key())
		out = append(out, RawPair{Key: bytes.Clone(key), Value: append([]byte{}, it.Value()...)})
	}
	return out, it.Error()
}

// WatchRaw is closed at the next change of a raw pair that is applied here, or
// when the partition is closed.
func (p *Partition) WatchRaw() <-chan struct{} {
	p.applied.mu.Lock()
	defer p.applied.mu.Unlock()
	return p.applied.raw
}
