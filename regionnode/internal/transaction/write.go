package transaction

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/transaction/protocol"
	"antipode/regionnode/table"
)

// maxAttempts bounds how often a transaction that was refused only because of
// its timestamp is tried with a later one.
const maxAttempts = 8

// decideAgain is the pause before a decision whose outcome is unknown is written
// again.
const decideAgain = 10 * time.Millisecond

// writing is one write transaction under way.
type writing struct {
	c     *Coordinator
	r     *regionnode.TransactWriteRequest
	id    regionnode.TransactionID
	nonce uint64
	parts []part
	// at says which of the request's writes a part's are.
	at [][]int
	// row as it was last written.
	row *row
}

// TransactWrite is part of regionnode.Transactions. It goes on when the client
// has gone.
func (c *Coordinator) TransactWrite(ctx context.Context, r *regionnode.TransactWriteRequest) (*regionnode.TransactWriteResponse, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	w := &writing{c: c, r: r, nonce: c.cfg.Random()}
	w.split()
	resp, err := w.atOnce(ctx)
	if resp == nil && err == nil {
		resp, err = w.run(ctx)
	}
	return resp, c.outward(err)
}

// split sorts the writes by table.
func (w *writing) split() {
	index := map[table.ID]int{}
	for i := range w.r.Writes {
		t := w.r.Writes[i].Table
		n, ok := index[t]
		if !ok {
			n = len(w.parts)
			index[t] = n
			w.parts, w.at = append(w.parts, part{Table: t}), append(w.at, nil)
		}
		w.parts[n].Keys = append(w.parts[n].Keys, w.r.Writes[i].Write.Key)
		w.at[n] = append(w.at[n], i)
	}
}

func (w *writing) run(ctx context.Context) (*regionnode.TransactWriteResponse, error) {
	if done, err := w.begin(ctx); done != nil || err != nil {
		return done, err
	}
	if w.row.State == protocol.Single {
		if done, err := w.single(ctx); done != nil || err != nil {
			return done, err
		}
	}
	for attempt := 1; ; attempt++ {
		votes, err := w.prepare(ctx)
		if err != nil {
			return nil, errors.Join(err, w.abandon(ctx, w.parts))
		}
		refused, late, marked := w.count(votes)
		if !refused && !late {
			return w.commit(ctx, votes)
		}
		if refused || attempt == maxAttempts {
			if err := w.abandon(ctx, marked); err != nil {
				return nil, err
			}
			return nil, canceled(reasons(votes, !refused))
		}
		if err := w.postpone(ctx, marked); err != nil {
			return nil, err
		}
	}
}

// atOnce leaves a transaction of one table to the partition that holds all its
// items, if one does: that needs neither ledger nor marks. A request with a token
// needs a row, to be recognised when it comes again (single). Nothing and no
// error says that nothing was done.
func (w *writing) atOnce(ctx context.Context) (*regionnode.TransactWriteResponse, error) {
	if w.r.Token != "" || len(w.parts) > 1 {
		return nil, nil
	}
	id := regionnode.TransactionID{Row: fmt.Sprintf("%016x%016x", w.c.cfg.Random(), w.nonce), Time: w.c.cfg.Clock.Now()}
	resp, err := w.askAtOnce(ctx, id, false)
	if err != nil {
		return nil, err
	}
	if refused, _, _ := w.count(resp.Votes); refused {
		return nil, canceled(reasons(resp.Votes, false))
	}
	if !resp.Committed {
		return nil, nil
	}
	return &regionnode.TransactWriteResponse{Usages: usages(resp.Votes)}, nil
}

// askAtOnce asks the partition of all items to do the transaction in one step.
func (w *writing) askAtOnce(ctx context.Context, id regionnode.TransactionID, receipt bool) (*regionnode.PrepareResponse, error) {
	r := regionnode.PrepareRequest{
		Target: regionnode.Target{Table: w.parts[0].Table}, ID: id, AtOnce: true, Receipt: receipt,
		Writes: make([]regionnode.Write, len(w.r.Writes)),
	}
	for i := range w.r.Writes {
		r.Writes[i] = w.r.Writes[i].Write
	}
	return w.c.cfg.Region.Prepare(ctx, &r)
}

func usages(votes []regionnode.Vote) []regionnode.Usage {
	out := make([]regionnode.Usage, len(votes))
	for i := range votes {
		out[i] = votes[i].Usage
	}
	return out
}

// reasons words votes. Lateness is told only when nothing else spoke against
// the transaction: otherwise nobody will try it again.
func reasons(votes []regionnode.Vote, late bool) []apierr.Reason {
	out := make([]apierr.Reason, len(votes))
	for i := range votes {
		out[i] = votes[i].Refusal
		if late && votes[i].Late {
			out[i] = conflict()
		}
	}
	return out
}

// begin writes the row that must be there before anything is prepared. A token
// that was used already may answer the request.
func (w *writing) begin(ctx context.Context) (*regionnode.TransactWriteResponse, error) {
	w.id.Row = rowOf(w.r.Token)
	if w.r.Token == "" {
		w.id.Row = fmt.Sprintf("%016x%016x", w.c.cfg.Random(), w.nonce)
		return nil, w.enter(ctx, nil, protocol.Preparing)
	}
	state := w.firstState(ctx)
	for {
		old, err := w.c.ledger.read(ctx, w.id.Row)
		if err != nil {
			return nil, err
		}
		if old != nil {
			done, err := w.replay(ctx, old)
			if done != nil || err != nil {
				return done, err
			}
			if !old.State.Ended() {
				continue // it was finished; look again
			}
		}
		if err := w.enter(ctx, old, state); !errors.Is(err, errMoved) {
			return nil, err
		}
	}
}

// rowOf is the row of a token.
func rowOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:20])
}

// enter writes the row of an attempt over what was there.
func (w *writing) enter(ctx context.Context, old *row, state protocol.State) error {
	w.id.Time = w.c.cfg.Clock.Now()
	if old != nil && !old.Time.Less(w.id.Time) {
		if err := w.c.cfg.Clock.Update(old.Time); err != nil {
			return err
		}
		w.id.Time = w.c.cfg.Clock.Now()
	}
	next := &row{
		Row:  protocol.Row{State: state, Time: w.id.Time},
		body: body{Nonce: w.nonce, Parts: w.parts, Token: w.r.Token != "", Digest: w.r.Digest},
	}
	err := w.c.ledger.change(ctx, w.id.Row, old, next)
	w.row = next
	return err
}

// replay decides what a used token means; nil and no error that the token is
// free, or that what was left of its transaction is finished now.
func (w *writing) replay(ctx context.Context, old *row) (*regionnode.TransactWriteResponse, error) {
	now := w.c.cfg.Clock.Physical() / 1e6
	id := regionnode.TransactionID{Row: w.id.Row, Time: old.Time}
	switch {
	case old.State == protocol.Cancelled, old.State == protocol.Committed && now-old.Ended > tokenLife.Milliseconds():
		return nil, nil
	case old.State == protocol.Cancelling:
		return nil, w.c.finishRow(ctx, id, old)
	case !bytes.Equal(old.Digest, w.r.Digest):
		return nil, apierr.New(apierr.IdempotentParameterMismatch, "DynamoDB rejected the request because you retried a request "+
			"with a different payload but with an idempotent token that was already used.")
	case old.State == protocol.Committed:
		return &regionnode.TransactWriteResponse{Usages: old.Usages, Replayed: true}, nil
	case old.State == protocol.Committing:
		if err := w.c.finishRow(ctx, id, old); err != nil {
			return nil, err
		}
		return &regionnode.TransactWriteResponse{Usages: old.Usages, Replayed: true}, nil
	case old.State == protocol.Single:
		return w.replaySingle(ctx, id, old)
	case w.c.age(old.Time) < w.c.cfg.Patience:
		return nil, inProgress()
	}
	return nil, w.c.decideAgainst(ctx, id, old)
}

func inProgress() error {
	return apierr.New(apierr.TransactionInProgress, "The transaction with the given request token is already in progress.")
}

// prepare asks for all votes and waits for them. They come in request order.
func (w *writing) prepare(ctx context.Context) ([]regionnode.Vote, error) {
	votes := make([]regionnode.Vote, len(w.r.Writes))
	clocks := make([]*regionnode.PrepareResponse, len(w.parts))
	until := w.id.Time.Wall + int64(w.c.cfg.Patience)
	err := eachPart(w.parts, func(n int) error {
		r := regionnode.PrepareRequest{
			Target: regionnode.Target{Table: w.parts[n].Table}, ID: w.id, Until: until,
			Writes: make([]regionnode.Write, len(w.at[n])),
		}
		for i, k := range w.at[n] {
			r.Writes[i] = w.r.Writes[k].Write
		}
		resp, err := w.c.cfg.Region.Prepare(ctx, &r)
		if err != nil {
			return err
		}
		for i, k := range w.at[n] {
			votes[k] = resp.Votes[i]
		}
		clocks[n] = resp
		return nil
	})
	for _, resp := range clocks {
		if resp != nil && !resp.Clock.IsZero() {
			// One that is too far ahead stays ahead: the next attempt tells.
			_ = w.c.cfg.Clock.Update(resp.Clock)
		}
	}
	return votes, err
}

// count tells whether a vote refuses the transaction or only its timestamp, and
// what has been marked.
func (w *writing) count(votes []regionnode.Vote) (refused, late bool, marked []part) {
	for n := range w.parts {
		p := part{Table: w.parts[n].Table}
		for _, k := range w.at[n] {
			refused = refused || votes[k].Refusal.Code != ""
			late = late || votes[k].Late
			if votes[k].Marked {
				p.Keys = append(p.Keys, w.r.Writes[k].Write.Key)
			}
		}
		if len(p.Keys) > 0 {
			marked = append(marked, p)
		}
	}
	return refused, late, marked
}

// abandon cancels what is marked. Nobody but this coordinator could have
// committed, so the row need not say so before.
func (w *writing) abandon(ctx context.Context, marked []part) error {
	if _, err := w.c.finish(ctx, w.id, false, marked); err != nil {
		return err
	}
	last := w.row
	remove := func(ctx context.Context) error { return w.c.ledger.change(ctx, w.id.Row, last, nil) }
	// A client that has been refused may use its token for something else at once.
	if w.r.Token == "" || remove(ctx) != nil {
		w.c.later(remove)
	}
	return nil
}

// postpone begins another attempt with a later timestamp.
func (w *writing) postpone(ctx context.Context, marked []part) error {
	if _, err := w.c.finish(ctx, w.id, false, marked); err != nil {
		return err
	}
	err := w.enter(ctx, w.row, protocol.Preparing)
	if errors.Is(err, errMoved) {
		return canceled(w.allConflict())
	}
	return err
}

func (w *writing) allConflict() []apierr.Reason {
	out := make([]apierr.Reason, len(w.r.Writes))
	for i := range out {
		out[i] = conflict()
	}
	return out
}

// commit decides, and then commits everywhere.
func (w *writing) commit(ctx context.Context, votes []regionnode.Vote) (*regionnode.TransactWriteResponse, error) {
	next := *w.row
	next.State = protocol.Committing
	next.Usages = usages(votes)
	if err := w.decide(ctx, &next); err != nil {
		return nil, err
	}
	sizes, err := w.c.finish(ctx, w.id, true, w.parts)
	if err != nil {
		return nil, err
	}
	for n := range w.parts {
		for i, k := range w.at[n] {
			if len(sizes[n]) > 0 {
				next.Usages[k].Collection = sizes[n][i]
			}
		}
	}
	w.c.later(func(ctx context.Context) error { return w.c.endRow(ctx, w.id, &next, protocol.Committed) })
	return &regionnode.TransactWriteResponse{Usages: next.Usages}, nil
}

// decide writes the commit point. Whether it was written is asked for until it
// is known, or time is up; then whoever comes next finishes what it says.
func (w *writing) decide(ctx context.Context, next *row) error {
	for maybe := false; ; {
		err := w.c.ledger.change(ctx, w.id.Row, w.row, next)
		if err == nil {
			return nil
		}
		maybe = maybe || !errors.Is(err, errMoved)
		now, readErr := w.c.ledger.read(ctx, w.id.Row)
		switch {
		case readErr != nil:
			if ctx.Err() != nil {
				return errors.Join(err, readErr)
			}
		case now != nil && now.Row == next.Row && now.Nonce == w.nonce:
			return nil
		case now != nil && now.State == protocol.Committed && now.Time == next.Time && now.Nonce == w.nonce:
			return nil // and somebody has finished it since
		case now == nil && maybe:
			return apierr.Internal() // somebody has finished it, and nobody knows which way
		case now == nil || now.Row != w.row.Row:
			// Somebody took it for stalled.
			if _, err := w.c.finish(ctx, w.id, false, w.parts); err != nil {
				return err
			}
			return canceled(w.allConflict())
		}
		if pause(ctx, decideAgain) != nil {
			return err
		}
	}
}
