package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/internal/controller"
	"antipode/regionnode/internal/index"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/table"
)

// indexes keeps the node's followers of global indexes those of the partitions
// that it leads.
type indexes struct {
	node  *Node
	group *index.Group
	dirty flag

	mu sync.Mutex
	// dropped partitions are about to go.
	dropped map[table.PartitionID]bool
	// clean are the partitions of indexes, by the term of the leadership, that hold
	// no tombstones any more.
	clean map[table.PartitionID]uint64
	ended sync.WaitGroup
}

// openIndexes begins to keep global indexes.
func (n *Node) openIndexes(context.Context) error {
	x := &indexes{node: n, dirty: n.reindex, dropped: map[table.PartitionID]bool{}, clean: map[table.PartitionID]uint64{}}
	var err error
	x.group, err = index.NewGroup(index.Config{Sender: x, Partitions: n.registry.Partitions, Log: n.config.Log})
	if err != nil {
		return err
	}
	rpc.Handle(n.server, applyIndexMethod, func(ctx context.Context, b *regionnode.IndexBatch) (*applyResponse, error) {
		return &applyResponse{}, x.applyHere(ctx, b)
	})
	n.host.indexes = x
	x.ended.Go(x.run)
	n.onClose(func() error { n.cancel(); x.ended.Wait(); return nil })
	x.refresh()
	return nil
}

// run reconciles after each change until the node ends.
func (x *indexes) run() {
	for {
		select {
		case <-x.node.ctx.Done():
			x.group.Close()
			return
		case <-x.dirty:
			began := time.Now()
			x.group.Set(x.desired())
			x.forget()
			breathe(x.node.ctx, began)
		}
	}
}

// refresh has everything looked over again soon. Any goroutine may call it.
func (x *indexes) refresh() { x.dirty.raise() }

// drop ends a partition's followers before the partition goes. Call what it
// returns once that has gone.
func (x *indexes) drop(id table.PartitionID) (gone func()) {
	x.mu.Lock()
	x.dropped[id] = true
	x.mu.Unlock()
	x.group.Drop(id)
	return func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		delete(x.dropped, id)
		delete(x.clean, id)
	}
}

// desired is a follower for each global index of each item partition that this
// node leads.
func (x *indexes) desired() []index.Spec {
	x.mu.Lock()
	defer x.mu.Unlock()
	var specs []index.Spec
	for _, p := range x.node.partitions.Led() {
		spec := p.Spec()
		d := spec.Descriptor
		if d == nil || d.ID != spec.Table || len(d.Globals) == 0 || !spec.Log.On || x.dropped[p.ID()] {
			continue
		}
		status := p.Status()
		if !status.Leading {
			continue
		}
		for i := range d.Globals {
			specs = append(specs, index.Spec{Source: p, Term: status.Term, Descriptor: d, Index: &d.Globals[i]})
		}
	}
	return specs
}

// forget removes the tombstones that ended back-fills left behind, in the
// background.
func (x *indexes) forget() {
	for _, p := range x.node.partitions.Led() {
		if !indexComplete(p) {
			continue
		}
		status := p.Status()
		x.mu.Lock()
		done := x.clean[p.ID()] == status.Term || x.dropped[p.ID()]
		if !done {
			x.clean[p.ID()] = status.Term
		}
		x.mu.Unlock()
		if !done {
			x.ended.Go(func() {
				if err := p.ForgetTombstones(x.node.ctx); err != nil && x.node.ctx.Err() == nil {
					x.node.config.Log.Warn("tombstones of a global index stay for now", "partition", p.ID(), "error", err)
				}
			})
		}
	}
}

// indexComplete tells whether a partition holds entries of a global index whose
// back-fill has ended.
func indexComplete(p *partition.Partition) bool {
	spec := p.Spec()
	d := spec.Descriptor
	if d == nil || d.ID == spec.Table {
		return false
	}
	for i := range d.Globals {
		if d.Globals[i].Table == spec.Table {
			return !d.Globals[i].Backfilling
		}
	}
	return false
}

const applyIndexMethod = "Partition.ApplyIndex"

// Send is part of index.Sender.
func (x *indexes) Send(ctx context.Context, to regionnode.Holder, b *regionnode.IndexBatch) error {
	if to.Node == x.node.id {
		return x.applyHere(ctx, b)
	}
	_, err := rpc.Call[regionnode.IndexBatch, applyResponse](ctx, x.node.pool, to.Addr, applyIndexMethod, b)
	return err
}

func (x *indexes) applyHere(ctx context.Context, b *regionnode.IndexBatch) error {
	p, err := x.node.held(b.Target.Partition)
	if err != nil {
		return err
	}
	return p.ApplyIndex(ctx, b)
}

// IndexReady is part of controller.IndexBuilder.
func (h *host) IndexReady(_ context.Context, r *controller.IndexRequest) (bool, error) {
	p, err := h.led(r.Partition)
	if err != nil {
		return false, err
	}
	if s := p.Status(); !s.Leading {
		return false, &regionnode.NotLeader{Partition: s.ID, Leader: s.Leader}
	}
	x := p.Spec().Descriptor.Index(r.Index)
	if x == nil || x.IsLocal() {
		return false, nil // the partition has not heard of it yet
	}
	if !x.Backfilling {
		return true, nil
	}
	_, all, err := p.IndexFilled(x.Table)
	if err != nil {
		return false, fmt.Errorf("progress of index %s: %w", r.Index, err)
	}
	return all, nil
}
