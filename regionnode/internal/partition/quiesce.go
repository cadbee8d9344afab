package partition

import (
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"antipode/regionnode/internal/liveness"
	"antipode/regionnode/table"
)

// A group sleeps when nobody needs raft's time: its leader, because all members
// that are alive have everything, and each follower, because its node supports
// the leader's. Liveness tells when that is over (PeersChanged).

const (
	// restElections is for how many election timeouts a leader has nothing to do
	// before its group goes to sleep.
	restElections = 2
	// settleTicks is how long an answer to a settleNote is waited for.
	settleTicks = 4
)

// rest is what a replica notes about sleep; the round's.
type rest struct {
	// ticking: the host gives ticks. asleep: a leader that needs none.
	ticking, asleep bool
	idle            int // ticks for which a leader had nothing to do
	followers       []follower
	// recovered: the replica was on disk when the host started, so its earlier life
	// may have promised something.
	recovered bool
	// lost led, until this node's support for it ended; 0 once there is a leader.
	lost  table.NodeID
	skips int // ticks without raft's, while an election cannot be won
	// kept is the promise that a replica may have made before it forgot, for a
	// snapshot, whom it follows.
	kept promise
	// transferred is the term in which the leader asked another to take over.
	transferred uint64
	voting      *voters
}

// promise is to follow nobody but a leader, as long as some support stands; none
// when support is 0.
type promise struct {
	leader  table.NodeID
	support uint64
}

// release ends a promise to a node that does not lead any more.
func (k *promise) release(leader table.NodeID) {
	if k.leader == leader {
		*k = promise{}
	}
}

// follower is what a leader knows of a member.
type follower struct {
	peer *liveness.Peer
	held uint64 // support under which it follows
	// caught is the index up to which it has everything and knows so.
	caught uint64
	wait   int // ticks until it is asked again
}

func (r *rest) follower(live *liveness.Monitor, id table.NodeID) *follower {
	for i := range r.followers {
		if r.followers[i].peer.Node() == id {
			return &r.followers[i]
		}
	}
	r.followers = append(r.followers, follower{peer: live.Peer(id)})
	return &r.followers[len(r.followers)-1]
}

// forgetRest ends what a leader knows.
func (p *Partition) forgetRest() {
	p.rest.followers, p.rest.asleep, p.rest.idle = nil, false, 0
	p.lease.Store(nil)
}

// rouse wakes a leader for what came in. Notes are about sleep itself.
func (p *Partition) rouse(in *intake) {
	r := &p.rest
	if !r.asleep {
		return
	}
	if slices.ContainsFunc(in.messages, isNews) || len(in.responses) > 0 || len(in.reads) > 0 || in.appended > 0 || len(in.calls) > 0 || in.wake || in.peers && p.unsettled() || p.buffer.pending.Load() > 0 {
		r.asleep, r.idle = false, 0
	}
}

// unsettled tells whether a sleeping leader has to do with news of nodes: a
// member has come back, or there is no quorum any more. That one has gone, others
// may do for now.
func (p *Partition) unsettled() bool {
	for i := range p.rest.followers {
		f := &p.rest.followers[i]
		if l := f.peer.Lease(); l != nil && l.ID != f.held {
			return true
		}
	}
	return !p.quorum()
}

// quorum tells whether the nodes of a majority of the voters are alive.
func (p *Partition) quorum() bool {
	for _, half := range p.voters().halves {
		alive := 0
		for _, id := range half {
			if id == p.host.cfg.Node || p.host.cfg.Liveness.Alive(id) {
				alive++
			}
		}
		if len(half) > 0 && alive <= len(half)/2 {
			return false
		}
	}
	return true
}

// gone tells whether a member's node has been silent for as long as its replica
// would have to be to count as away. A sleeping leader does not count ticks.
func (p *Partition) gone(id table.NodeID) bool {
	cfg := &p.host.cfg
	return cfg.Liveness != nil && cfg.TickInterval > 0 && id != cfg.Node &&
		cfg.Liveness.Silence(id) > awayElections*time.Duration(cfg.ElectionTicks)*cfg.TickInterval
}

// addGone adds the members whose nodes are gone to those that are away. A leader
// that is awake hears of them itself, also of those on older nodes, which do not
// beat.
func (p *Partition) addGone(away []table.NodeID) []table.NodeID {
	if p.host.isTicked(p) {
		return away
	}
	for _, id := range p.view().spec.Members {
		if p.gone(id) && !slices.Contains(away, id) {
			away = append(slices.Clip(away), id)
			slices.Sort(away)
		}
	}
	return away
}

// isNews tells apart what a sleeping leader must look at. Answers to its last
// heartbeats come in when it has just gone to sleep.
func isNews(m *pb.Message) bool { return m.GetType() != pb.MsgHeartbeatResp }

// resting tells at the end of a round whether the host shall give ticks.
func (p *Partition) resting() {
	if on := p.wantsTicks(); on != p.rest.ticking {
		p.rest.ticking = on
		p.host.setTicked(p, on)
	}
}

func (p *Partition) wantsTicks() bool {
	r := p.role.Load()
	switch {
	case p.alone():
		return p.state.Parked > 0
	case p.host.cfg.Liveness == nil:
		return true
	case r.leading:
		return !p.rest.asleep
	}
	return r.leader == 0 || p.supports(r.leader) == 0
}

// settle is a tick of a leader: it sees to it that followers follow under the
// support that stands, and puts the group to sleep when all that are alive have
// everything.
func (p *Partition) settle() {
	live := p.host.cfg.Liveness
	if live == nil {
		return
	}
	r := &p.rest
	last, _ := p.storage.LastIndex()
	if p.idle(last) {
		r.idle++
	} else {
		r.idle = 0
	}
	drowsy := r.idle >= restElections*p.host.cfg.ElectionTicks
	all, term := drowsy, p.role.Load().term
	p.raft.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if id == uint64(p.host.cfg.Node) {
			return
		}
		f := r.follower(live, table.NodeID(id))
		l := f.peer.Lease()
		away := p.away(id)
		if l == nil {
			all = all && away
			return
		}
		if away {
			// Its node lives: a replica made there later says nothing until it is spoken
			// to.
			all = false
			return
		}
		caught := f.caught == last && pr.Match == last && pr.State == tracker.StateReplicate
		all = all && caught && f.held == l.ID
		if f.held == l.ID && (caught || !drowsy) {
			return
		}
		if f.wait--; f.wait < 0 {
			f.wait = settleTicks
			p.tell(table.NodeID(id), note{kind: settleNote, term: term, commit: last})
		}
	})
	if all && !live.Alive(p.preferred()) || all && p.preferred() == p.host.cfg.Node {
		r.asleep = true
	}
}

// preferred is the member where the catalog wants the leadership.
func (p *Partition) preferred() table.NodeID { return p.view().spec.Members[0] }

// idle tells whether the leader has nothing under way, last being the end of its
// log.
func (p *Partition) idle(last uint64) bool {
	return p.buffer.pending.Load() == 0 && len(p.flights) == 0 && p.appending == 0 && len(p.reads.groups) == 0 &&
		!p.truncating && p.gate == nil && p.members.handing == 0 && p.state.Parked == 0 && p.state.Index == last
}

// noteSettled takes in a follower's answer.
func (p *Partition) noteSettled(n note) {
	r := p.role.Load()
	if !r.leading || r.term != n.term || n.support == 0 || p.host.cfg.Liveness == nil {
		return
	}
	f := p.rest.follower(p.host.cfg.Liveness, n.from)
	if n.caught {
		f.caught = n.commit
	}
	if f.held != n.support {
		f.held = n.support
		p.renewLease()
	}
}

// mayTick tells whether raft's time moves on. A follower whose leader's node is
// supported must not stand for election, and needs no time.
func (p *Partition) mayTick() bool {
	live, r := p.host.cfg.Liveness, p.role.Load()
	switch {
	case p.alone():
		return false
	case live == nil, r.leading:
		return true
	case p.keeps():
		return false
	case p.bound():
		// An election timeout that begins now ends behind the promise.
		soon := p.host.cfg.TickInterval * time.Duration(p.host.cfg.ElectionTicks-2)
		return live.Free() <= soon
	case r.leader != 0:
		return p.supports(r.leader) == 0
	case p.rest.lost != 0 && !p.mayReplace(p.rest.lost):
		// Now and then all the same: what nodes say of one another is a hint.
		p.rest.skips++
		return p.rest.skips%hopelessTicks == 0
	}
	return true
}

// hopelessTicks is how many ticks pass for one of raft's, while an election
// could not be won.
const hopelessTicks = 8

func (p *Partition) mayCampaign() bool {
	if p.solo() || p.host.cfg.Liveness == nil {
		return true
	}
	lead := p.role.Load().leader
	return !p.bound() && (lead == 0 || p.supports(lead) == 0)
}

// mayReplace tells whether a quorum of the voters is free to, as far as this
// node knows.
func (p *Partition) mayReplace(lead table.NodeID) bool {
	members := p.view().spec.Members
	free := 0
	for _, m := range members {
		if m == p.host.cfg.Node || m != lead && p.host.cfg.Liveness.Gives(m, lead) {
			free++
		}
	}
	return free > len(members)/2
}

// peersChanged looks whether this replica's leader is gone.
func (p *Partition) peersChanged() {
	r := p.role.Load()
	if r.leading || r.leader == 0 || !p.host.cfg.Liveness.Lost(r.leader) {
		return
	}
	p.forgetLeader()
	p.rest.lost, p.rest.skips = r.leader, 0
	p.host.elections.add(p, r.leader)
}

// forgetLeader makes a follower listen to others who want to lead.
func (p *Partition) forgetLeader() {
	_ = p.raft.ForgetLeader() // nothing to forget for others
	p.noteRole()
}
