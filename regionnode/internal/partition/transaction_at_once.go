package partition

import (
	"context"
	"errors"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/transaction/protocol"
	"antipode/replication"
	"antipode/replication/hlc"
)

// doAtOnce does a transaction whose items all lie here as one write: one entry,
// and so one batch, one time and one sync. Unlike a prepare it cannot be
// repeated (I10); but with a receipt it can be asked about.
func (p *Partition) doAtOnce(ctx context.Context, r *regionnode.PrepareRequest) (*regionnode.PrepareResponse, error) {
	if len(r.Writes) == 0 {
		return nil, apierr.Internal()
	}
	for {
		resp, err := p.atOnce(ctx, r)
		if errors.Is(err, errNotApplied) {
			continue
		}
		if errors.Is(err, errLate) {
			return lateAtOnce(r, p.host.cfg.Clock.Now()), nil
		}
		if err == nil && resp.Committed {
			p.linger(ctx)
		}
		return resp, p.outward(err)
	}
}

// atOnce is one attempt; errNotApplied means that another is due.
func (p *Partition) atOnce(ctx context.Context, r *regionnode.PrepareRequest) (*regionnode.PrepareResponse, error) {
	term := p.role.Load().term
	order, err := writeOrder(r)
	if err != nil {
		return nil, err
	}
	resp := &regionnode.PrepareResponse{Votes: make([]regionnode.Vote, len(r.Writes))}
	all := &proposal{stamp: noStamp, done: make(chan error, 1)}
	refused, apart := false, false
	for _, i := range order {
		w, vote := &r.Writes[i], &resp.Votes[i]
		if err := p.latches.acquire(ctx, string(w.Key)); err != nil {
			all.release(p)
			return nil, err
		}
		all.latched = append(all.latched, string(w.Key))
		prop, err := p.evaluateAtOnce(ctx, r, w, &vote.Usage)
		if api := apierr.Of(err); api != nil && api.Code != apierr.InternalServerError {
			vote.Refusal, err = reasonOf(api), nil
			refused = true
		}
		if err == nil && prop != nil {
			err = all.join(prop)
			// Sizes of collections are answered by proposal.
			apart = apart || prop.sized
		}
		if err != nil {
			all.release(p)
			return nil, err
		}
	}
	resp.Sized = apart
	if refused || apart || len(all.effects) > maxEntryBytes {
		all.release(p)
		return resp, p.confirmed(ctx, &r.Target, term, nil)
	}
	if r.Receipt {
		if err := p.leaveReceipt(ctx, r, resp, all); err != nil {
			all.release(p)
			return nil, err
		}
	}
	if err := p.submit(all); err != nil {
		return nil, err
	}
	if err := all.await(ctx); err != nil {
		return nil, err
	}
	resp.Committed, resp.Receipt = true, r.Receipt
	return resp, nil
}

// join takes the effects of another write of the same transaction in.
func (w *proposal) join(part *proposal) error {
	if w.view == nil {
		w.view, w.term = part.view, part.term
	}
	// Latches hold for a term: another leader may have written in between.
	if w.view != part.view || w.term != part.term {
		return errNotApplied
	}
	at := len(w.effects) + part.stamp
	if w.stamp == noStamp {
		w.stamp = at
	} else {
		w.also = append(w.also, at)
	}
	w.effects = append(w.effects, part.effects...)
	return nil
}

// evaluateAtOnce evaluates one write whose latch is held.
func (p *Partition) evaluateAtOnce(ctx context.Context, r *regionnode.PrepareRequest, w *regionnode.Write, u *regionnode.Usage) (*proposal, error) {
	role, err := p.leading(ctx)
	if err != nil {
		return nil, err
	}
	v, err := p.checkKey(&r.Target, w.Key)
	if err != nil {
		return nil, err
	}
	if v.schema.leaving {
		return nil, apierr.NotFound()
	}
	p.noteRequest(w.Key)
	e := evaluation{p: p, view: v, key: w.Key, transaction: r.ID.String()}
	defer e.close()
	if err := e.load(); err != nil {
		return nil, err
	}
	it := p.protocolItem(&e)
	if it.Pending != nil {
		return nil, errConflict()
	}
	m, _, err := e.prepare(w, u)
	if err != nil {
		return nil, err
	}
	effect, _ := protocol.AtOnce(it, m.change, v.spec.Log.tombstones())
	prop := &proposal{view: v}
	if effect.Write {
		if prop, err = e.stamped(replication.ByTransaction, new(regionnode.Usage)); err != nil {
			return nil, err
		}
	} else {
		prop.effects = appendResolve(nil, w.Key, effect, hlc.Timestamp{})
		prop.stamp = len(prop.effects) - stampLen
	}
	prop.term = role.term
	return prop, nil
}
