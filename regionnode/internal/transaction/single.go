package transaction

import (
	"context"
	"errors"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/transaction/protocol"
	"antipode/regionnode/table"
)

// A transaction with a token whose items one partition holds takes two steps: its
// row, and everything else in one entry of the partition, which leaves a receipt
// there. The row says Committed behind the client's back, and then the receipt
// goes. Whoever finds the row Single in between asks the partition.

// settleAgain is the pause before a partition that could not tell is asked again.
const settleAgain = 50 * time.Millisecond

// firstState is how far a transaction with a token begins: Single when it looks
// as if one partition could do it. The partition has the last word.
func (w *writing) firstState(ctx context.Context) protocol.State {
	if len(w.parts) > 1 {
		return protocol.Preparing
	}
	if _, ok := w.c.sized.Load(w.parts[0].Table); ok {
		return protocol.Preparing
	}
	m, err := w.c.cfg.Region.Partitions(ctx, w.parts[0].Table)
	if err != nil {
		return protocol.Preparing
	}
	at := partitionOf(m, w.parts[0].Keys[0])
	for _, key := range w.parts[0].Keys[1:] {
		if partitionOf(m, key) != at {
			return protocol.Preparing
		}
	}
	return protocol.Single
}

// partitionOf is the place in a map of the partition that has a key.
func partitionOf(m *regionnode.PartitionMap, key []byte) (at int) {
	hash := table.Hash(key)
	for at < len(m.Partitions)-1 && m.Partitions[at+1].Start <= hash {
		at++
	}
	return at
}

// single asks the partition. Nothing and no error says that nothing was done and
// the row is Preparing now.
func (w *writing) single(ctx context.Context) (*regionnode.TransactWriteResponse, error) {
	for attempt := 1; ; attempt++ {
		resp, err := w.askAtOnce(ctx, w.id, true)
		if err != nil {
			return w.unknown(ctx, err)
		}
		refused, late, _ := w.count(resp.Votes)
		switch {
		case resp.Committed:
			return w.done(ctx, usages(resp.Votes), resp.Receipt)
		case refused:
			if err := w.abandon(ctx, nil); err != nil {
				return nil, err
			}
			return nil, canceled(reasons(resp.Votes, false))
		}
		if !resp.Clock.IsZero() {
			// One that is too far ahead stays ahead: the next attempt tells.
			_ = w.c.cfg.Clock.Update(resp.Clock)
		}
		next := protocol.Preparing
		if resp.Sized {
			w.c.sized.Store(w.parts[0].Table, nil)
		} else if late && attempt < maxAttempts {
			next = protocol.Single
		}
		err = w.enter(ctx, w.row, next)
		if errors.Is(err, errMoved) {
			return nil, canceled(w.allConflict())
		}
		if err != nil || next == protocol.Preparing {
			return nil, err
		}
	}
}

// done answers for what the partition has done. Without a receipt the row must
// say so first.
func (w *writing) done(ctx context.Context, u []regionnode.Usage, receipt bool) (*regionnode.TransactWriteResponse, error) {
	row, id := *w.row, w.id
	row.Usages = u
	tell := func(ctx context.Context) error { return w.c.told(ctx, id, &row) }
	if !receipt {
		if err := tell(ctx); err != nil {
			return nil, err
		}
	} else {
		w.c.later(tell)
	}
	return &regionnode.TransactWriteResponse{Usages: u}, nil
}

// told ends a Single row as Committed, and only then takes the receipt away.
func (c *Coordinator) told(ctx context.Context, id regionnode.TransactionID, r *row) error {
	part := r.Parts[0]
	if err := c.endRow(ctx, id, r, protocol.Committed); err != nil {
		return err
	}
	return c.forget(ctx, id, part.Table, id.Receipt(part.Keys[0]))
}

// forget takes a receipt away.
func (c *Coordinator) forget(ctx context.Context, id regionnode.TransactionID, t table.ID, receipt []byte) error {
	_, err := c.finish(ctx, id, false, []part{{Table: t, Keys: [][]byte{receipt}}})
	return err
}

// unknown finds out what became of a transaction whose partition gave no answer,
// as long as the request may last.
func (w *writing) unknown(ctx context.Context, err error) (*regionnode.TransactWriteResponse, error) {
	if apierr.Is(err, apierr.Validation) || apierr.Is(err, apierr.ResourceNotFound) {
		return nil, errors.Join(err, w.abandon(ctx, nil)) // refused as a whole
	}
	for {
		s, settleErr := w.c.ask(ctx, w.id, w.row, true)
		switch {
		case settleErr != nil:
			if ctx.Err() != nil {
				return nil, errors.Join(err, settleErr)
			}
		case s.Done:
			return w.done(ctx, s.Usages, true)
		case s.Never:
			return nil, errors.Join(err, w.abandon(ctx, nil))
		}
		if pause(ctx, settleAgain) != nil {
			return nil, err
		}
	}
}

// ask asks the partition about a Single row. Of a table that was dropped nothing
// is left.
func (c *Coordinator) ask(ctx context.Context, id regionnode.TransactionID, r *row, block bool) (*regionnode.SettleResponse, error) {
	s, err := c.cfg.Region.Settle(ctx, &regionnode.SettleRequest{
		Target: regionnode.Target{Table: r.Parts[0].Table}, ID: id, Key: r.Parts[0].Keys[0], Block: block,
	})
	if apierr.Is(err, apierr.ResourceNotFound) {
		return &regionnode.SettleResponse{Never: true}, nil
	}
	return s, err
}

// settle ends a Single row as its partition says, if that can tell by now.
func (c *Coordinator) settle(ctx context.Context, id regionnode.TransactionID, r *row) (*regionnode.SettleResponse, error) {
	s, err := c.ask(ctx, id, r, c.age(r.Time) >= c.cfg.Patience)
	switch {
	case err != nil:
		return nil, err
	case s.Done:
		next := *r
		next.Usages = s.Usages
		err = c.told(ctx, id, &next)
	case s.Never:
		err = c.endRow(ctx, id, r, protocol.Cancelled)
	}
	if errors.Is(err, errMoved) {
		err = nil // somebody else has ended it
	}
	return s, err
}

// replaySingle is replay of a row that is Single.
func (w *writing) replaySingle(ctx context.Context, id regionnode.TransactionID, old *row) (*regionnode.TransactWriteResponse, error) {
	s, err := w.c.settle(ctx, id, old)
	switch {
	case err != nil:
		return nil, err
	case s.Done:
		return &regionnode.TransactWriteResponse{Usages: s.Usages, Replayed: true}, nil
	case s.Never:
		return nil, nil
	}
	// It may have been ended, and its receipt taken away, since the row was read.
	now, err := w.c.ledger.read(ctx, w.id.Row)
	if err != nil {
		return nil, err
	}
	if now == nil || now.Row != old.Row {
		return nil, nil
	}
	return nil, inProgress()
}

// resolveReceipt does with a stalled receipt what the ledger says.
func (c *Coordinator) resolveReceipt(ctx context.Context, m *Stalled, r *row) error {
	var about *protocol.Row
	if r != nil {
		about = &r.Row
	}
	if protocol.Told(about, m.ID) {
		return c.forget(ctx, m.ID, m.Table, m.Key)
	}
	_, err := c.settle(ctx, m.ID, r)
	return err
}
