package partition

import (
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"antipode/regionnode/table"
)

// stallElections is after how many election timeouts without a finished sync a
// disk counts as standing still.
const stallElections = 2

// watchDisk has a leader whose disk stands still give the leadership to a member
// whose disk does not: it proposes nothing until its append is durable, so every
// write would wait. It is done again, to the next member, until somebody takes
// it. ticks have passed since the last round, and appended appends were finished.
func (p *Partition) watchDisk(ticks, appended int) {
	if p.appending == 0 || appended > 0 {
		p.stalled = 0
		return
	}
	before := p.stalled
	p.stalled += ticks
	election := p.host.cfg.ElectionTicks
	if ticks == 0 || !p.diskStands() || before/election == p.stalled/election {
		return
	}
	st := p.raft.BasicStatus()
	if st.RaftState != raft.StateLeader || st.LeadTransferee != raft.None {
		return
	}
	heirs := p.heirs()
	if len(heirs) == 0 {
		return
	}
	to := heirs[p.stalled/election%len(heirs)]
	p.host.cfg.Log.Warn("the disk does not finish a sync: another member is to lead", "partition", p.id, "member", table.NodeID(to))
	p.raft.TransferLeader(to)
	if p.raft.HasReady() {
		p.host.scheduler.notify(p)
	}
}

// diskStands tells whether this replica's appends have been waiting for long.
func (p *Partition) diskStands() bool {
	return p.stalled >= stallElections*p.host.cfg.ElectionTicks
}

// heirs are the voters that answer and have nearly everything.
func (p *Partition) heirs() (out []uint64) {
	last, _ := p.storage.LastIndex()
	p.raft.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if id != uint64(p.host.cfg.Node) && !pr.IsLearner && pr.RecentActive && pr.State == tracker.StateReplicate && pr.Match+1024 > last {
			out = append(out, id)
		}
	})
	return out
}
