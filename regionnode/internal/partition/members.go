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
	heard  map[uint64]bool
	seen   membership // as published
	// led counts ticks since this leadership began, or since the last hand-over
	// was tried. handing counts down while one, to the member to, is under way;
	// handed are closed at its end.
	led, handing int
	to           uint64
	handed       []chan struct{}
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
		m.silent, m.heard = map[uint64]int{}, map[uint64]bool{}
	}
	m.led++
	start, _ := p.storage.log.Start()
	now := membership{}
	p.raft.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if id == uint64(p.host.cfg.Node) {
			return
		}
		if m.silent[id]++; pr.RecentActive {
			m.silent[id], m.heard[id] = 0, true
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
		p.host.cfg.Log.Warn("a member lacks entries that the raft log has no more: it needs a snapshot",
			"partition", p.id, "members", now.stranded)
	}
	m.seen = now
	p.membership.Store(&now)
}

// forgetMembers ends what a leader knows.
func (p *Partition) forgetMembers() {
	p.members.endHanding()
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
	if m.handing > 0 {
		if m.handing--; m.handing == 0 {
			m.endHanding() // it did not work: writes go on here
		}
		return
	}
	spec := p.view().spec
	to := uint64(spec.Members[0])
	if len(spec.Outgoing) > 0 || p.gate != nil {
		return
	}
	if to == uint64(p.host.cfg.Node) || m.led < handElections*p.host.cfg.ElectionTicks || m.silent[to] > 0 {
		return
	}
	if p.caughtUp(table.NodeID(to)) && p.host.elections.turn() {
		p.hand(table.NodeID(to))
	}
}

// endHanding tells who waits for a hand-over that it has ended.
func (m *members) endHanding() {
	m.led, m.handing = 0, 0
	for _, ended := range m.handed {
		close(ended)
	}
	m.handed = nil
}

// handing tells whether writes wait for another leader; once none is in flight
// raft is asked to make the change.
func (p *Partition) handing() bool {
	if p.members.handing == 0 {
		return false
	}
	if len(p.flights) == 0 && p.appending == 0 && p.raft.BasicStatus().LeadTransferee == 0 {
		p.raft.TransferLeader(p.members.to)
	}
	return true
}
