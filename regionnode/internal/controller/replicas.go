package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/table"
)

// spec is what the replicas of a new partition begin with.
func spec(p *catalog.Partition, d *table.Descriptor) *Spec {
	return &Spec{
		Partition: p.ID, Table: p.Table, Index: p.Index, Start: p.Start, End: p.End,
		Generation: p.Generation, Incarnation: uint64(p.Base), Replicas: p.Replicas,
		Descriptor: d, Log: logOf(p, d),
	}
}

// create makes the replicas of a new partition: a majority at least, so that a
// node that is away holds nothing up. What is missing is noted in p, and made
// once the node is back (complete). The preferred leader comes last, so that it
// finds its voters.
func (c *Controller) create(ctx context.Context, w *catalog.TableWork, p *catalog.Partition, d *table.Descriptor) error {
	begin := spec(p, d)
	failed := make([]error, len(p.Replicas))
	at := func(i int) { failed[i] = c.createAt(ctx, w, p.Replicas[i], begin, maxCall) }
	var others sync.WaitGroup
	for i := 1; i < len(p.Replicas); i++ {
		others.Go(func() { at(i) })
	}
	others.Wait()
	at(0)
	var missing []table.NodeID
	for i, err := range failed {
		if err == nil {
			continue
		}
		if missing = append(missing, p.Replicas[i]); 2*len(missing) >= len(p.Replicas) {
			return fmt.Errorf("create partition %d of %s: %w", p.ID, d.Name, err)
		}
		c.cfg.Log.Warn("a replica is missing until its node is back", "partition", p.ID, "table", d.Name, "error", err)
	}
	if p.Missing = missing; missing != nil {
		p.Born = d
	}
	return nil
}

func (c *Controller) createAt(ctx context.Context, w *catalog.TableWork, id table.NodeID, s *Spec, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := callAt(ctx, c, w, id, func(ctx context.Context, h Host) (struct{}, error) { return struct{}{}, h.CreatePartition(ctx, s) })
	if err != nil {
		return fmt.Errorf("node %d: %w", id, err)
	}
	return nil
}

const (
	// completePatience bounds one attempt to make a missing replica, and
	// completePause is how long the table's other work then goes first.
	completePatience = time.Second
	completePause    = 500 * time.Millisecond
)

// complete makes the replicas that were missing when their partitions were
// created, as those began, for the log has what came since; or, once the members
// have changed, empty. That a node is still away is no failure: nothing else may
// wait for it.
func (c *Controller) complete(ctx context.Context, w *catalog.TableWork) error {
	away := false
	for i := range w.Partitions {
		p := &w.Partitions[i]
		if p.Dropped || p.Move != nil {
			continue
		}
		for _, id := range p.Missing {
			if err := c.makeMissing(ctx, w, p, id); err != nil {
				c.cfg.Log.Debug("a replica is still missing", "partition", p.ID, "error", err)
				away = true
				break
			}
			if err := c.cfg.Catalog.FinishReplica(ctx, p, id); err != nil {
				return err
			}
		}
		if away {
			pause(ctx, completePause)
			break
		}
	}
	return nil
}

func (c *Controller) makeMissing(ctx context.Context, w *catalog.TableWork, p *catalog.Partition, id table.NodeID) error {
	if p.Epoch.Members == 1 {
		return c.createAt(ctx, w, id, spec(p, p.Born), completePatience)
	}
	ctx, cancel := context.WithTimeout(ctx, completePatience)
	defer cancel()
	r := &LearnerRequest{Partition: p.ID, Table: p.Table, Epoch: p.Epoch.Members}
	_, err := callAt(ctx, c, w, id, func(ctx context.Context, h Host) (struct{}, error) { return struct{}{}, h.CreateLearner(ctx, r) })
	return err
}
