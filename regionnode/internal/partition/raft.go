package partition

import (
	"fmt"

	"antipode/regionnode/internal/store"
	"antipode/regionnode/table"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// take empties the inbox; a fault and the wish to close stay in it.
func (in *inbox) take() intake {
	in.mu.Lock()
	defer in.mu.Unlock()
	out := in.intake
	in.intake = intake{err: out.err, closing: out.closing}
	return out
}

// process is one round: it feeds raft with what came in and carries out what
// raft wants done. Only the scheduler calls it, one round at a time.
func (p *Partition) process() {
	defer func() {
		if err := p.storage.failed; err != nil && !p.ended {
			_ = recover() // raft's, who has no other way to give up
			p.fail(fmt.Errorf("read raft log: %w", err))
		}
	}()
	in := p.inbox.take()
	switch {
	case p.ended:
		p.refuse(in.reads)
		return
	case in.err != nil:
		p.fail(in.err)
		return
	case in.closing:
		p.end()
		return
	case p.still:
		p.waitOut(&in)
		return
	}
	p.step(&in)
	for _, f := range in.calls {
		f()
	}
	if p.still {
		return
	}
	p.flush()
	for !p.ended && p.raft.HasReady() {
		if err := p.handle(p.raft.Ready()); err != nil {
			p.fail(err)
			return
		}
		p.flush()
	}
	if !p.ended {
		p.gate.watch(p)
		p.watchDisk(in.ticks, in.appended)
		p.maintain(in.ticks > 0)
		p.resting()
	}
}

func (p *Partition) step(in *intake) {
	p.rouse(in)
	p.appending -= in.appended
	if in.peers {
		p.peersChanged()
	}
	for range in.ticks {
		if p.mayTick() {
			p.raft.Tick()
		}
	}
	if in.eager > 0 {
		p.eager = in.eager
	}
	if (in.wake || p.eager > 0 && in.ticks > 0 && p.role.Load().leader == 0) && p.mayCampaign() {
		_ = p.raft.Campaign() // refused only when it leads already
	}
	p.eager = max(0, p.eager-in.ticks)
	for _, m := range in.messages {
		if (p.state.Index > 0 || heardEmpty(m)) && p.admits(m) && !(m.GetType() == pb.MsgTimeoutNow && p.diskStands()) {
			_ = p.raft.Step(m) // what raft refuses is what a network may lose
		}
	}
	for _, m := range in.responses {
		p.deliverResponse(m)
	}
	if in.wake || in.ticks > 0 || len(in.messages) > 0 {
		p.noteRole()
	}
	for _, n := range in.notes {
		p.stepNote(n)
	}
	p.reads.add(p, in.reads, in.ticks)
}

// heardEmpty tells whether an empty replica listens to a message. It answers no
// candidate: one that was here before may have acknowledged what a candidate
// lacks; only with a snapshot, made after that one was removed, is it known again
// who lacks it. What a heartbeat says to be committed here is of that one too.
func heardEmpty(m *pb.Message) bool {
	switch m.GetType() {
	case pb.MsgVote, pb.MsgPreVote, pb.MsgTimeoutNow:
		return false
	case pb.MsgHeartbeat:
		m.Commit = nil
	}
	return true
}

// deliverResponse passes on what raft attached to a finished append or apply.
func (p *Partition) deliverResponse(m *pb.Message) {
	if m.GetTo() == uint64(p.host.cfg.Node) {
		_ = p.raft.Step(m)
		return
	}
	p.send([]*pb.Message{m})
}

// handle carries out one Ready. The append is handed over before anything is
// applied, so that the disk works meanwhile.
func (p *Partition) handle(rd raft.Ready) error {
	if rd.SoftState != nil || !raft.IsEmptyHardState(rd.HardState) {
		p.noteRole()
	}
	p.reads.confirm(rd.ReadStates)
	var out []*pb.Message
	var apply *pb.Message
	for _, m := range rd.Messages {
		switch m.GetTo() {
		case raft.LocalAppendThread:
			p.append(m)
		case raft.LocalApplyThread:
			apply = m
		default:
			switch m.GetType() {
			case pb.MsgTimeoutNow:
				p.giveLeaseUp()
			case pb.MsgSnap:
				p.wantSnapshot(m)
				continue
			}
			out = append(out, m)
		}
	}
	p.send(out)
	if apply != nil {
		for _, e := range apply.GetEntries() {
			if err := p.apply(e); err != nil {
				return fmt.Errorf("apply entry %d: %w", e.GetIndex(), err)
			}
		}
		for _, m := range apply.GetResponses() {
			p.deliverResponse(m)
		}
		keep := uint64(recentLimit)
		if p.alone() {
			keep = 0
		}
		p.storage.forget(p.state.Index, keep)
	}
	p.reads.serve(p.state.Index)
	return nil
}

// append hands raft's storage message to the append loop.
func (p *Partition) append(m *pb.Message) {
	if m.Term != nil {
		p.storage.hard = store.HardState{Term: m.GetTerm(), Vote: m.GetVote(), Commit: m.GetCommit()}
	}
	entries, responses := m.GetEntries(), m.GetResponses()
	hard := p.storage.hard
	changed := hard.Term != p.writtenHard.Term || hard.Vote != p.writtenHard.Vote
	if len(responses) == 0 && !changed {
		// Only the commit index rose. It is known again after a restart, from the
		// leader or from what is applied.
		return
	}
	a := store.Append{Log: p.storage.log}
	if changed || len(entries) > 0 {
		a.Hard, p.writtenHard = &hard, hard
	}
	if len(entries) > 0 {
		p.storage.add(entries)
		a.Entries = storeEntries(entries)
		p.appending++
	}
	a.Done = func(err error) { p.appended(responses, len(entries) > 0, err) }
	p.host.cfg.Store.Append(a)
}

// appended runs on the append loop.
func (p *Partition) appended(responses []*pb.Message, entries bool, err error) {
	p.inbox.mu.Lock()
	if err != nil {
		p.inbox.err = fmt.Errorf("append to raft log: %w", err)
	} else {
		p.inbox.responses = append(p.inbox.responses, responses...)
		if entries {
			p.inbox.appended++
		}
	}
	p.inbox.mu.Unlock()
	p.host.scheduler.notify(p)
}

// send groups messages by member and hands them to the transport.
func (p *Partition) send(msgs []*pb.Message) {
	for len(msgs) > 0 {
		to := msgs[0].GetTo()
		var batch [][]byte
		var rest []*pb.Message
		for _, m := range msgs {
			if m.GetTo() != to {
				rest = append(rest, m)
				continue
			}
			b, err := encodeMessage(m, p.made.Load())
			if err != nil {
				p.warn("encode message: " + err.Error())
				continue
			}
			batch = append(batch, b)
		}
		p.host.cfg.Send(table.NodeID(to), p.id, batch)
		msgs = rest
	}
}

// noteRole compares raft's view of who leads with the one that is published.
func (p *Partition) noteRole() {
	st, old := p.raft.BasicStatus(), p.role.Load()
	term, leading := st.HardState.GetTerm(), st.RaftState == raft.StateLeader
	if term == old.term && leading == old.leading && table.NodeID(st.Lead) == old.leader {
		return
	}
	if st.Lead != raft.None {
		p.rest.lost = 0
	}
	lost := old.leading && (!leading || term != old.term)
	p.setRole(role{
		leader: table.NodeID(st.Lead), term: term, leading: leading,
		ready: old.ready && leading && term == old.term,
	})
	if lost {
		p.abandon()
	}
}

// abandon answers everybody who waits for a leadership that is over. What was
// not proposed is definitely not applied; of the rest nobody knows (I10).
func (p *Partition) abandon() {
	for _, w := range p.buffer.drain() {
		w.finish(p, errNotApplied)
	}
	for _, f := range p.flights {
		f.finish(p, errUnknown)
	}
	p.flights, p.truncating, p.leaving = nil, false, nil
	p.snapshots = snapshots{}
	p.dropGate()
	p.forgetMembers()
	p.forgetRest()
	p.reads.drop(errNotApplied)
}

// fail stops a replica that cannot go on: its disk or its log is broken, and
// whatever it did next could be wrong. A restart tries again.
func (p *Partition) fail(err error) {
	p.corrupt(err)
	p.host.cfg.Log.Error("partition stopped", "partition", p.id, "error", err)
	p.end()
	p.host.elections.resign(p)
}

func (p *Partition) end() {
	p.ended = true
	p.setRole(role{ended: true, term: p.role.Load().term})
	p.abandon()
	p.applied.mu.Lock()
	close(p.applied.logged)
	close(p.applied.raw)
	p.applied.mu.Unlock()
	p.inbox.mu.Lock()
	waiting := p.inbox.reads
	p.inbox.reads = nil
	p.inbox.mu.Unlock()
	p.refuse(waiting)
	close(p.done)
}
