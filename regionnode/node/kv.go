package node

import (
	"context"
	"errors"

	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/internal/partition"
)

// catalogKV is the system partition as the catalog sees it.
type catalogKV struct {
	partition *partition.Partition
	// changed is also raised when the partition's leader changes.
	changed flag
}

func newCatalogKV(p *partition.Partition, changed flag) *catalogKV {
	return &catalogKV{partition: p, changed: changed}
}

// watch announces every change of the partition's rows until ctx ends.
func (kv *catalogKV) watch(ctx context.Context) {
	for {
		changed := kv.partition.WatchRaw()
		kv.changed.raise()
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// Apply is part of catalog.KV.
func (kv *catalogKV) Apply(ctx context.Context, changes []catalog.Change) error {
	ops := make([]partition.RawOp, len(changes))
	for i, c := range changes {
		ops[i] = partition.RawOp{Key: c.Key, Value: c.Value, Expect: c.Old, ExpectAbsent: c.Old == nil}
	}
	err := kv.partition.ApplyRaw(ctx, ops)
	if errors.Is(err, partition.ErrConflict) {
		return catalog.ErrConflict
	}
	return err
}

// Get is part of catalog.KV.
func (kv *catalogKV) Get(ctx context.Context, key []byte) ([]byte, bool, error) {
	return kv.partition.GetRaw(ctx, key)
}

// Scan is part of catalog.KV.
func (kv *catalogKV) Scan(ctx context.Context, prefix []byte) ([]catalog.Pair, error) {
	raw, err := kv.partition.ScanRaw(ctx, prefix)
	if err != nil {
		return nil, err
	}
	pairs := make([]catalog.Pair, len(raw))
	for i, p := range raw {
		pairs[i] = catalog.Pair{Key: p.Key, Value: p.Value}
	}
	return pairs, nil
}

// Changed is part of catalog.KV.
func (kv *catalogKV) Changed() <-chan struct{} { return kv.changed }

// Leads is part of catalog.KV.
func (kv *catalogKV) Leads() (term uint64, ok bool) {
	s := kv.partition.Status()
	return s.Term, s.Leading
}
