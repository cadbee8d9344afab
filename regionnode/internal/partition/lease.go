package partition

import (
	"bytes"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"antipode/regionnode/internal/liveness"
	"antipode/regionnode/table"
)

// A strong read needs no round trip while a quorum of the voters' nodes supports
// this node and their replicas have said, under just that support, that they
// follow this leader in this term: none of them votes for another one before the
// support has ended, so nothing can have been acknowledged elsewhere (I9). See
// LEASES.md for why that holds.

// readLease is a leader's right to answer, as agreed; immutable. Whether it
// stands is seen from the peers at each use.
type readLease struct {
	term   uint64
	halves [2]leaseHalf // of a joint configuration; the second is mostly empty
}

type leaseHalf struct {
	need    int // of backers; 0 or less when self is enough
	backers []backer
}

type backer struct {
	peer *liveness.Peer
	held uint64
}

// stands tells whether the lease does, at a moment after the call and before the
// answer.
func (l *readLease) stands(live *liveness.Monitor) bool {
	now := live.Now()
	for i := range l.halves {
		need := l.halves[i].need
		for _, b := range l.halves[i].backers {
			if held := b.peer.Lease(); held != nil && held.ID == b.held && now < held.Until {
				need--
			}
		}
		if need > 0 {
			return false
		}
	}
	return true
}

// leased tells whether this replica still led, with a role that is ready, at some
// moment since the call.
func (p *Partition) leased(r *role) bool {
	l := p.lease.Load()
	if l == nil || l.term != r.term || !l.stands(p.host.cfg.Liveness) {
		return false
	}
	// It counts itself: a vote for another leader, or the call to take over, leaves
	// this node only after role or lease were replaced.
	return p.role.Load() == r && p.lease.Load() == l
}

// renewLease puts together what followers have agreed to.
func (p *Partition) renewLease() {
	r := p.role.Load()
	// A split that this replica has not applied yet may have made another partition
	// elsewhere that takes writes (S7).
	if !r.leading || p.host.cfg.Liveness == nil || p.rest.transferred == r.term || p.host.cfg.NoLeases || p.gate.proposed() {
		p.lease.Store(nil)
		return
	}
	l := &readLease{term: r.term}
	for i, ids := range p.voters().halves {
		if len(ids) == 0 {
			continue
		}
		h := leaseHalf{need: len(ids)/2 + 1}
		for _, id := range ids {
			if id == p.host.cfg.Node {
				h.need--
			} else if f := p.rest.follower(p.host.cfg.Liveness, id); f.held != 0 {
				h.backers = append(h.backers, backer{f.peer, f.held})
			}
		}
		l.halves[i] = h
	}
	p.lease.Store(l)
}

// voters are the members that raft counts, as of a view.
type voters struct {
	view   *view
	halves [2][]table.NodeID
}

func (v *voters) has(id table.NodeID) bool {
	return slices.Contains(v.halves[0], id) || slices.Contains(v.halves[1], id)
}

// voters are those of the configuration in force.
func (p *Partition) voters() *voters {
	v := p.view()
	if p.rest.voting != nil && p.rest.voting.view == v {
		return p.rest.voting
	}
	out := &voters{view: v}
	for i, half := range p.raft.Status().Config.Voters {
		for id := range half {
			out.halves[i] = append(out.halves[i], table.NodeID(id))
		}
		slices.Sort(out.halves[i])
	}
	old := p.rest.voting
	p.rest.voting = out
	if old != nil && p.lease.Load() != nil && (!slices.Equal(old.halves[0], out.halves[0]) || !slices.Equal(old.halves[1], out.halves[1])) {
		p.renewLease()
	}
	return out
}

// campaignTransfer is the context of a vote that the leader itself has asked
// for: it has given its lease up.
var campaignTransfer = []byte("CampaignTransfer")

// admits tells whether a message may reach raft. While this node supports the
// leader's, the replica does not listen to others who want to replace it.
func (p *Partition) admits(m *pb.Message) bool {
	switch m.GetType() {
	case pb.MsgApp, pb.MsgHeartbeat, pb.MsgSnap:
		return true // from who leads, or has led
	}
	if p.host.cfg.Liveness == nil {
		return true
	}
	st := p.raft.BasicStatus()
	vote := m.GetType() == pb.MsgVote || m.GetType() == pb.MsgPreVote
	if vote && m.GetTerm() > st.HardState.GetTerm() {
		p.rest.kept.release(table.NodeID(m.GetFrom())) // it does not lead any more
	}
	switch {
	case m.GetTerm() <= st.HardState.GetTerm() && !(vote && p.bound()), st.RaftState == raft.StateLeader:
		return true
	case vote && bytes.Equal(m.GetContext(), campaignTransfer):
		return true
	case vote && p.bound():
		return false
	case st.Lead == raft.None:
		return true
	case vote && m.GetFrom() == st.Lead:
		// It does not lead any more.
		p.forgetLeader()
		return true
	}
	if p.supports(table.NodeID(st.Lead)) != 0 {
		return false
	}
	if vote && p.host.cfg.Liveness.Lost(table.NodeID(st.Lead)) {
		p.forgetLeader()
	}
	return true
}

// bound tells whether an earlier life of this replica may have promised what
// still holds.
func (p *Partition) bound() bool {
	if p.keeps() {
		return true
	}
	if !p.rest.recovered {
		return false
	}
	p.rest.recovered = p.host.cfg.Liveness != nil && p.host.cfg.Liveness.Free() > 0
	return p.rest.recovered
}

// keepPromise remembers, before the replica forgets whom it follows, that it may
// have promised to.
func (p *Partition) keepPromise() {
	if lead := p.role.Load().leader; lead != 0 && lead != p.host.cfg.Node {
		p.rest.kept.leader, p.rest.kept.support = lead, p.supports(lead)
	}
}

// keeps tells whether such a promise stands. Once the replica follows somebody
// again, it does so under the promises that it makes then.
func (p *Partition) keeps() bool {
	k := &p.rest.kept
	if k.support == 0 {
		return false
	}
	if p.role.Load().leader != 0 || p.host.cfg.Liveness.Support(k.leader) != k.support {
		k.leader, k.support = 0, 0
	}
	return k.support != 0
}

// reconfigured takes note of other members: what those who are gone have agreed
// to counts no more.
func (p *Partition) reconfigured() {
	spec := p.view().spec
	p.rest.followers = slices.DeleteFunc(p.rest.followers, func(f follower) bool { return !spec.heldBy(f.peer.Node()) })
	if p.host.cfg.Liveness != nil {
		p.voters()
	}
}

// giveLeaseUp ends the lease for the rest of the term: another member is about
// to be told to take over, and votes for it are given in spite of support.
func (p *Partition) giveLeaseUp() {
	p.rest.transferred = p.role.Load().term
	p.lease.Store(nil)
}
