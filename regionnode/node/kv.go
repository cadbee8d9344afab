package node

import (
	"context"
	"errors"

	"antipode/regionnode"
	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/table"
)

// catalogKV is the system partition as the catalog sees it: this node's replica,
// while it has one. Elsewhere every call answers NotLeader.
type catalogKV struct {
	partitions *partition.Host
	id         table.PartitionID
	// changed is also raised when the partition's leader changes, moved when the
	// replica may have come or gone.
	changed, moved flag
}

// replica is this node's.
func (kv *catalogKV) replica() (*partition.Partition, error) {
	p, ok := kv.partitions.Partition(kv.id)
	if !ok {
		return nil, &regionnode.NotLeader{Partition: kv.id}
	}
	return p, nil
}

// watch announces every change of the partition's rows until ctx ends.
func (kv *catalogKV) watch(ctx context.Context) {
	for {
		var changed <-chan struct{}
		if p, err := kv.replica(); err == nil {
			changed = p.WatchRaw()
		}
		kv.changed.raise()
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-kv.moved:
		}
	}
}

// Apply is part of catalog.KV.
func (kv *catalogKV) Apply(ctx context.Context, changes []catalog.Change) error {
	ops := make([]partition.RawOp, len(changes))
	for i, c := range changes {
		ops[i] = partition.RawOp{Key: c.Key, Value: c.Value, Expect: c.Old, ExpectAbsent: c.Old == nil}
	}
	p, err := kv.replica()
	if err == nil {
		err = p.ApplyRaw(ctx, ops)
	}
	if errors.Is(err, partition.ErrConflict) {
		return catalog.ErrConflict
	}
	return err
}

// Get is part of catalog.KV.
func (kv *catalogKV) Get(ctx context.Context, key []byte) ([]byte, bool, error) {
	p, err := kv.replica()
	if err != nil {
		return nil, false, err
	}
	return p.GetRaw(ctx, key)
}

// Scan is part of catalog.KV.
func (kv *catalogKV) Scan(ctx context.Context, prefix []byte) ([]catalog.Pair, error) {
	p, err := kv.replica()
	if err != nil {
		return nil, err
	}
	raw, err := p.ScanRaw(ctx, prefix)
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
	p, err := kv.replica()
	if err != nil {
		return 0, false
	}
	s := p.Status()
	return s.Term, s.Leading
}
