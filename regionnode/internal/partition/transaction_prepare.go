package partition

import (
	"context"
	"errors"
	"fmt"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/transaction/protocol"
	"antipode/replication"
	"antipode/replication/hlc"
)

// errLate refuses a prepare because its time is closed.
var errLate = errors.New("time of the transaction is closed")

// errConflict refuses a write of a key that a transaction has marked.
func errConflict() error {
	return apierr.New(apierr.TransactionConflict, conflictMessage)
}

const conflictMessage = "Transaction is ongoing for the item"

// markedError is the refusal of a record of another region while its key is
// marked: it is to be tried again when the mark has gone.
type markedError struct{ mark *mark }

func (e *markedError) Error() string { return "marked by transaction " + e.mark.id.String() }

func isMarked(err error) bool {
	var m *markedError
	return errors.As(err, &m)
}

// awaitResolved waits until the mark that err speaks of has gone; false when err
// speaks of none.
func (p *Partition) awaitResolved(ctx context.Context, err error) (bool, error) {
	var m *markedError
	if !errors.As(err, &m) {
		return false, nil
	}
	select {
	case <-m.mark.resolved:
		return true, nil
	case <-p.done:
		return false, p.stale("partition is closed")
	case <-ctx.Done():
		return false, fmt.Errorf("wait for transaction %s: %w", m.mark.id, ctx.Err())
	}
}

// Prepare is part of regionnode.Participants.
func (p *Partition) Prepare(ctx context.Context, r *regionnode.PrepareRequest) (*regionnode.PrepareResponse, error) {
	if err := p.awaitIndexes(ctx); err != nil {
		return nil, p.outward(err)
	}
	if r.AtOnce {
		return p.doAtOnce(ctx, r)
	}
	for {
		resp, err := p.prepareOnce(ctx, r)
		switch {
		case errors.Is(err, errNotApplied):
		case errors.Is(err, errUnknown):
			// The same attempt may be prepared twice, so the next leader may be asked.
			return nil, &regionnode.NotLeader{Partition: p.id, Leader: p.role.Load().leader}
		case errors.Is(err, errLate):
			p.lag()
		default:
			return resp, p.outward(err)
		}
	}
}

// prepareOnce is one attempt; errNotApplied and errLate mean that another is due.
func (p *Partition) prepareOnce(ctx context.Context, r *regionnode.PrepareRequest) (*regionnode.PrepareResponse, error) {
	for i := range r.Writes {
		if _, err := p.checkKey(&r.Target, r.Writes[i].Key); err != nil {
			return nil, err
		}
	}
	term := p.role.Load().term
	order, err := writeOrder(r)
	if err != nil {
		return nil, err
	}
	round := prepareRound{p: p, r: r, resp: &regionnode.PrepareResponse{Votes: make([]regionnode.Vote, len(r.Writes))}}
	if err := round.vote(ctx, order); err != nil {
		p.discard(round.props)
		return nil, err
	}
	if round.refused || len(round.props) == round.repeats {
		p.discard(round.props)
		round.resp.Clock = p.host.cfg.Clock.Now()
		return round.resp, p.confirmed(ctx, &r.Target, term, nil)
	}
	return round.resp, round.submit(ctx)
}

// writeOrder is the order in which the keys of a transaction are latched.
func writeOrder(r *regionnode.PrepareRequest) ([]int, error) {
	at := make([]int, len(r.Writes))
	for i := range at {
		at[i] = i
	}
	order, twice := distinct(at, func(i int) string { return string(r.Writes[i].Key) })
	if len(twice) > 0 {
		return nil, apierr.Invalid("Transaction request cannot include multiple operations on one item")
	}
	return order, nil
}

// prepareRound is one prepare with the latches of its keys.
type prepareRound struct {
	p    *Partition
	r    *regionnode.PrepareRequest
	resp *regionnode.PrepareResponse
	// props has one for each latched key. Those of repeats have no effects.
	props   []*proposal
	repeats int
	refused bool
}

// vote evaluates all writes, given in key order.
func (n *prepareRound) vote(ctx context.Context, order []int) error {
	late, err := n.tooLate(ctx)
	if err != nil {
		return err
	}
	for _, i := range order {
		w, vote := &n.r.Writes[i], &n.resp.Votes[i]
		if err := n.p.latches.acquire(ctx, string(w.Key)); err != nil {
			return err
		}
		n.props = append(n.props, &proposal{latched: []string{string(w.Key)}})
		prop, err := n.evaluate(ctx, w, vote)
		if api := apierr.Of(err); api != nil && api.Code != apierr.InternalServerError {
			vote.Refusal, err = reasonOf(api), nil
		}
		if err != nil {
			return err
		}
		vote.Late = vote.Late || late
		if vote.Refusal.Code != "" || vote.Late {
			n.refused = true
		}
		if prop == nil {
			n.repeats++
			continue
		}
		prop.latched = []string{string(w.Key)}
		n.props[len(n.props)-1] = prop
	}
	for i := range n.resp.Votes {
		n.resp.Votes[i].Marked = n.resp.Votes[i].Marked || !n.refused
	}
	return nil
}

// tooLate tells a request that is too old, or of a clock too far ahead, and
// moves this clock up to the transaction's time (I12).
func (n *prepareRound) tooLate(ctx context.Context) (bool, error) {
	if _, err := n.p.leading(ctx); err != nil {
		return false, err
	}
	clock := n.p.host.cfg.Clock
	if time.Duration(clock.Physical()-n.r.Until) > clock.MaxOffset() {
		return true, nil
	}
	var ahead *hlc.OffsetError
	if err := clock.Update(n.r.ID.Time); errors.As(err, &ahead) {
		return true, nil
	} else if err != nil {
		return false, err
	}
	return false, nil
}

// evaluate evaluates one write whose latch is held; a nil proposal says that
// there is nothing to write.
func (n *prepareRound) evaluate(ctx context.Context, w *regionnode.Write, vote *regionnode.Vote) (*proposal, error) {
	p := n.p
	r, err := p.leading(ctx)
	if err != nil {
		return nil, err
	}
	v, err := p.checkKey(&n.r.Target, w.Key)
	if err != nil {
		return nil, err
	}
	if v.schema.leaving {
		return nil, apierr.NotFound()
	}
	p.noteRequest(w.Key)
	closed := p.lag()
	e := evaluation{p: p, view: v, key: w.Key}
	defer e.close()
	if err := e.load(); err != nil {
		return nil, err
	}
	switch protocol.Prepare(p.protocolItem(&e), p.watermarks(closed), n.r.ID) {
	case protocol.Conflict:
		return nil, errConflict()
	case protocol.Repeat:
		vote.Marked = true
		_, _, err := e.prepare(w, &vote.Usage)
		return nil, err
	case protocol.Late:
		vote.Late = true
	}
	m, done, err := e.prepare(w, &vote.Usage)
	if err != nil || !done || vote.Late {
		return nil, err
	}
	m.id = n.r.ID
	return &proposal{
		term: r.term, view: v, stamp: noStamp, holds: n.r.ID.Time, done: make(chan error, 1),
		effects: appendMark(nil, w.Key, m),
	}, nil
}

// protocolItem is what the protocol has to know of a key that is loaded and
// latched.
func (p *Partition) protocolItem(e *evaluation) protocol.Item {
	it := protocol.Item{Exists: e.old.live(), Version: e.old.Version.Time, Checked: p.lastCheck(e.key)}
	if m := p.marked(e.key); m != nil {
		it.Pending = &m.id
	}
	return it
}

func (p *Partition) watermarks(closed hlc.Timestamp) protocol.Watermarks {
	p.applied.mu.Lock()
	defer p.applied.mu.Unlock()
	return protocol.Watermarks{Deleted: p.applied.state.Deleted, AbsentRead: p.applied.state.AbsentRead, Closed: closed}
}

// prepare evaluates a write as far as it can be refused, up to the image that a
// commit will store. done is false with an error.
func (e *evaluation) prepare(w *regionnode.Write, u *regionnode.Usage) (m *prepared, done bool, err error) {
	if err := e.condition(w); err != nil {
		return nil, false, err
	}
	m = &prepared{change: protocol.Check}
	resp := &regionnode.WriteResponse{}
	switch w.Op {
	case regionnode.PutOp:
		err = e.put(w, resp)
	case regionnode.UpdateOp:
		err = e.update(w, resp)
	case regionnode.DeleteOp:
		err = e.delete(w, resp)
	case regionnode.CheckOp:
		u.OldSize = e.old.Item.Size()
		return m, true, nil
	default:
		err = apierr.Internal()
	}
	if err != nil {
		return nil, false, err
	}
	m.change, m.image = protocol.Put, e.new
	if len(e.new) == 0 {
		m.change = protocol.Remove
	}
	u.OldSize, u.NewSize = e.old.Item.Size(), e.new.Size()
	// For what it costs and whether it fits: the effects are made at the commit.
	_, err = e.propose(replication.ByUser, replication.Version{}, nil, u)
	return m, err == nil, err
}

// submit writes the marks. It has given all latches back when it returns.
func (n *prepareRound) submit(ctx context.Context) error {
	var fresh []*proposal
	for _, prop := range n.props {
		if prop.effects == nil {
			prop.release(n.p)
			continue
		}
		fresh = append(fresh, prop)
	}
	if err := n.p.submit(fresh...); err != nil {
		return err
	}
	var first error
	for _, prop := range fresh {
		if err := prop.await(ctx); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// reasonOf words a refusal as a cancellation reason.
func reasonOf(e *apierr.Error) apierr.Reason {
	code := map[apierr.Code]string{
		apierr.ConditionalCheckFailed:          "ConditionalCheckFailed",
		apierr.TransactionConflict:             "TransactionConflict",
		apierr.ItemCollectionSizeLimitExceeded: "ItemCollectionSizeLimitExceeded",
		apierr.Throttling:                      "ThrottlingError",
		apierr.ProvisionedThroughputExceeded:   "ProvisionedThroughputExceeded",
	}[e.Code]
	if code == "" {
		code = "ValidationError"
	}
	return apierr.Reason{Code: code, Message: e.Message, Item: e.Item}
}
