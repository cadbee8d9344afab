package partition

import (
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
)

// maintain looks, at the end of a round, whether the leader has housekeeping to
// propose.
func (p *Partition) maintain(ticked bool) {
	r := p.role.Load()
	if !r.ready {
		p.forgetMembers()
		return
	}
	p.leaveJoint(r)
	if ticked && !p.alone() {
		p.watchMembers()
		p.handOver()
		p.settle()
		p.tickSnapshots()
		if p.flush(); p.raft.HasReady() {
			p.host.scheduler.notify(p)
		}
	}
	if !p.truncating && p.storage.log.Size() >= p.host.cfg.RaftLogBytes {
		p.proposeTruncate(r)
	}
	if ticked && p.state.Parked > 0 {
		p.unparkSoon()
	}
}

// proposeTruncate cuts the raft log off below what every member has, or gets by
// a snapshot. For one that is away the log is kept up to a size; beyond that the
// member is stranded and gets a snapshot when it is back.
func (p *Partition) proposeTruncate(r *role) {
	index := p.state.Index
	start, _ := p.storage.log.Start()
	full := p.storage.log.Size() >= p.host.cfg.MaxRaftLogBytes
	p.raft.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		switch pinned, ok := p.snapshots.pinned[id]; {
		case ok:
			index = min(index, max(pinned, pr.Match))
		case pr.State == tracker.StateSnapshot, pr.Match > 0 && pr.Match < start && p.host.cfg.SendSnapshot != nil:
			// It gets one of a later state than now.
		case !full || !p.away(id):
			index = min(index, pr.Match)
		}
	})
	if index > start {
		p.truncateAt(r, index)
	}
}

// truncateAt proposes to cut the log off up to an applied index.
func (p *Partition) truncateAt(r *role, index uint64) {
	term, err := p.storage.Term(index)
	if err != nil {
		p.warn("term of entry to truncate at: " + err.Error())
		return
	}
	prop := &proposal{
		term: r.term, view: p.view(), stamp: noStamp, done: make(chan error, 1),
		effects: appendNumbered(nil, truncateEffect, index, term),
	}
	if p.enqueue(prop) == nil {
		p.truncating = true
		p.host.scheduler.notify(p)
	}
}
