package partition

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"antipode/regionnode"
	"antipode/regionnode/internal/keys"
	"antipode/regionnode/internal/store"
	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/hlc"
)

// Partition is one replica. Its methods may be called from any goroutine; what
// is marked "round" below belongs to whoever processes the partition.
type Partition struct {
	host *Host
	id   table.PartitionID
	run  run

	settings atomic.Pointer[view]
	role     atomic.Pointer[role]
	lease    atomic.Pointer[readLease]
	latches  latches
	inbox    inbox
	buffer   buffer
	applied  published
	indexing indexing
	// membership is what a leader says of members that are not well; nil for none.
	membership atomic.Pointer[membership]
	// unparking: a goroutine applies parked records.
	unparking atomic.Bool
	scrubs    scrubs
	// made is the Epoch.Members that this replica was made for (replicaPast).
	made atomic.Uint32
	// transactions that have marked keys here, as applied.
	transactions transactions
	load         load
	// touched: among those that attention has to tell.
	touched atomic.Bool

	// Round: raft and what it is fed with.
	raft        *raft.RawNode
	storage     *raftStorage
	writtenHard store.HardState // newest handed to the append loop
	appending   int             // appends with entries that are not durable yet
	stalled     int             // ticks since an append was finished, while some are under way
	truncating  bool            // a truncateEffect is proposed
	leaving     *proposal       // of a leaveEffect, nil for none
	flights     []flight
	members     members
	rest        rest
	closed      hlc.Timestamp // newest closed time proposed
	reads       reads
	gate        *gate  // writes wait for a split; nil when they do not
	tally       *tally // of what moves in a split; nil when none is under way
	eager       int    // ticks for which it stands for election again and again
	snapshots   snapshots
	still       bool // a snapshot is being installed
	state       appliedState
	ended       bool
	done        chan struct{} // closed when ended
}

// view is what a request is checked and evaluated against.
type view struct {
	spec   *Spec
	schema *schema
}

// role is who leads, as far as this replica knows. It is immutable.
type role struct {
	leader table.NodeID // 0 when unknown
	term   uint64
	// leading: this replica. ready: it has applied an entry of its term, so that
	// it may evaluate (I3).
	leading, ready bool
	ended          bool
	// changed is closed when another role replaces this one.
	changed chan struct{}
}

// published is what other goroutines see of applied state.
type published struct {
	mu        sync.Mutex
	state     appliedState
	positions map[replication.Region]replication.Position
	logged    chan struct{} // closed at the next change record
	raw       chan struct{} // closed at the next raw change
	spec      chan struct{} // closed at the next change of the descriptor
}

// inbox collects what the next round takes in.
type inbox struct {
	mu sync.Mutex
	intake
}

type intake struct {
	messages  []*pb.Message
	notes     []note
	peers     bool          // what nodes of members are known to do has changed
	responses []*pb.Message // of finished appends, in order
	appended  int           // finished appends with entries
	ticks     int
	reads     []*readWaiter
	calls     []func()
	wake      bool  // campaign, if nothing else happens
	eager     int   // for how many ticks to campaign again, until somebody leads
	err       error // a failed append
	closing   bool
}

// maxTicks bounds how many missed ticks a round makes up for.
const maxTicks = 3

func newPartition(h *Host, spec *Spec) (*Partition, error) {
	log, hard, err := h.cfg.Store.OpenRaftLog(spec.ID)
	if err != nil {
		return nil, err
	}
	p := &Partition{host: h, id: spec.ID, done: make(chan struct{})}
	p.storage = &raftStorage{p: p, log: log}
	past, err := h.past(spec.ID)
	if err != nil {
		return nil, fmt.Errorf("what is remembered of replicas: %w", err)
	}
	p.made.Store(past.epoch)
	if err := p.reload(hard); err != nil {
		return nil, err
	}
	p.role.Store(&role{term: p.storage.hard.Term, changed: make(chan struct{})})
	p.inbox.wake = p.solo()
	p.rest.ticking = p.needsTicks()
	return p, nil
}

// reload makes everything in memory be as on disk, whatever it was before; the
// round's, with nothing under way to the disk.
func (p *Partition) reload(hard store.HardState) error {
	s := p.host.cfg.Store
	raw, err := s.GetCopy(keys.Descriptor(p.id))
	if err != nil {
		return err
	}
	spec, err := decodeSpec(raw)
	if err != nil {
		return err
	}
	if raw, err = s.GetCopy(keys.Applied(p.id)); err != nil {
		return err
	}
	state, err := decodeApplied(raw)
	if err != nil {
		return fmt.Errorf("applied state: %w", err)
	}
	if err := p.host.cfg.Clock.Observe(state.Clock); err != nil {
		return err
	}
	positions, err := readPositions(s, p.id)
	if err != nil {
		return err
	}
	if err := p.loadMarks(spec); err != nil {
		return fmt.Errorf("marks of transactions: %w", err)
	}
	p.state = state
	p.applied.mu.Lock()
	p.settings.Store(&view{spec: spec, schema: newSchema(spec.Descriptor)})
	p.applied.reset(state, positions)
	p.applied.mu.Unlock()
	p.host.attention.respecified()
	return p.startRaft(spec, hard)
}

// startRaft begins raft anew behind the applied state.
func (p *Partition) startRaft(spec *Spec, hard store.HardState) (err error) {
	// A commit index is written lazily; what is applied is committed.
	hard.Commit = max(hard.Commit, p.state.Index)
	p.storage.reset(hard, spec.confState())
	p.writtenHard, p.appending = hard, 0
	p.raft, err = raft.NewRawNode(raftConfig(&p.host.cfg, p.storage, p.state.Index, raftLogger{p}))
	if err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	return nil
}

// reset publishes another state than entries have led to; mu is held.
func (pub *published) reset(state appliedState, positions map[replication.Region]replication.Position) {
	pub.state, pub.positions = state, positions
	for _, c := range []*chan struct{}{&pub.logged, &pub.raw, &pub.spec} {
		if *c != nil {
			close(*c)
		}
		*c = make(chan struct{})
	}
}

// ID is the partition's id.
func (p *Partition) ID() table.PartitionID { return p.id }

func (p *Partition) view() *view { return p.settings.Load() }

// Spec is the partition's descriptor in force; the caller must not change it.
func (p *Partition) Spec() *Spec { return p.view().spec }

// solo tells a group whose only member is this node: it asks nobody.
func (p *Partition) solo() bool {
	s := p.view().spec
	return len(s.Members) == 1 && s.Members[0] == p.host.cfg.Node && len(s.Outgoing) == 0
}

// alone tells a solo group without learners: it needs no time either.
func (p *Partition) alone() bool { return p.solo() && len(p.view().spec.Learners) == 0 }

func (p *Partition) needsTicks() bool {
	p.applied.mu.Lock()
	defer p.applied.mu.Unlock()
	return !p.alone() || p.applied.state.Parked > 0
}

func (p *Partition) warn(msg string) {
	p.host.cfg.Log.Warn("raft: "+msg, "partition", p.id)
}

// Status is one replica at one moment.
type Status struct {
	ID     table.PartitionID
	Table  table.ID
	Leader table.NodeID // 0 when unknown
	// Leading tells that this replica leads and is ready to evaluate.
	Leading bool
	Term    uint64
	Applied uint64
	Epoch   regionnode.Epoch
	// Items and Bytes of the table's items; Indexes of the local indexes, by id.
	Items, Bytes int64
	Indexes      map[table.IndexID]Count
	LogEnd       replication.Position
	Closed       hlc.Timestamp
	Parked       uint64
	// Requests for keys that this replica was asked since it was opened.
	Requests uint64
	// LogBytes is about the size of the raft log. Away are members that this
	// leader does not hear of, Stranded those that lack entries which the log has
	// no more.
	LogBytes       uint64
	Away, Stranded []table.NodeID
	// Removed: this node is neither member nor learner any more, as far as this
	// replica knows, so that it may be destroyed. Waiting: it is empty until it
	// gets a snapshot.
	Removed, Waiting bool
}

// Status reads the replica's state in memory.
func (p *Partition) Status() Status {
	r := p.role.Load()
	p.applied.mu.Lock()
	v, st := p.view(), p.applied.state
	p.applied.mu.Unlock()
	out := Status{
		ID: p.id, Table: v.spec.Table, Leader: r.leader, Leading: r.ready, Term: r.term,
		Applied: st.Index, Epoch: v.spec.Epoch, Items: st.Counts[0].Items, Bytes: st.Counts[0].Bytes,
		LogEnd: v.spec.at(st.Sequence), Closed: st.Closed, Parked: st.Parked,
		LogBytes: p.storage.log.Size(), Requests: p.load.requests.Load(),
	}
	if m := p.membership.Load(); m != nil {
		out.Away, out.Stranded = m.away, m.stranded
	}
	if r.ready {
		out.Away = p.addGone(slices.Clone(out.Away))
	}
	out.Waiting = v.spec.waiting()
	out.Removed = !out.Waiting && !v.spec.heldBy(p.host.cfg.Node)
	for _, l := range v.schema.locals {
		if out.Indexes == nil {
			out.Indexes = make(map[table.IndexID]Count)
		}
		out.Indexes[l.id] = st.Counts[l.id]
	}
	return out
}

// at is a position in the generation that is being written.
func (s *Spec) at(sequence uint64) replication.Position {
	return replication.Position{Incarnation: s.Incarnation, Generation: s.Generation, Sequence: sequence}
}

// check refuses a request for another range or another table (I8).
func (p *Partition) check(t *regionnode.Target) (*view, error) {
	v := p.view()
	switch {
	case p.role.Load().ended:
		return nil, p.stale("partition is closed")
	case t.Partition != p.id || t.Table != v.spec.Table:
		return nil, p.stale("another partition")
	case t.Range != v.spec.Epoch.Range:
		return nil, p.stale("range changed")
	case !v.spec.heldBy(p.host.cfg.Node):
		return nil, p.stale("not held here")
	}
	return v, nil
}

func (p *Partition) checkKey(t *regionnode.Target, key []byte) (*view, error) {
	v, err := p.check(t)
	if err == nil && !v.spec.hashes().Contains(key) {
		return nil, p.stale("key lies outside")
	}
	return v, err
}

func (p *Partition) stale(reason string) error {
	return &regionnode.Stale{Partition: p.id, Reason: reason}
}

// leading waits until this replica may evaluate, as long as that is to be
// expected, and answers with the role to evaluate in.
func (p *Partition) leading(ctx context.Context) (*role, error) {
	for {
		r := p.role.Load()
		switch {
		case r.ready:
			return r, nil
		case r.ended:
			return nil, p.stale("partition is closed")
		case !r.leading && !p.solo():
			return nil, &regionnode.NotLeader{Partition: p.id, Leader: r.leader}
		}
		select {
		case <-r.changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for leadership of partition %d: %w", p.id, ctx.Err())
		}
	}
}

// setRole replaces the role and tells who waits for it.
func (p *Partition) setRole(r role) {
	r.changed = make(chan struct{})
	old := p.role.Swap(&r)
	close(old.changed)
	if old.ready != r.ready {
		p.host.attention.lead(p, r.ready)
	}
	p.host.attention.touch(p)
	p.host.cfg.OnChange(p.Status())
}

// publish shows an entry's outcome to other goroutines.
func (p *Partition) publish(a *applier) {
	p.state = a.state
	pub := &p.applied
	pub.mu.Lock()
	defer pub.mu.Unlock()
	p.host.attention.touch(p)
	grown := a.state.Sequence != pub.state.Sequence
	if a.spec != nil {
		// Another generation may have begun, which readers have to find out.
		grown = grown || a.spec.Generation != a.view.spec.Generation
		p.settings.Store(&view{spec: a.spec, schema: newSchema(a.spec.Descriptor)})
		p.host.attention.respecified()
	}
	pub.state = a.state
	if a.positions != nil {
		pub.positions = a.positions
	}
	if grown {
		close(pub.logged)
		pub.logged = make(chan struct{})
	}
	if a.spec != nil {
		close(pub.spec)
		pub.spec = make(chan struct{})
	}
	if a.raw {
		close(pub.raw)
		pub.raw = make(chan struct{})
	}
}

// Positions are the readers' durable positions.
func (p *Partition) Positions() map[replication.Region]replication.Position {
	p.applied.mu.Lock()
	defer p.applied.mu.Unlock()
	return maps.Clone(p.applied.positions)
}

// deliver hands a message to the next round. A replica that was removed says
// nothing to those who know it, even if its node holds another one by now: what
// that one's raft would be taken to have, it has not.
func (p *Partition) deliver(m *pb.Message, made uint32) {
	// A node can come to the address of one that is gone. Messages for that one speak
	// of a log which this replica has not: to commit by them would be wrong.
	if m.GetTo() != uint64(p.host.cfg.Node) || p.view().spec.gone(table.NodeID(m.GetFrom()), made) {
		return
	}
	p.inbox.mu.Lock()
	p.inbox.messages = append(p.inbox.messages, m)
	p.inbox.mu.Unlock()
	p.host.scheduler.notify(p)
}

// campaign has the replica stand for election, unless it leads.
func (p *Partition) campaign() {
	p.inbox.mu.Lock()
	p.inbox.wake = true
	p.inbox.mu.Unlock()
	p.host.scheduler.notify(p)
}

// campaignEagerly is campaign for a partition that a split has just made: the
// other members may not have it yet, so what it asks them may be lost.
func (p *Partition) campaignEagerly() {
	p.inbox.mu.Lock()
	p.inbox.wake, p.inbox.eager = true, p.host.cfg.ElectionTicks
	p.inbox.mu.Unlock()
	p.host.scheduler.notify(p)
}

func (p *Partition) tick() {
	p.inbox.mu.Lock()
	p.inbox.ticks = min(p.inbox.ticks+1, maxTicks)
	p.inbox.mu.Unlock()
	p.host.scheduler.notifyLater(p)
}

// close ends the replica and waits until nothing of it runs any more.
func (p *Partition) close() {
	p.inbox.mu.Lock()
	p.inbox.closing = true
	p.inbox.mu.Unlock()
	p.host.scheduler.notify(p)
	<-p.done
}
