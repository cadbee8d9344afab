package partition

import (
	"context"
	"errors"
	"fmt"

	"antipode/regionnode"
	"antipode/regionnode/internal/keys"
	"antipode/regionnode/internal/transaction/protocol"
	"antipode/replication"
)

// Finish is part of regionnode.Participants.
func (p *Partition) Finish(ctx context.Context, r *regionnode.FinishRequest) (*regionnode.FinishResponse, error) {
	at := make([]int, len(r.Keys))
	for i := range r.Keys {
		if _, err := p.checkKey(&r.Target, r.Keys[i]); err != nil {
			return nil, err
		}
		at[i] = i
	}
	order, _ := distinct(at, func(i int) string { return string(r.Keys[i]) })
	resp := &regionnode.FinishResponse{Collections: make([]int64, len(r.Keys))}
	for {
		err := p.finishOnce(ctx, r, order, resp)
		switch {
		case errors.Is(err, errNotApplied):
		case errors.Is(err, errUnknown):
			// What was finished already is left alone, so the next leader may be asked.
			return nil, &regionnode.NotLeader{Partition: p.id, Leader: p.role.Load().leader}
		default:
			if err == nil && r.Commit {
				p.linger(ctx)
			}
			return resp, p.outward(err)
		}
	}
}

// finishOnce commits or cancels keys in order.
func (p *Partition) finishOnce(ctx context.Context, r *regionnode.FinishRequest, order []int, resp *regionnode.FinishResponse) error {
	term := p.role.Load().term
	var props []*proposal
	var at []int
	for _, i := range order {
		key := string(r.Keys[i])
		if err := p.latches.acquire(ctx, key); err != nil {
			p.discard(props)
			return err
		}
		prop, err := p.evaluateFinish(ctx, r, r.Keys[i])
		if err != nil || prop == nil {
			p.latches.release(key)
			if err != nil {
				p.discard(props)
				return err
			}
			continue
		}
		prop.latched = []string{key}
		props, at = append(props, prop), append(at, i)
	}
	if len(props) == 0 {
		return p.confirmed(ctx, &r.Target, term, nil)
	}
	if props[0].term != term {
		// What was left out was looked at in another term.
		p.discard(props)
		return errNotApplied
	}
	if err := p.submit(props...); err != nil {
		return err
	}
	var first error
	for n, prop := range props {
		if err := prop.await(ctx); err != nil && first == nil {
			first = err
		}
		if prop.sized {
			resp.Collections[at[n]] = prop.collection
		}
	}
	return first
}

// evaluateFinish evaluates the end of an attempt on one latched key; nil when
// nothing of it is there.
func (p *Partition) evaluateFinish(ctx context.Context, r *regionnode.FinishRequest, key []byte) (*proposal, error) {
	role, err := p.leading(ctx)
	if err != nil {
		return nil, err
	}
	v, err := p.checkKey(&r.Target, key)
	if err != nil {
		return nil, err
	}
	e := evaluation{p: p, view: v, key: key, transaction: r.ID.String()}
	defer e.close()
	if err := e.load(); err != nil {
		return nil, err
	}
	it := p.protocolItem(&e)
	if !protocol.Holds(it, r.ID) {
		// A split may have taken the mark with it since the key was checked: the new
		// range is in force before marks are forgotten.
		_, err := p.checkKey(&r.Target, key)
		return nil, err
	}
	prop := &proposal{view: v, stamp: noStamp, done: make(chan error, 1)}
	var effect protocol.Effect
	if r.Commit {
		if prop, effect, err = e.commit(it, r.ID); err != nil {
			return nil, err
		}
	}
	prop.term = role.term
	prop.effects = appendResolve(prop.effects, key, effect, r.ID.Time)
	return prop, nil
}

// commit makes the proposal of what the mark holds, without the mark's end. What
// was prepared cannot fail any more.
func (e *evaluation) commit(it protocol.Item, id regionnode.TransactionID) (*proposal, protocol.Effect, error) {
	cfg := &e.p.host.cfg
	raw, err := cfg.Store.GetCopy(keys.Data(e.view.spec.Table, keys.Marks, e.key))
	if err != nil {
		return nil, protocol.Effect{}, err
	}
	m, err := decodePrepared(raw)
	if err != nil {
		return nil, protocol.Effect{}, fmt.Errorf("mark of transaction %s: %w", id, err)
	}
	prop := &proposal{view: e.view, stamp: noStamp, done: make(chan error, 1)}
	effect, _ := protocol.Commit(it, id, m.change, e.view.spec.Log.tombstones())
	if !effect.Write {
		return prop, effect, nil
	}
	e.new = m.image
	if m.change == protocol.Remove {
		e.new = nil
	}
	var seen replication.Context
	if e.view.spec.Log.On {
		seen = seenBy(e.old.Context, e.old.Version)
	}
	prop, err = e.propose(replication.ByTransaction, replication.Version{Time: id.Time, Region: cfg.Region}, seen, new(regionnode.Usage))
	return prop, effect, err
}
