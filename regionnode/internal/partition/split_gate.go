package partition

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// gate holds new writes back before a split, while those in flight end and what
// they changed reaches the global indexes. Positions of readers pass it. The
// round's.
type gate struct {
	quiet  chan struct{} // closed once nothing is in flight
	closed bool
	// term and proposal of the split's entry, 0 before it is proposed.
	term, proposal uint64
}

// passes tells whether a buffered proposal need not wait at a gate.
func (w *proposal) passes() bool { return len(w.latched) == 1 && w.latched[0] == positionLatch }

// bringPassing puts the proposals that pass a gate before those that wait at it.
// They carry no stamps, so their order does not matter.
func (b *buffer) bringPassing() {
	slices.SortStableFunc(b.writes, func(x, y *proposal) int {
		switch {
		case x.passes() == y.passes():
			return 0
		case x.passes():
			return -1
		}
		return 1
	})
}

// watch notes, at the end of a round, that nothing is in flight any more: from
// then on the change log does not grow.
func (g *gate) watch(p *Partition) {
	if g != nil && !g.closed && len(p.flights) == 0 {
		g.closed = true
		close(g.quiet)
	}
}

// inRound has f run in the partition's next round and waits for it; f does not
// run if the partition ends first.
func (p *Partition) inRound(f func()) {
	done := make(chan struct{})
	p.inbox.mu.Lock()
	p.inbox.calls = append(p.inbox.calls, func() { f(); close(done) })
	p.inbox.mu.Unlock()
	p.host.scheduler.notify(p)
	select {
	case <-done:
	case <-p.done:
	}
}

// gate holds new writes back and waits until none is in flight.
func (s *splitting) gate(ctx context.Context) error {
	g := &gate{quiet: make(chan struct{})}
	var err error
	s.p.inRound(func() {
		switch {
		case s.stand() != nil:
			err = errNotApplied
		case s.p.gate.proposed():
			err = notNow("a split of it is in the log")
		case s.p.members.handing > 0:
			err = notNow("its leadership is being handed over")
		default:
			s.p.gate = g
		}
	})
	if err != nil {
		return err
	}
	timer := time.NewTimer(gatePatience)
	defer timer.Stop()
	select {
	case <-g.quiet:
		return nil
	case <-timer.C:
		return notNow("writes in flight do not end")
	case <-s.p.done:
		return s.p.stale("partition is closed")
	case <-ctx.Done():
		return fmt.Errorf("wait for writes in flight: %w", ctx.Err())
	}
}

// end lets writes go on and stops the tally, unless the split's entry is in the
// log: then its outcome does that.
func (s *splitting) end() {
	s.p.inRound(func() {
		if !s.p.gate.proposed() {
			s.p.gate, s.p.tally = nil, nil
		}
	})
}

// propose puts the split into the log, with exact counts, and waits for its
// outcome.
func (s *splitting) propose(ctx context.Context) error {
	prop := &proposal{term: s.term, stamp: noStamp, done: make(chan error, 1)}
	err := s.p.stale("partition is closed")
	s.p.inRound(func() { err = s.proposeNow(prop) })
	if err != nil {
		return err
	}
	return prop.await(ctx)
}

// proposeNow runs in a round. What was checked when the attempt began is checked
// again, because it can have changed until the gate was shut.
func (s *splitting) proposeNow(prop *proposal) error {
	p := s.p
	if err := s.stand(); err != nil {
		return err
	}
	prop.view = p.view()
	if err := s.allowed(prop.view); err != nil {
		return err
	}
	if c := p.raft.Status().Config; len(c.Voters[1]) > 0 || len(c.Learners) > 0 || len(c.LearnersNext) > 0 {
		return notNow("its membership is changing")
	}
	if p.gate == nil || p.tally == nil || p.members.handing > 0 {
		return errNotApplied
	}
	if through, end := p.indexedNow(prop.view); through < end {
		return errNotApplied
	}
	plan := splitPlan{
		SplitRecord: SplitRecord{Right: s.r.Right, At: s.at, LeftGeneration: s.r.LeftGeneration, RightGeneration: s.r.RightGeneration},
		Counts:      s.right,
	}
	plan.Counts.add(&p.tally.counts)
	prop.effects = plan.append(nil)
	b := &p.buffer
	b.mu.Lock()
	b.pending.Add(1)
	h := p.headerOf([]*proposal{prop}, s.term)
	b.mu.Unlock()
	p.gate.term, p.gate.proposal = h.Term, h.Proposal
	p.renewLease()
	if !p.put([]*proposal{prop}, len(prop.effects), h) {
		p.gate = nil
		p.renewLease()
	}
	return nil
}

// indexedNow is indexedThrough for who does not hold indexing.mu.
func (p *Partition) indexedNow(v *view) (through, end uint64) {
	p.indexing.mu.Lock()
	defer p.indexing.mu.Unlock()
	return p.indexedThrough(v)
}

// dropGate ends a gate whose leadership is over, and wakes who waits at it.
func (p *Partition) dropGate() {
	if g := p.gate; g != nil && !g.closed {
		g.closed = true
		close(g.quiet)
	}
	p.gate, p.tally = nil, nil
}

// openGate ends the gate of a split whose outcome is known.
func (p *Partition) openGate(h *header) {
	if g := p.gate; g != nil && g.proposal == h.Proposal && g.term == h.Term {
		p.gate, p.tally = nil, nil
		p.renewLease()
	}
}

// proposed tells whether a split is in the log and not applied here.
func (g *gate) proposed() bool { return g != nil && g.proposal != 0 }

// dropOutdated answers proposals that were evaluated before the range changed and
// are not in the log yet.
func (p *Partition) dropOutdated() {
	p.truncating = false
	for _, w := range p.buffer.drain() {
		w.finish(p, errNotApplied)
	}
}
