package partition

import (
	"context"
	"encoding/binary"
	"fmt"

	"go.etcd.io/raft/v3"
)

// readWaiter is a reader that waits for proof that this replica still led after
// it asked (I9).
type readWaiter struct{ done chan error }

// readGroup shares one round trip to the members.
type readGroup struct {
	id      uint64
	ticks   int    // since it was asked
	index   uint64 // to be applied first; 0 until confirmed
	waiters []*readWaiter
}

// reads are the groups under way; the round's.
type reads struct {
	next   uint64 // ids are never used twice, not even for another try
	groups []*readGroup
}

// readRetryBeats is after how many heartbeats' time raft is taken to have dropped
// a request.
const readRetryBeats = 3

// add starts one group for what came in, and tries overdue ones again.
func (rs *reads) add(p *Partition, waiters []*readWaiter, ticks int) {
	if ticks > 0 {
		for _, g := range rs.groups {
			if g.ticks += ticks; g.index == 0 && g.ticks >= readRetryBeats*p.host.cfg.HeartbeatTicks {
				rs.ask(p, g)
			}
		}
	}
	if len(waiters) == 0 {
		return
	}
	if !p.role.Load().leading {
		for _, w := range waiters {
			w.done <- errNotApplied
		}
		return
	}
	g := &readGroup{waiters: waiters}
	rs.groups = append(rs.groups, g)
	rs.ask(p, g)
}

// ask sends the request with a context of its own, so that a late answer to
// another attempt, or to another node's, cannot confirm it.
func (rs *reads) ask(p *Partition, g *readGroup) {
	rs.next++
	g.id, g.ticks = rs.next, 0
	rctx := binary.BigEndian.AppendUint64(nil, uint64(p.host.cfg.Node))
	rctx = binary.BigEndian.AppendUint64(rctx, p.host.started)
	p.raft.ReadIndex(binary.BigEndian.AppendUint64(rctx, g.id))
}

func (rs *reads) confirm(states []raft.ReadState) {
	for _, st := range states {
		if len(st.RequestCtx) != 24 {
			continue
		}
		id := binary.BigEndian.Uint64(st.RequestCtx[16:])
		for _, g := range rs.groups {
			if g.id == id && g.index == 0 {
				g.index = st.Index
			}
		}
	}
}

// serve lets go those whose state is applied.
func (rs *reads) serve(applied uint64) {
	rest := rs.groups[:0]
	for _, g := range rs.groups {
		if g.index == 0 || g.index > applied {
			rest = append(rest, g)
			continue
		}
		for _, w := range g.waiters {
			w.done <- nil
		}
	}
	clear(rs.groups[len(rest):])
	rs.groups = rest
}

func (rs *reads) drop(err error) {
	for _, g := range rs.groups {
		for _, w := range g.waiters {
			w.done <- err
		}
	}
	rs.groups = nil
}

// refuse answers readers of a replica that has ended.
func (p *Partition) refuse(waiters []*readWaiter) {
	for _, w := range waiters {
		w.done <- errNotApplied
	}
}

// confirm returns once the state applied here is at least as new as everything
// acknowledged before the call. Errors are Stale, NotLeader or ctx's.
func (p *Partition) confirm(ctx context.Context) error {
	for {
		r, err := p.leading(ctx)
		if err != nil {
			return err
		}
		if p.solo() || p.leased(r) {
			return nil
		}
		w := &readWaiter{done: make(chan error, 1)}
		p.inbox.mu.Lock()
		p.inbox.reads = append(p.inbox.reads, w)
		p.inbox.mu.Unlock()
		p.host.scheduler.process(p)
		select {
		case err := <-w.done:
			if err == nil {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("confirm leadership of partition %d: %w", p.id, ctx.Err())
		}
	}
}
