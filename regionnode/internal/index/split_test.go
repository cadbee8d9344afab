package index_test

import (
	"context"
	"errors"
	"slices"
	"sync"

	"antipode/regionnode"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/table"
	"antipode/replication"
)

// owner is the partition of a map that has a key.
func owner(m *regionnode.PartitionMap, key []byte) *regionnode.Partition {
	hash := table.Hash(key)
	for i := len(m.Partitions) - 1; i > 0; i-- {
		if m.Partitions[i].Start <= hash {
			return &m.Partitions[i]
		}
	}
	return &m.Partitions[0]
}

// splitting draws a split of a partition of the table or of an index, and does it
// as a catalog does: with one request, sent until its outcome is known.
func (l *life) splitting() func() {
	ids := []table.ID{baseID}
	for i := range l.base.Globals {
		ids = append(ids, l.base.Globals[i].Table)
	}
	id := ids[l.rng.IntN(len(ids))]
	m, _ := l.world.partitions(context.Background(), id)
	p := m.Partitions[l.rng.IntN(len(m.Partitions))]
	cancel := l.rng.IntN(5) == 0
	l.mu.Lock()
	first := l.world.next
	l.world.next += 3
	l.mu.Unlock()
	r := partition.SplitRequest{
		Range: p.Epoch.Range, Right: table.PartitionID(first),
		LeftGeneration: replication.Generation(first + 1), RightGeneration: replication.Generation(first + 2),
	}
	return func() { l.split(id, p, r, cancel) }
}

// split sends a request until its outcome is known. With cancel, a first request
// may come late: it is cancelled while it is under way.
func (w *world) split(id table.ID, p regionnode.Partition, r partition.SplitRequest, cancel bool) {
	var done *partition.SplitResult
	known := false
	var late sync.WaitGroup
	defer late.Wait()
	if cancel {
		late.Go(func() {
			for _, h := range p.Replicas {
				_ = w.at(h.Node, p.ID, func(ctx context.Context, replica *partition.Partition) error {
					_, err := replica.Split(ctx, r)
					return err
				})
			}
		})
	}
	w.onLeader(&p, func(ctx context.Context, replica *partition.Partition) error {
		if !cancel {
			res, err := replica.Split(ctx, r)
			var refused *partition.CannotSplit
			switch {
			case err == nil:
				done, known = &res, true
				return nil
			case !errors.As(err, &refused):
				return err
			}
			cancel = true
		}
		already, err := replica.CancelSplit(ctx, r)
		if err == nil {
			done, known = already, true
		}
		return err
	})
	if known {
		w.record(id, &p, &r, done)
	}
}

// record writes the outcome of a split into the partition map.
func (w *world) record(id table.ID, p *regionnode.Partition, r *partition.SplitRequest, done *partition.SplitResult) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := *w.maps[id]
	m.Generation++
	m.Partitions = slices.Clone(m.Partitions)
	i := slices.IndexFunc(m.Partitions, func(x regionnode.Partition) bool { return x.ID == p.ID })
	m.Partitions[i].Epoch.Range = r.Range + 1
	if done != nil {
		right := m.Partitions[i]
		right.ID, right.Start = r.Right, done.At
		m.Partitions = slices.Insert(m.Partitions, i+1, right)
		w.splits++
	}
	w.maps[id] = &m
}
