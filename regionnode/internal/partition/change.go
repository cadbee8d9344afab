package partition

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"antipode/regionnode"
	"antipode/regionnode/table"
)

// Change is one step of a partition's membership.
type Change struct {
	// Epoch is the Epoch.Members that the step is meant for (I11).
	Epoch uint32
	// AddLearners get the log, and neither vote nor count. Their nodes have an
	// empty replica already (Host.CreateLearner).
	AddLearners []table.NodeID
	// Promote makes learners that have caught up members. Remove takes members or
	// learners away. Of a promoted and a removed one the first takes the other's
	// place in the order of members, pair by pair.
	Promote, Remove []table.NodeID
}

// CannotChange refuses a change of members, or a transfer of the leadership:
// nothing was changed. Later it may succeed.
type CannotChange struct{ Reason string }

func (e *CannotChange) Error() string { return "members cannot change: " + e.Reason }

// Effects of membership. In logs on disk: never renumber. The first two are
// alone in an entry that raft knows as a change of configuration.
const (
	membersEffect byte = iota + 72 // a Change
	leaveEffect                    // the old members of a joint configuration go
	preferEffect                   // a member is to lead
)

// maxMembers bounds a group.
const maxMembers = 7

// membersLatch orders changes of members. It is shorter than any table key.
const membersLatch = "members"

// ChangeMembers carries out one step and returns the descriptor in force after
// it, once a majority of the members in it knows that it is: replicas that were
// removed may then be destroyed. Only the leader can; one step is taken at a
// time. *regionnode.Stale when the epoch is another, *CannotChange when it is
// refused, *regionnode.NotLeader where another leads, also because a leader that
// is to be removed has handed over: then nothing was changed. Any other error
// leaves the outcome open: ask the leader's ConfirmMembers.
func (p *Partition) ChangeMembers(ctx context.Context, c Change) (*Spec, error) {
	effects := c.append([]byte{membersEffect})
	for {
		if err := p.latches.acquire(ctx, membersLatch); err != nil {
			return nil, err
		}
		err := p.changeOnce(ctx, c, effects)
		switch {
		case errors.Is(err, errNotApplied):
			continue
		case err != nil:
			return nil, err
		}
		spec, err := p.ConfirmMembers(ctx)
		if err != nil {
			// Not as itself: the step was taken, at least in part.
			return nil, fmt.Errorf("change of members of partition %d is under way: %v", p.id, err) //nolint:errorlint // see above
		}
		return spec, nil
	}
}

func (p *Partition) changeOnce(ctx context.Context, c Change, effects []byte) error {
	r, err := p.leading(ctx)
	v := p.view()
	var heir table.NodeID
	if err == nil {
		heir, err = p.mayChange(ctx, v.spec, &c)
	}
	if err != nil || heir != 0 {
		p.latches.release(membersLatch)
	}
	if heir != 0 {
		if err := p.TransferLeader(ctx, heir); err != nil {
			return err
		}
		return &regionnode.NotLeader{Partition: p.id, Leader: heir}
	}
	if err != nil {
		return err
	}
	prop := &proposal{
		term: r.term, view: v, effects: effects, stamp: noStamp, members: true,
		latched: []string{membersLatch}, done: make(chan error, 1),
	}
	if err := p.submit(prop); err != nil {
		return err
	}
	return prop.await(ctx)
}

// ConfirmMembers waits until no change of members is under way and a majority
// of the members in force knows that they are, durably. Only the leader can.
func (p *Partition) ConfirmMembers(ctx context.Context) (*Spec, error) {
	for {
		if _, err := p.leading(ctx); err != nil {
			return nil, err
		}
		changed := p.specChanged()
		spec := p.view().spec
		if len(spec.Outgoing) == 0 {
			// Who takes in an entry that was made after the change was applied learns
			// from the same message that the change is committed.
			err := p.exclusive(ctx, membersLatch, func(*view) ([]byte, error) { return []byte{}, nil })
			if now := p.view().spec; err != nil || now.Epoch.Members == spec.Epoch.Members {
				return now, err
			}
			continue
		}
		select {
		case <-changed:
		case <-p.role.Load().changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for change of members: %w", ctx.Err())
		}
	}
}

// specChanged is closed at the next change of the descriptor.
func (p *Partition) specChanged() <-chan struct{} {
	p.applied.mu.Lock()
	defer p.applied.mu.Unlock()
	return p.applied.spec
}

// mayChange checks a step before it is proposed. heir is to take the leadership
// over first, 0 when this leader stays.
func (p *Partition) mayChange(ctx context.Context, spec *Spec, c *Change) (heir table.NodeID, err error) {
	if c.Epoch != spec.Epoch.Members {
		return 0, p.stale("members changed")
	}
	next, err := spec.changed(c)
	if err != nil {
		return 0, err
	}
	progress, err := p.progress(ctx)
	if err != nil {
		return 0, err
	}
	for _, id := range c.Promote {
		if !progress[id].CaughtUp || !progress[id].Alive {
			return 0, &CannotChange{fmt.Sprintf("node %d has not caught up", id)}
		}
	}
	if len(next.Members) == 2 && slices.ContainsFunc(c.Remove, func(id table.NodeID) bool {
		return id == p.host.cfg.Node || !progress[id].Away && !progress[id].Learner
	}) {
		return 0, errTwo
	}
	alive := 0
	for _, id := range next.Members {
		if id == p.host.cfg.Node || progress[id].Alive {
			alive++
		}
	}
	if alive <= len(next.Members)/2 {
		return 0, &CannotChange{fmt.Sprintf("%d of %d members would be alive", alive, len(next.Members))}
	}
	if slices.Contains(c.Remove, p.host.cfg.Node) {
		return heirOf(spec, c, progress)
	}
	return 0, nil
}

// heirOf is a member that stays when the leader goes. A leader that is the only
// member hands over in the joint configuration instead (leaveJoint).
func heirOf(spec *Spec, c *Change, progress map[table.NodeID]Progress) (table.NodeID, error) {
	if len(spec.Members) == 1 {
		return 0, nil
	}
	for _, id := range spec.Members {
		if slices.Contains(c.Remove, id) || !progress[id].CaughtUp || !progress[id].Alive {
			continue
		}
		return id, nil
	}
	return 0, &CannotChange{"no member that stays can take the leadership over"}
}

// heldBy tells whether a node is a member or a learner, also one that is going.
func (s *Spec) heldBy(node table.NodeID) bool {
	return slices.Contains(s.Members, node) || slices.Contains(s.Learners, node) || slices.Contains(s.Outgoing, node)
}

// changed is the descriptor after a step, or why it cannot be taken.
func (s *Spec) changed(c *Change) (*Spec, error) {
	switch {
	case len(s.Outgoing) > 0:
		return nil, &CannotChange{"another change is under way"}
	case len(c.AddLearners)+len(c.Promote)+len(c.Remove) == 0:
		return nil, &CannotChange{"nothing to change"}
	}
	next := *s
	next.Epoch.Members++
	next.Members, next.Learners = slices.Clone(s.Members), slices.Clone(s.Learners)
	for _, id := range c.AddLearners {
		if id == 0 || next.heldBy(id) {
			return nil, &CannotChange{fmt.Sprintf("node %d holds a replica", id)}
		}
		next.Learners = append(next.Learners, id)
	}
	voters := 0 // that come or go
	var places []int
	for _, id := range c.Remove {
		if i := slices.Index(next.Members, id); i >= 0 {
			next.Members[i], places = 0, append(places, i)
			voters++
			continue
		}
		i := slices.Index(next.Learners, id)
		if i < 0 || slices.Contains(c.AddLearners, id) {
			return nil, &CannotChange{fmt.Sprintf("node %d holds no replica", id)}
		}
		next.Learners = slices.Delete(next.Learners, i, i+1)
	}
	for k, id := range c.Promote {
		i := slices.Index(next.Learners, id)
		if i < 0 || slices.Contains(c.AddLearners, id) {
			return nil, &CannotChange{fmt.Sprintf("node %d is no learner", id)}
		}
		next.Learners = slices.Delete(next.Learners, i, i+1)
		if k < len(places) {
			next.Members[places[k]] = id
		} else {
			next.Members = append(next.Members, id)
		}
		voters++
	}
	next.Members = slices.DeleteFunc(next.Members, func(id table.NodeID) bool { return id == 0 })
	if err := enough(len(s.Members), len(next.Members)); err != nil {
		return nil, err
	}
	if len(c.AddLearners)+len(c.Promote)+len(c.Remove) > 1 {
		next.Outgoing = slices.Clone(s.Members)
	}
	next.depart(c.Remove)
	return &next, nil
}

// errTwo keeps groups from coming to two members.
var errTwo = &CannotChange{"two members would be left: either one's loss would stop the partition"}

// enough refuses numbers of members that a group must not have. Of two, either
// one's loss stops the group: only where this is so already, as one of three does
// nothing any more, that one may go (mayChange).
func enough(had, has int) error {
	switch {
	case has == 0:
		return &CannotChange{"no member would be left"}
	case has == 2 && had != 2 && had != 3:
		return errTwo
	case has > maxMembers && has > had:
		return &CannotChange{fmt.Sprintf("more than %d members", maxMembers)}
	}
	return nil
}

// left is the descriptor after a joint configuration.
func (s *Spec) left() *Spec {
	next := *s
	next.Epoch.Members++
	next.Outgoing = nil
	next.depart(s.Outgoing)
	return &next
}

// Departure is a removed node, and the Epoch.Members that its removal made.
type Departure struct {
	Node  table.NodeID `msgpack:"n"`
	Epoch uint32       `msgpack:"e"`
}

// maxGone bounds the departures that are remembered: by then nothing that was
// sent is still on its way.
const maxGone = 64

// depart notes those of some nodes that the descriptor does not hold any more.
func (s *Spec) depart(nodes []table.NodeID) {
	gone := slices.Clone(s.Gone)
	for _, id := range nodes {
		if s.heldBy(id) {
			continue
		}
		gone = slices.DeleteFunc(gone, func(d Departure) bool { return d.Node == id })
		gone = append(gone, Departure{id, s.Epoch.Members})
	}
	s.Gone = gone[max(0, len(gone)-maxGone):]
}

// gone tells whether a node's replica that was made for an epoch has been
// removed since.
func (s *Spec) gone(node table.NodeID, made uint32) bool {
	for _, d := range s.Gone {
		if d.Node == node {
			return made < d.Epoch
		}
	}
	return false
}

// confState is the descriptor's membership in raft's terms.
func (s *Spec) confState() *pb.ConfState {
	return &pb.ConfState{Voters: raftIDs(s.Members), Learners: raftIDs(s.Learners), VotersOutgoing: raftIDs(s.Outgoing)}
}

func raftIDs(ids []table.NodeID) []uint64 {
	var out []uint64
	for _, id := range ids {
		out = append(out, uint64(id))
	}
	return out
}

// raft is the step in raft's terms. Several changes at once go through a joint
// configuration, which the leader leaves (leaveJoint).
func (c *Change) raft() *pb.ConfChangeV2 {
	cc := new(pb.ConfChangeV2)
	add := func(kind pb.ConfChangeType, ids []table.NodeID) {
		for _, id := range raftIDs(ids) {
			cc.Changes = append(cc.Changes, &pb.ConfChangeSingle{Type: kind.Enum(), NodeId: &id})
		}
	}
	add(pb.ConfChangeAddLearnerNode, c.AddLearners)
	add(pb.ConfChangeAddNode, c.Promote)
	add(pb.ConfChangeRemoveNode, c.Remove)
	if len(cc.Changes) > 1 {
		cc.Transition = pb.ConfChangeTransitionJointExplicit.Enum()
	}
	return cc
}

func (c *Change) append(dst []byte) []byte {
	for _, ids := range [][]table.NodeID{c.AddLearners, c.Promote, c.Remove} {
		dst = binary.AppendUvarint(dst, uint64(len(ids)))
		for _, id := range ids {
			dst = binary.AppendUvarint(dst, uint64(id))
		}
	}
	return dst
}

func decodeMembers(d *decoder) Change {
	var c Change
	for _, ids := range []*[]table.NodeID{&c.AddLearners, &c.Promote, &c.Remove} {
		for n := d.uvarint(); n > 0 && !d.bad; n-- {
			*ids = append(*ids, table.NodeID(d.uvarint()))
		}
	}
	return c
}

// confChange is the entry that raft is proposed for a change of members: entry,
// sealed as every other, is its context, and what is applied.
func confChange(entry []byte) (*pb.ConfChangeV2, error) {
	_, effects, err := decodeHeader(entry)
	if err != nil {
		return nil, err
	}
	d := &decoder{b: effects}
	cc := new(pb.ConfChangeV2)
	if d.byte() == membersEffect {
		c := decodeMembers(d)
		cc = c.raft()
	}
	cc.Context = entry
	return cc, d.err()
}

// payload is what our code put into a raft entry; nothing in those that raft
// made itself.
func payload(e *pb.Entry) ([]byte, error) {
	switch e.GetType() {
	case pb.EntryNormal:
		return e.GetData(), nil
	case pb.EntryConfChangeV2:
		cc := new(pb.ConfChangeV2)
		if err := proto.Unmarshal(e.GetData(), cc); err != nil {
			return nil, fmt.Errorf("change of members: %w", err)
		}
		if len(cc.GetContext()) == 0 {
			return nil, errors.New("change of members that is not ours")
		}
		return cc.GetContext(), nil
	}
	return nil, fmt.Errorf("entry of kind %v", e.GetType())
}

// putMembers carries out a membersEffect. It was checked under the same epoch
// when it was proposed, so that it is possible.
func (a *applier) putMembers(d *decoder) error {
	c := decodeMembers(d)
	next, err := a.view.spec.changed(&c)
	if err != nil {
		return err
	}
	a.change = c.raft()
	return a.putSpec(next)
}

// putLeave carries out a leaveEffect.
func (a *applier) putLeave() error {
	if len(a.view.spec.Outgoing) == 0 {
		return errBroken
	}
	a.change = new(pb.ConfChangeV2)
	return a.putSpec(a.view.spec.left())
}

// putPrefer carries out a preferEffect.
func (a *applier) putPrefer(d *decoder) error {
	id := table.NodeID(d.uvarint())
	next := *a.view.spec
	next.Members = slices.Clone(next.Members)
	i := slices.Index(next.Members, id)
	if i < 0 {
		return errBroken
	}
	copy(next.Members[1:], next.Members[:i])
	next.Members[0] = id
	return a.putSpec(&next)
}

// reconfigure tells raft of the change of members that an entry makes, before
// the entry's batch. Raft and the descriptor must agree on who votes.
func (p *Partition) reconfigure(e *pb.Entry, a *applier, dropped bool) error {
	if (e.GetType() == pb.EntryConfChangeV2) != (a.change != nil) && !dropped {
		return errors.New("change of members in another kind of entry")
	}
	if a.change == nil {
		return nil
	}
	if err := p.raft.ApplyConfChange(a.change).Equivalent(a.spec.confState()); err != nil {
		return fmt.Errorf("raft and descriptor differ: %w", err)
	}
	return nil
}

// leaveJoint ends a joint configuration, at the end of a leader's round. A
// leader that is not among the new members hands over to one of them first.
func (p *Partition) leaveJoint(r *role) {
	spec := p.view().spec
	if len(spec.Outgoing) == 0 || p.changing() || p.members.handing > 0 {
		return
	}
	if !slices.Contains(spec.Members, p.host.cfg.Node) {
		for _, id := range spec.Members {
			if p.caughtUp(id) && !p.away(uint64(id)) {
				p.hand(id)
				return
			}
		}
		return
	}
	prop := &proposal{
		term: r.term, view: p.view(), effects: []byte{leaveEffect}, stamp: noStamp, members: true, done: make(chan error, 1),
	}
	if p.enqueue(prop) == nil {
		p.leaving = prop
		p.host.scheduler.notify(p)
	}
}

// changing tells whether a change of members is proposed and not yet applied.
func (p *Partition) changing() bool {
	if p.leaving != nil {
		if len(p.leaving.done) == 0 { // nobody else awaits it
			return true
		}
		p.leaving = nil
	}
	return p.changeInFlight()
}

// changeInFlight: what is proposed behind a change would be dropped.
func (p *Partition) changeInFlight() bool {
	n := len(p.flights)
	return n > 0 && p.flights[n-1].writes[0].members
}
