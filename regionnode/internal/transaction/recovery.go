package transaction

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/internal/transaction/protocol"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// later does what the client need not wait for. What fails is found by recovery.
func (c *Coordinator) later(f func(ctx context.Context) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.background.Go(func() {
		ctx, cancel := c.bounded(c.ctx)
		defer cancel()
		if err := f(ctx); err != nil && !errors.Is(err, errMoved) && ctx.Err() == nil {
			c.cfg.Log.Warn("ledger row was not ended", "error", err)
		}
	})
}

// endRow notes that a transaction is over. A row that no token asks for goes.
func (c *Coordinator) endRow(ctx context.Context, id regionnode.TransactionID, old *row, state protocol.State) error {
	if !old.Token || state == protocol.Cancelled {
		return c.ledger.change(ctx, id.Row, old, nil)
	}
	next := *old
	next.State, next.Parts = state, nil
	next.Ended = c.cfg.Clock.Physical() / int64(time.Millisecond)
	return c.ledger.change(ctx, id.Row, old, &next)
}

// finishRow carries out what a row has been decided to.
func (c *Coordinator) finishRow(ctx context.Context, id regionnode.TransactionID, r *row) error {
	commit := r.State == protocol.Committing
	if _, err := c.finish(ctx, id, commit, r.Parts); err != nil {
		return fmt.Errorf("finish transaction %s: %w", id, err)
	}
	state := protocol.Cancelled
	if commit {
		state = protocol.Committed
	}
	if err := c.endRow(ctx, id, r, state); err != nil && !errors.Is(err, errMoved) {
		return err
	}
	return nil
}

// decideAgainst ends a transaction whose coordinator is silent, unless it has
// been decided meanwhile: the row is the one place that says so.
func (c *Coordinator) decideAgainst(ctx context.Context, id regionnode.TransactionID, r *row) error {
	next := *r
	next.State = protocol.Cancelling
	if err := c.ledger.change(ctx, id.Row, r, &next); err != nil {
		if errors.Is(err, errMoved) {
			return nil
		}
		return err
	}
	c.cfg.Log.Info("transaction of a silent coordinator is cancelled", "transaction", id)
	return c.finishRow(ctx, id, &next)
}

// resolve does with a stalled mark what the ledger says.
func (c *Coordinator) resolve(ctx context.Context, m *Stalled) error {
	r, err := c.ledger.read(ctx, m.ID.Row)
	if err != nil {
		return err
	}
	if regionnode.IsReceipt(m.Key) {
		return c.resolveReceipt(ctx, m, r)
	}
	var about *protocol.Row
	if r != nil {
		about = &r.Row
	}
	alone := []part{{Table: m.Table, Keys: [][]byte{m.Key}}}
	switch protocol.FateOf(about, m.ID, c.age(m.ID.Time) >= c.cfg.Patience) {
	case protocol.ToCommit:
		return c.finishRow(ctx, m.ID, r)
	case protocol.ToCancel:
		_, err = c.finish(ctx, m.ID, false, alone)
	case protocol.ToDecide:
		err = c.decideAgainst(ctx, m.ID, r)
	}
	return err
}

// sweepEvery is how many looks at marks pass for one at a page of the ledger.
const sweepEvery = 4

// Run finishes what others have left until ctx ends: marks on this node's
// partitions that are too old, and rows of the ledger's partitions that this node
// leads.
func (c *Coordinator) Run(ctx context.Context) {
	tick := time.NewTicker(c.cfg.Patience / 10)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := c.Heal(ctx); err != nil && ctx.Err() == nil {
			c.cfg.Log.Warn("stalled transactions were not finished", "error", err)
		}
		if n%sweepEvery != 0 {
			continue
		}
		if err := c.Sweep(ctx); err != nil && ctx.Err() == nil {
			c.cfg.Log.Warn("ledger of transactions was not swept", "error", err)
		}
	}
}

// Heal looks once at the marks on this node's partitions.
func (c *Coordinator) Heal(ctx context.Context) error {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	var errs []error
	for _, m := range c.cfg.Stalled(c.cfg.Clock.Physical() - int64(c.cfg.Patience)) {
		if err := c.resolve(ctx, &m); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Sweep looks at the next page of each of the ledger's partitions that this node
// leads: it finishes rows that are too old and removes those whose token is free
// again.
func (c *Coordinator) Sweep(ctx context.Context) error {
	c.sweeping.Lock()
	defer c.sweeping.Unlock()
	c.ledger.mu.Lock()
	d := c.ledger.d
	c.ledger.mu.Unlock()
	if d == nil {
		var err error
		// Without a ledger there is nothing to sweep, and none is made for that.
		if d, err = c.cfg.Region.DescribeTable(ctx, table.Ledger); err != nil {
			return nil
		}
	}
	parts, err := c.cfg.Region.Partitions(ctx, d.ID)
	if err != nil {
		return fmt.Errorf("find the ledger of transactions: %w", err)
	}
	led := c.cfg.Led(d.ID)
	var errs []error
	for _, p := range parts.Partitions {
		if !slices.Contains(led, p.ID) {
			continue
		}
		page, err := c.cfg.Region.Range(ctx, &regionnode.RangeRequest{
			Target: regionnode.Target{Table: d.ID, Partition: p.ID, Range: p.Epoch.Range}, Consistent: true, After: c.swept[p.ID],
		})
		if _, split := errors.AsType[*regionnode.Stale](err); split {
			continue // the next sweep goes by the new map
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("read the ledger of transactions: %w", err))
			continue
		}
		c.swept[p.ID] = page.LastKey
		for _, image := range page.Items {
			errs = append(errs, c.sweepRow(ctx, image))
		}
	}
	return errors.Join(errs...)
}

// sweepRow does what is due for one row.
func (c *Coordinator) sweepRow(ctx context.Context, image item.Encoded) error {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	name, r, err := decodeRow(image)
	if err != nil {
		return err
	}
	id := regionnode.TransactionID{Row: name, Time: r.Time}
	now := c.cfg.Clock.Physical() / int64(time.Millisecond)
	switch {
	case r.State.Ended():
		if now-r.Ended <= tokenLife.Milliseconds() {
			return nil
		}
		err = c.ledger.change(ctx, name, r, nil)
	case c.age(r.Time) < c.cfg.Patience:
	case r.State == protocol.Single:
		_, err = c.settle(ctx, id, r)
	case r.State == protocol.Preparing:
		err = c.decideAgainst(ctx, id, r)
	default:
		err = c.finishRow(ctx, id, r)
	}
	if errors.Is(err, errMoved) {
		return nil
	}
	return err
}
