package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/catalog"
)

// maxSplit bounds how long a partition may take to split. One that takes longer
// is left whole for now.
const maxSplit = 30 * time.Minute

// errSplitting holds up what needs to find a table's partitions as they are.
var errSplitting = errors.New("a partition is being split")

// splitDue decides on the splits that are due. Who keeps a table's partitions
// whole at the moment is asked again later.
func (c *Controller) splitDue(ctx context.Context) error {
	if c.cfg.Splits == (catalog.SplitLimits{}) {
		return nil
	}
	orders, err := c.cfg.Catalog.SplitsDue(ctx, c.cfg.Splits)
	if err != nil {
		return err
	}
	for _, o := range orders {
		p, err := c.cfg.Catalog.BeginSplit(ctx, &o)
		switch {
		case apierr.Of(err) != nil:
			c.cfg.Log.Debug("a partition is not split now", "table", o.Table, "partition", o.Partition, "error", err)
		case err != nil:
			return fmt.Errorf("split partition %d of %s: %w", o.Partition, o.Table, err)
		default:
			c.cfg.Log.Info("a partition is going to be split", "table", o.Table, "partition", p.ID, "right", p.Split.Right, "by_load", o.ByLoad)
		}
	}
	return nil
}

// splitting tells whether a partition that stays has an intent.
func splitting(p catalog.Partition) bool { return p.Split != nil && !p.Dropped }

// split has a partition do what its row intends. It may be cut off anywhere:
// the partition does a split once, and the row says what is left.
func (c *Controller) split(ctx context.Context, work catalog.SplitWork) error {
	w, err := c.cfg.Catalog.TableWork(ctx, work.Table)
	if apierr.Is(err, apierr.ResourceNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	i := slices.IndexFunc(w.Partitions, func(p catalog.Partition) bool { return p.ID == work.Partition })
	if i < 0 || !splitting(w.Partitions[i]) {
		return nil
	}
	p := &w.Partitions[i]
	r := splitRequest(p)
	bounded, cancel := context.WithTimeout(ctx, maxSplit)
	defer cancel()
	out, err := onLeaderUntil(bounded, c, w, p, func(ctx context.Context, h Host) (*SplitOutcome, error) { return h.SplitPartition(ctx, r) })
	switch {
	case err == nil && out.At != 0:
		return c.cfg.Catalog.FinishSplit(ctx, p, out.At)
	case err == nil:
	case bounded.Err() != nil && ctx.Err() == nil:
		out = &SplitOutcome{Refusal: fmt.Sprintf("it was not done within %s", maxSplit)}
	default:
		return fmt.Errorf("split partition %d of %s: %w", p.ID, work.Table, err)
	}
	return c.abandon(ctx, w, p, out)
}

func splitRequest(p *catalog.Partition) *SplitRequest {
	return &SplitRequest{
		Partition: p.ID, Range: p.Epoch.Range, Right: p.Split.Right, At: p.Split.At, ByLoad: p.Split.ByLoad,
		LeftGeneration: p.Split.LeftGeneration, RightGeneration: p.Split.RightGeneration,
	}
}

// abandon ends an intent: with the partition whole for good, or as it turns out,
// split.
func (c *Controller) abandon(ctx context.Context, w *catalog.TableWork, p *catalog.Partition, why *SplitOutcome) error {
	r := splitRequest(p)
	out, err := onLeader(ctx, c, w, p, func(ctx context.Context, h Host) (*SplitOutcome, error) { return h.CancelSplit(ctx, r) })
	if err != nil {
		return fmt.Errorf("leave partition %d of %s whole: %w", p.ID, w.Descriptor.Name, err)
	}
	if out.At != 0 {
		return c.cfg.Catalog.FinishSplit(ctx, p, out.At)
	}
	c.cfg.Log.Info("a partition was not split", "table", w.Descriptor.Name, "partition", p.ID, "reason", why.Refusal)
	return c.cfg.Catalog.AbandonSplit(ctx, p, catalog.Refusal{Reason: why.Refusal, Never: why.Never})
}

// endSplits ends all intents of a table that is about to be changed; any tells
// whether there were some.
func (c *Controller) endSplits(ctx context.Context, w *catalog.TableWork) (any bool, err error) {
	any = slices.ContainsFunc(w.Partitions, splitting)
	err = eachPartition(ctx, w, func(p *catalog.Partition) bool { return splitting(*p) }, func(ctx context.Context, p *catalog.Partition) error {
		return c.abandon(ctx, w, p, &SplitOutcome{Refusal: "the table is being changed"})
	})
	return any, err
}
