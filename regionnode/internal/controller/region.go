package controller

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/table"
)

// maxAwait bounds how long a call from another region waits for this one to be
// as it asked. The caller asks again.
const maxAwait = 10 * time.Second

// home is this region as its own controller, and others through rpc, use it.
type home struct{ c *Controller }

// Region is this region for other regions' controllers; it answers NotLeader
// where the node does not lead the catalog.
func (c *Controller) Region() Region { return home{c} }

// Describe is part of Region.
func (h home) Describe(ctx context.Context, name string) (*table.Descriptor, error) {
	return h.c.cfg.Catalog.DescribeTable(ctx, name)
}

// Update is part of Region.
func (h home) Update(ctx context.Context, r *catalog.GlobalUpdate) (*table.Descriptor, error) {
	return h.c.cfg.Catalog.ApplyGlobal(ctx, r)
}

// CreateReplica is part of Region.
func (h home) CreateReplica(ctx context.Context, r *ReplicaRequest) error {
	if r.Descriptor == nil || r.Descriptor.Global == nil {
		return apierr.Invalid("A table replica belongs to a global table.")
	}
	if err := h.c.cfg.Catalog.AdoptReplica(ctx, r.Descriptor); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, maxAwait)
	defer cancel()
	return h.c.await(ctx, r.Descriptor.Name, func(w *catalog.TableWork) bool { return w != nil && w.Pushed > 0 })
}

// SetGlobal is part of Region.
func (h home) SetGlobal(ctx context.Context, r *ReplicaRequest) error {
	if r.Descriptor == nil || r.Descriptor.Global == nil {
		return apierr.Invalid("A table replica belongs to a global table.")
	}
	generation, err := h.c.cfg.Catalog.SetGlobal(ctx, r.Descriptor)
	if err != nil {
		return err
	}
	return h.c.awaitPushed(ctx, r.Descriptor.Name, generation)
}

// awaitPushed waits until all partitions of a table have a generation.
func (c *Controller) awaitPushed(ctx context.Context, name string, generation uint64) error {
	ctx, cancel := context.WithTimeout(ctx, maxAwait)
	defer cancel()
	return c.await(ctx, name, func(w *catalog.TableWork) bool { return w != nil && w.Pushed >= generation })
}

// DropReplica is part of Region.
func (h home) DropReplica(ctx context.Context, r *GroupRequest) error {
	there, err := h.c.cfg.Catalog.DropReplica(ctx, r.Table, r.Group)
	if err != nil || !there {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, maxAwait)
	defer cancel()
	return h.c.await(ctx, r.Table, func(w *catalog.TableWork) bool {
		return w == nil || w.Descriptor.Global == nil || w.Descriptor.Global.Group != r.Group
	})
}

// OpenLinks is part of Region.
func (h home) OpenLinks(ctx context.Context, r *LinksRequest) ([]Progress, error) {
	return h.links(ctx, r, func(ctx context.Context, host Host, l *LinkRequest) (*Progress, error) { return host.OpenLink(ctx, l) })
}

// CloseLinks is part of Region.
func (h home) CloseLinks(ctx context.Context, r *LinksRequest) error {
	_, err := h.links(ctx, r, func(ctx context.Context, host Host, l *LinkRequest) (*Progress, error) {
		return &Progress{}, host.CloseLink(ctx, l)
	})
	return err
}

// LinkProgress is part of Region.
func (h home) LinkProgress(ctx context.Context, r *LinksRequest) ([]Progress, error) {
	return h.links(ctx, r, func(ctx context.Context, host Host, l *LinkRequest) (*Progress, error) {
		return host.LinkProgress(ctx, l)
	})
}

// links does one thing to the links of all item partitions of a table replica,
// and answers in order of partition.
func (h home) links(ctx context.Context, r *LinksRequest, f func(context.Context, Host, *LinkRequest) (*Progress, error)) ([]Progress, error) {
	w, err := h.c.cfg.Catalog.TableWork(ctx, r.Table)
	if err != nil {
		return nil, err
	}
	if g := w.Descriptor.Global; g == nil || g.Group != r.Group {
		return nil, fmt.Errorf("table %s is not in the global table %s: %w", r.Table, r.Group, apierr.TableMissing(r.Table))
	}
	if slices.ContainsFunc(w.Partitions, splitting) {
		return nil, fmt.Errorf("links of table %s: %w", r.Table, errSplitting)
	}
	var mu sync.Mutex
	found := map[table.PartitionID]Progress{}
	err = eachPartition(ctx, w, itemPartition, func(ctx context.Context, p *catalog.Partition) error {
		l := &LinkRequest{Partition: p.ID, To: r.To, FromStart: r.FromStart}
		progress, err := onLeader(ctx, h.c, w, p, func(ctx context.Context, host Host) (*Progress, error) { return f(ctx, host, l) })
		if err != nil {
			return fmt.Errorf("link of partition %d to %s: %w", p.ID, r.To, err)
		}
		mu.Lock()
		defer mu.Unlock()
		found[p.ID] = *progress
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []Progress
	for i := range w.Partitions {
		if p, ok := found[w.Partitions[i].ID]; ok {
			out = append(out, p)
		}
	}
	return out, nil
}

func itemPartition(p *catalog.Partition) bool { return p.Index == "" && !p.Dropped }
