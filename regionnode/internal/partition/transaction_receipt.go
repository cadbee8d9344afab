package partition

import (
	"context"
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"

	"antipode/regionnode"
	"antipode/regionnode/internal/keys"
	"antipode/regionnode/internal/transaction/protocol"
	"antipode/regionnode/item"
	"antipode/replication/hlc"
)

// A receipt says that a transaction was done in one step, until the ledger says
// so too. It is a mark on a key of its own, which no item can have: members,
// snapshots and splits treat it as any mark, whoever looks for stalled marks
// finds it, and closed time stays below the time of its attempt. So an attempt
// without a receipt whose time is closed never happens: it would be late.

// leaveReceipt adds a receipt to a transaction whose writes are evaluated, and
// the latch of its key, which comes last: who has it waits for no other.
func (p *Partition) leaveReceipt(ctx context.Context, r *regionnode.PrepareRequest, resp *regionnode.PrepareResponse, all *proposal) error {
	var ahead *hlc.OffsetError
	if err := p.host.cfg.Clock.Update(r.ID.Time); errors.As(err, &ahead) {
		return errLate
	} else if err != nil {
		return err
	}
	p.lag()
	key := r.ID.Receipt(r.Writes[0].Key)
	if err := p.latches.acquire(ctx, string(key)); err != nil {
		return err
	}
	all.latched = append(all.latched, string(key))
	usages := make([]regionnode.Usage, len(resp.Votes))
	for i := range resp.Votes {
		usages[i] = resp.Votes[i].Usage
	}
	image, err := msgpack.Marshal(usages)
	if err != nil {
		return fmt.Errorf("encode receipt of transaction %s: %w", r.ID, err)
	}
	all.holds = r.ID.Time // late when that is closed
	all.effects = appendMark(all.effects, key, &prepared{id: r.ID, change: protocol.Put, image: item.Encoded(image)})
	return nil
}

// lateAtOnce asks for another attempt with a later time.
func lateAtOnce(r *regionnode.PrepareRequest, clock hlc.Timestamp) *regionnode.PrepareResponse {
	resp := &regionnode.PrepareResponse{Votes: make([]regionnode.Vote, len(r.Writes)), Clock: clock}
	for i := range resp.Votes {
		resp.Votes[i].Late = true
	}
	return resp
}

// Settle is part of regionnode.Participants.
func (p *Partition) Settle(ctx context.Context, r *regionnode.SettleRequest) (*regionnode.SettleResponse, error) {
	for {
		resp, err := p.settleOnce(ctx, r)
		switch {
		case errors.Is(err, errNotApplied):
		case errors.Is(err, errUnknown):
			// Asking again does no harm, so the next leader may be asked.
			return nil, &regionnode.NotLeader{Partition: p.id, Leader: p.role.Load().leader}
		default:
			return resp, p.outward(err)
		}
	}
}

// settleOnce is one attempt; errNotApplied means that another is due.
func (p *Partition) settleOnce(ctx context.Context, r *regionnode.SettleRequest) (*regionnode.SettleResponse, error) {
	if _, err := p.checkKey(&r.Target, r.Key); err != nil {
		return nil, err
	}
	if err := p.confirm(ctx); err != nil {
		return nil, err
	}
	key := r.ID.Receipt(r.Key)
	if err := p.latches.acquire(ctx, string(key)); err != nil {
		return nil, err
	}
	block := &proposal{latched: []string{string(key)}, done: make(chan error, 1)}
	role, err := p.leading(ctx)
	if err == nil {
		block.term = role.term
		block.view, err = p.checkKey(&r.Target, r.Key)
	}
	if err != nil {
		block.release(p)
		return nil, err
	}
	if m := p.marked(key); m != nil && m.id == r.ID {
		defer block.release(p)
		return p.receipt(block.view, key)
	}
	if !r.Block {
		block.release(p)
		return &regionnode.SettleResponse{}, nil
	}
	return p.block(ctx, r, key, block)
}

// receipt reads one whose latch is held.
func (p *Partition) receipt(v *view, key []byte) (*regionnode.SettleResponse, error) {
	raw, err := p.host.cfg.Store.GetCopy(keys.Data(v.spec.Table, keys.Marks, key))
	if err != nil {
		return nil, err
	}
	m, err := decodePrepared(raw)
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	resp := &regionnode.SettleResponse{Done: true}
	if err := msgpack.Unmarshal(m.image, &resp.Usages); err != nil {
		return nil, fmt.Errorf("receipt of transaction %s: %w", m.id, err)
	}
	return resp, nil
}

// block writes an entry that moves closed time on. Once that has passed the
// attempt, whoever leads refuses it.
func (p *Partition) block(ctx context.Context, r *regionnode.SettleRequest, key []byte, w *proposal) (*regionnode.SettleResponse, error) {
	// It changes nothing; the time in it is what is closed up to.
	w.effects = appendResolve(nil, key, protocol.Effect{}, hlc.Timestamp{})
	w.stamp = len(w.effects) - stampLen
	if err := p.submit(w); err != nil {
		return nil, err
	}
	if err := w.await(ctx); err != nil {
		return nil, err
	}
	p.applied.mu.Lock()
	defer p.applied.mu.Unlock()
	return &regionnode.SettleResponse{Never: !p.applied.state.Closed.Less(r.ID.Time)}, nil
}
