package partition

import (
	"context"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"antipode/regionnode"
	"antipode/regionnode/table"
)

// Progress is how far one member or learner has the log, as its leader knows.
type Progress struct {
	Learner bool
	// Match is the last index that it is known to have durably; Last is the
	// leader's.
	Match, Last uint64
	// CaughtUp: it is sent what comes, and is at most a little behind.
	CaughtUp bool
	// Snapshotting: it is to get a snapshot, or gets one.
	Snapshotting bool
	// Away: nothing was heard of it for long. Alive: it was heard of not long ago.
	// A new leader knows neither.
	Away, Alive bool
}

// nearEntries is how far behind a busy partition's members may always be.
const nearEntries = 1024

// Progress asks the leader for all members and learners but itself; nil on a
// replica that does not lead.
func (p *Partition) Progress() map[table.NodeID]Progress {
	out, err := p.progress(p.host.ctx)
	if err != nil {
		return nil
	}
	return out
}

func (p *Partition) progress(ctx context.Context) (out map[table.NodeID]Progress, err error) {
	if callErr := p.onRound(ctx, func() {
		if r := p.role.Load(); !r.ready {
			err = &regionnode.NotLeader{Partition: p.id, Leader: r.leader}
			return
		}
		out = p.progressNow()
	}); callErr != nil {
		return nil, callErr
	}
	return out, err
}

// progressNow is the round's.
func (p *Partition) progressNow() map[table.NodeID]Progress {
	out := map[table.NodeID]Progress{}
	last, _ := p.storage.LastIndex()
	p.raft.WithProgress(func(id uint64, kind raft.ProgressType, pr tracker.Progress) {
		if id == uint64(p.host.cfg.Node) {
			return
		}
		out[table.NodeID(id)] = Progress{
			Learner: kind == raft.ProgressTypeLearner, Match: pr.Match, Last: last,
			CaughtUp:     p.near(pr, last),
			Snapshotting: pr.State == tracker.StateSnapshot,
			Away:         p.gone(table.NodeID(id)) || p.away(id),
			Alive:        !p.gone(table.NodeID(id)) && (pr.RecentActive || p.members.heard[id] && !p.away(id)),
		}
	})
	return out
}

// near tells whether a member has what the log begins behind, and most of it.
func (p *Partition) near(pr tracker.Progress, last uint64) bool {
	start, _ := p.storage.log.Start()
	return pr.State == tracker.StateReplicate && pr.Match >= start && pr.Match+nearEntries > last
}

// caughtUp is the round's.
func (p *Partition) caughtUp(node table.NodeID) (is bool) {
	last, _ := p.storage.LastIndex()
	p.raft.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if id == uint64(node) {
			is = p.near(pr, last)
		}
	})
	return is
}

// onRound has f run by a round and waits for it; after an error f may still
// run, so that what it sets must not be looked at.
func (p *Partition) onRound(ctx context.Context, f func()) error {
	done := make(chan struct{})
	p.inbox.mu.Lock()
	p.inbox.calls = append(p.inbox.calls, func() { f(); close(done) })
	p.inbox.mu.Unlock()
	p.host.scheduler.process(p)
	select {
	case <-done:
		return nil
	case <-p.done:
		return p.stale("partition is closed")
	case <-ctx.Done():
		return ctx.Err()
	}
}
