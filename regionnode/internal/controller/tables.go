package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/table"
)

// maxPartitions bounds how many partitions of one table are worked on at once.
const maxPartitions = 32

// reconcile makes the partitions of one table as the catalog wants them. New
// ones come before the others hear of what they are for; dropped ones go once
// nobody refers to them any more.
func (c *Controller) reconcile(ctx context.Context, name string) error {
	w, err := c.cfg.Catalog.TableWork(ctx, name)
	if apierr.Is(err, apierr.ResourceNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if w.Pushed >= w.Descriptor.Generation {
		if err := c.finishIndexes(ctx, w); err != nil {
			return err
		}
		return c.complete(ctx, w)
	}
	if splitting, err := c.endSplits(ctx, w); splitting || err != nil {
		return err // the catalog's change brings the table up again
	}
	view := forPartitions(w.Descriptor)
	phases := []struct {
		wants func(*catalog.Partition) bool
		do    func(context.Context, *catalog.Partition) error
	}{
		{func(p *catalog.Partition) bool { return !p.Dropped && !p.Created }, func(ctx context.Context, p *catalog.Partition) error { return c.create(ctx, w, p, view) }},
		{func(p *catalog.Partition) bool { return !p.Dropped && p.Created }, func(ctx context.Context, p *catalog.Partition) error { return c.push(ctx, w, p, view) }},
		{func(p *catalog.Partition) bool { return p.Dropped }, func(ctx context.Context, p *catalog.Partition) error { return c.destroy(ctx, w, p) }},
	}
	for _, phase := range phases {
		if err := eachPartition(ctx, w, phase.wants, phase.do); err != nil {
			return err
		}
	}
	return c.cfg.Catalog.FinishTable(ctx, w)
}

// forPartitions is a descriptor as partitions need it: without indexes that are
// on their way out.
func forPartitions(d *table.Descriptor) *table.Descriptor {
	leaving := func(x table.Index) bool { return x.Status == table.Deleting }
	if !slices.ContainsFunc(d.Globals, leaving) {
		return d
	}
	out := *d
	out.Globals = slices.DeleteFunc(slices.Clone(d.Globals), leaving)
	return &out
}

func eachPartition(ctx context.Context, w *catalog.TableWork, wants func(*catalog.Partition) bool, do func(context.Context, *catalog.Partition) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxPartitions)
	for i := range w.Partitions {
		if p := &w.Partitions[i]; wants(p) {
			g.Go(func() error { return do(ctx, p) })
		}
	}
	return g.Wait()
}

// onReplicas calls every node that holds, or shall hold, a partition, but for
// those to leave out.
func (c *Controller) onReplicas(ctx context.Context, w *catalog.TableWork, p *catalog.Partition, except func(table.NodeID) bool, f func(context.Context, Host) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, id := range p.Holders() {
		if except(id) {
			continue
		}
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, maxCall)
			defer cancel()
			_, err := callAt(ctx, c, w, id, func(ctx context.Context, h Host) (struct{}, error) { return struct{}{}, f(ctx, h) })
			if err != nil {
				return fmt.Errorf("node %d: %w", id, err)
			}
			return nil
		})
	}
	return g.Wait()
}

func (c *Controller) push(ctx context.Context, w *catalog.TableWork, p *catalog.Partition, d *table.Descriptor) error {
	r := &DescriptorRequest{Partition: p.ID, Descriptor: d, Log: logOf(p, d)}
	_, err := onLeader(ctx, c, w, p, func(ctx context.Context, h Host) (struct{}, error) { return struct{}{}, h.SetDescriptor(ctx, r) })
	if err != nil {
		return fmt.Errorf("tell partition %d of %s: %w", p.ID, d.Name, err)
	}
	return nil
}

// destroy leaves out nodes that have left the region, whose data is gone with
// them, and nodes that are away: they find out when they come back (Sweep). A
// split that was under way may have made another partition: only once the one is
// gone from a node, the other cannot come there any more.
func (c *Controller) destroy(ctx context.Context, w *catalog.TableWork, p *catalog.Partition) error {
	away := func(id table.NodeID) bool {
		_, known := w.Nodes[id]
		return !known || c.cfg.Catalog.SilentFor(id) >= catalog.SilentAfter
	}
	err := c.onReplicas(ctx, w, p, away, func(ctx context.Context, h Host) error {
		if err := h.DestroyPartition(ctx, p.ID); err != nil || p.Split == nil {
			return err
		}
		return h.DestroyPartition(ctx, p.Split.Right)
	})
	if err != nil {
		return fmt.Errorf("destroy partition %d of %s: %w", p.ID, w.Descriptor.Name, err)
	}
	c.leaders.Delete(p.ID)
	return nil
}

// logOf is what a partition logs: an index's partitions log nothing.
func logOf(p *catalog.Partition, d *table.Descriptor) LogConfig {
	if p.Index != "" {
		return LogConfig{}
	}
	return LogOf(d)
}

// errBuilding says that an index is not complete yet.
var errBuilding = errors.New("a global index is still being built")

// finishIndexes makes those global indexes ACTIVE that are complete.
func (c *Controller) finishIndexes(ctx context.Context, w *catalog.TableWork) error {
	for _, x := range w.Descriptor.Globals {
		if x.Status != table.Creating {
			continue
		}
		for {
			ready, err := c.indexReady(ctx, w, x)
			if err != nil {
				return err
			}
			if ready {
				break
			}
			if pause(ctx, 50*time.Millisecond); ctx.Err() != nil {
				return errBuilding
			}
			if now, err := c.cfg.Catalog.TableWork(ctx, w.Descriptor.Name); err != nil || now.Descriptor.Generation != w.Descriptor.Generation {
				return nil // the table has changed: look again
			}
		}
		if err := c.cfg.Catalog.FinishIndex(ctx, w.Descriptor.Name, x.Table); err != nil {
			return err
		}
	}
	return nil
}

// indexReady asks every item partition whether the index has all its items.
func (c *Controller) indexReady(ctx context.Context, w *catalog.TableWork, x table.Index) (bool, error) {
	for i := range w.Partitions {
		p := &w.Partitions[i]
		if p.Index != "" || p.Dropped {
			continue
		}
		ready, err := onLeader(ctx, c, w, p, func(ctx context.Context, h Host) (bool, error) {
			b, ok := h.(IndexBuilder)
			if !ok {
				return true, nil
			}
			return b.IndexReady(ctx, &IndexRequest{Partition: p.ID, Index: x.Name})
		})
		if err != nil || !ready {
			return false, err
		}
	}
	return true, nil
}

// await waits until a table of this region satisfies f, which gets nil once the
// table does not exist.
func (c *Controller) await(ctx context.Context, name string, f func(*catalog.TableWork) bool) error {
	for {
		changed := c.cfg.Catalog.Watch()
		w, err := c.cfg.Catalog.TableWork(ctx, name)
		if err != nil && !apierr.Is(err, apierr.ResourceNotFound) {
			return err
		}
		if f(w) {
			return nil
		}
		if w == nil {
			return apierr.TableMissing(name)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for table %s: %w", name, context.Cause(ctx))
		case <-changed:
		case <-time.After(time.Second): // the leader may have changed
		}
	}
}
