package partition

import (
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"antipode/regionnode/table"
)

const (
	// awayElections is after how many election timeouts without a word a member
	// counts as away, so that one who is only slow does not.
	awayElections = 6
	// handElections is for how many election timeouts somebody leads before the
	// preferred member is given the leadership back, and how long after an attempt
	// the next one is made. For one of them writes wait for the hand-over.
	handElections = 10
)

// members is what a leader notes of the others, from tick to tick; the round's.
type members struct {
	silent map[uint64]int // ticks since a member was heard of
	seen   membership     // as published
	// led counts ticks since this leadership began, or since the last hand-over
	// was tried. handing counts down while one is under way.
	led, handing int
}

// membership is what a leader tells of the members that are not well.
type membership struct {
	// away do not answer; stranded ones lack entries that the log has no more.
	away, stranded []table.NodeID
}

func (m *membership) equal(o *membership) bool {
	return slices.Equal(m.away, o.away) && slices.Equal(m.stranded, o.stranded)
}

// watchMembers looks over the members at a tick of the leader.
func (p *Partition) watchMembers() {
	m := &p.members
	if m.silent == nil {
		m.silent = map[uint64]int{}
	}
	m.led++
	start, _ := p.storage.log.Start()
	now := membership{}
	p.raft.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if id == uint64(p.host.cfg.Node) {
			return
		}
		if m.silent[id]++; pr.RecentActive {
			m.silent[id] = 0
		}
		if p.away(id) {
			now.away = append(now.away, table.NodeID(id))
		}
		if pr.Next <= start || pr.Match > 0 && pr.Match < start {
			now.stranded = append(now.stranded, table.NodeID(id))
		}
	})
	slices.Sort(now.away)
	slices.Sort(now.stranded)
	if now.equal(&m.seen) {
		return
	}
	if len(now.stranded) > len(m.seen.stranded) {
		p.host.cfg.Log.Error("a member lacks entries that the raft log has no more: it cannot catch up",
			"partition", p.id, "members", now.stranded)
	}
	m.seen = now
	p.membership.Store(&now)
}

// forgetMembers ends what a leader knows.
func (p *Partition) forgetMembers() {
	if p.members.silent == nil {
		return
	}
	p.members = members{}
	p.membership.Store(nil)
}

// away tells whether a member has been silent for long.
func (p *Partition) away(id uint64) bool {
	return p.members.silent[id] > awayElections*p.host.cfg.ElectionTicks
}

// handOver gives the leadership back to the first member, where the catalog
// wants it, once that has caught up. New writes wait for it a moment, and those
// in flight end first, so that nobody's outcome becomes unknown.
func (p *Partition) handOver() {
	m := &p.members
	to := uint64(p.view().spec.Members[0])
	if m.handing > 0 {
		if m.handing--; m.handing == 0 {
			m.led = 0 // it did not work: writes go on here
		}
		return
	}
	if to == uint64(p.host.cfg.Node) || p.gate != nil || m.led < handElections*p.host.cfg.ElectionTicks || m.silent[to] > 0 {
		return
	}
	last, _ := p.storage.LastIndex()
	p.raft.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		// A few entries behind is what a busy partition's members always are.
		if id == to && pr.State == tracker.StateReplicate && pr.Match+1024 > last && p.host.elections.turn() {
			m.handing = p.host.cfg.ElectionTicks
		}
	})
}

// handing tells whether writes wait for another leader; once none is in flight
// raft is asked to make the change.
func (p *Partition) handing() bool {
	if p.members.handing == 0 {
		return false
	}
	if len(p.flights) == 0 && p.appending == 0 && p.raft.BasicStatus().LeadTransferee == 0 {
		p.raft.TransferLeader(uint64(p.view().spec.Members[0]))
	}
	return true
}
