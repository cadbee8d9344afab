package index_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode"
	"antipode/regionnode/internal/index"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/internal/ring"
	"antipode/regionnode/internal/store"
	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/hlc"
)

// world is a region in one process: nodes on disks that lose what was not
// synced, and a network between them that loses, repeats and delays index
// batches.
type world struct {
	t testing.TB
	// nodes by id less one; a crash replaces one.
	nodes []atomic.Pointer[node]

	mu  sync.Mutex
	rng *rand.Rand
	// faults is how many of a hundred batches meet each fault.
	faults int
	// late are batches that come once more.
	late []lateBatch
	maps map[table.ID]*regionnode.PartitionMap
	// next is the next new id of a partition, or of a generation.
	next uint64
	// splits counts those that were done.
	splits int
}

type lateBatch struct {
	to table.NodeID
	b  *regionnode.IndexBatch
}

// node is one life of a node, until a crash.
type node struct {
	w     *world
	id    table.NodeID
	fs    *vfs.MemFS
	store *store.Store
	host  *partition.Host
	group *index.Group
	inbox chan raftMessage
	dirty chan struct{}
	// dead: from now on nothing that it does or says counts.
	dead atomic.Bool
	stop chan struct{}
	done sync.WaitGroup
	// using is held for reading by calls under way: the store closes behind them.
	using  sync.RWMutex
	closed bool
}

type raftMessage struct {
	id  table.PartitionID
	msg []byte
}

var errNetwork = errors.New("lost on the way")

func newWorld(t testing.TB, seed uint64, nodes int) *world {
	w := &world{t: t, nodes: make([]atomic.Pointer[node], nodes), rng: rand.New(rand.NewPCG(seed, 1)), maps: map[table.ID]*regionnode.PartitionMap{}, next: 10_000}
	for i := range nodes {
		w.start(table.NodeID(i+1), vfs.NewCrashableMem())
	}
	t.Cleanup(func() {
		for i := range w.nodes {
			w.nodes[i].Load().close()
		}
	})
	return w
}

func (w *world) node(id table.NodeID) *node { return w.nodes[id-1].Load() }

func (w *world) start(id table.NodeID, fs *vfs.MemFS) {
	w.t.Helper()
	n := &node{w: w, id: id, fs: fs, inbox: make(chan raftMessage, 1<<14), dirty: make(chan struct{}, 1), stop: make(chan struct{})}
	var err error
	if n.store, err = store.Open(store.Config{Dir: "db", FS: fs}); err != nil {
		w.t.Fatal(err)
	}
	clock, err := hlc.New(hlc.Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	n.host, err = partition.NewHost(partition.Config{
		Node: id, Region: "us-east-1", Store: n.store, Clock: clock, TickInterval: -1, Workers: 2, RaftLogBytes: 64 << 10,
		Send:     n.send,
		OnChange: func(partition.Status) { n.refresh() },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	n.newGroup()
	w.nodes[id-1].Store(n)
	n.done.Go(n.receive)
	n.done.Go(n.follow)
	n.refresh()
}

func (n *node) newGroup() {
	var err error
	n.group, err = index.NewGroup(index.Config{
		Sender: n, Partitions: n.w.partitions, BatchRecords: 7, FillRecords: 3, SaveRecords: 5, SaveInterval: time.Millisecond,
		RetryMax: 5 * time.Millisecond,
	})
	if err != nil {
		n.w.t.Fatal(err)
	}
}

// close ends a life and waits until nothing of it runs any more.
func (n *node) close() {
	close(n.stop)
	n.done.Wait()
	err := n.host.Close()
	n.using.Lock()
	n.closed = true
	n.using.Unlock()
	if err := errors.Join(err, n.store.Close()); err != nil {
		n.w.t.Error(err)
	}
}

// call calls f with a replica of the node, unless the node is dead before or
// after: what it did then need not have lasted.
func (n *node) call(ctx context.Context, id table.PartitionID, f func(context.Context, *partition.Partition) error) error {
	n.using.RLock()
	defer n.using.RUnlock()
	if n.closed || n.dead.Load() {
		return errNetwork
	}
	p, ok := n.host.Partition(id)
	if !ok {
		return &regionnode.Stale{Partition: id, Reason: "not on this node"}
	}
	if err := f(ctx, p); err != nil {
		return err
	}
	if n.dead.Load() {
		return errNetwork
	}
	return nil
}

func (n *node) refresh() {
	select {
	case n.dirty <- struct{}{}:
	default:
	}
}

// receive takes raft messages in and lets raft's time pass.
func (n *node) receive() {
	ticks := time.NewTicker(2 * time.Millisecond)
	defer ticks.Stop()
	for {
		select {
		case m := <-n.inbox:
			n.host.Receive(m.id, m.msg)
		case <-ticks.C:
			n.host.Tick()
		case <-n.stop:
			return
		}
	}
}

func (n *node) send(to table.NodeID, id table.PartitionID, msgs [][]byte) {
	other := n.w.node(to)
	if other == nil || n.dead.Load() || other.dead.Load() {
		return
	}
	for _, m := range msgs {
		select {
		case other.inbox <- raftMessage{id, m}:
		default:
		}
	}
}

// follow keeps the followers those of the partitions that the node leads.
func (n *node) follow() {
	for {
		select {
		case <-n.stop:
			n.group.Close()
			return
		case <-n.dirty:
			n.group.Set(n.desired())
		}
	}
}

func (n *node) desired() []index.Spec {
	var specs []index.Spec
	for _, p := range n.host.Partitions() {
		spec, status := p.Spec(), p.Status()
		if spec.Descriptor.ID != spec.Table || !status.Leading || !spec.Log.On {
			continue
		}
		for i := range spec.Descriptor.Globals {
			specs = append(specs, index.Spec{Source: p, Term: status.Term, Descriptor: spec.Descriptor, Index: &spec.Descriptor.Globals[i]})
		}
	}
	return specs
}

// Send is part of index.Sender, with faults.
func (n *node) Send(ctx context.Context, to regionnode.Holder, b *regionnode.IndexBatch) error {
	fault, again := n.w.fate(to.Node, b)
	if again != nil {
		_ = n.deliver(ctx, again.to, again.b) // whatever comes of it
	}
	if fault == lostBefore {
		return errNetwork
	}
	err := n.deliver(ctx, to.Node, b)
	if fault == lostAfter && err == nil {
		return errNetwork
	}
	return err
}

const (
	noFault = iota
	lostBefore
	lostAfter
)

// fate draws what becomes of a batch, and perhaps an earlier one that comes
// again.
func (w *world) fate(to table.NodeID, b *regionnode.IndexBatch) (fault int, again *lateBatch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rng.IntN(100) < w.faults {
		w.late = append(w.late, lateBatch{to, b})
	}
	if len(w.late) > 0 && w.rng.IntN(100) < w.faults {
		again = &w.late[w.rng.IntN(len(w.late))]
	}
	if d := w.rng.IntN(100); d < w.faults {
		return lostBefore, again
	} else if d < 2*w.faults {
		return lostAfter, again
	}
	return noFault, again
}

// deliver applies a batch on another node, unless sender or receiver is dead.
func (n *node) deliver(ctx context.Context, id table.NodeID, b *regionnode.IndexBatch) error {
	if n.dead.Load() {
		return errNetwork
	}
	return n.w.node(id).call(ctx, b.Target.Partition, func(ctx context.Context, p *partition.Partition) error {
		return p.ApplyIndex(ctx, b)
	})
}

// crash cuts a node's power and starts it again with what its disk kept.
func (w *world) crash(id table.NodeID, percent int) {
	n := w.node(id)
	n.dead.Store(true)
	clone := n.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(w.draw(), 2))})
	n.close()
	w.start(id, clone)
}

func (w *world) draw() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.Uint64()
}

// restartFollowers drops a node's followers in the middle of what they do.
func (w *world) restartFollowers(id table.NodeID) {
	n := w.node(id)
	n.group.Set(nil)
	n.refresh()
}

func (w *world) partitions(_ context.Context, id table.ID) (*regionnode.PartitionMap, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.maps[id]
	if m == nil {
		return nil, errors.New("no such index")
	}
	return m, nil
}

// create makes the partitions of a table or an index, each with so many members.
func (w *world) create(d *table.Descriptor, id table.ID, partitions, members int, log partition.LogConfig) {
	w.t.Helper()
	starts := ring.Divide(partitions)
	m := &regionnode.PartitionMap{Table: id, Generation: 1}
	for i, start := range starts {
		spec := partition.Spec{
			ID: table.PartitionID(uint64(id)*100 + uint64(i)), Table: id, Start: start, Descriptor: d,
			Incarnation: uint64(d.ID), Generation: replication.Generation(uint64(id)*100 + uint64(i)), Log: log,
		}
		if i+1 < len(starts) {
			spec.End = starts[i+1]
		}
		first := int(w.draw() % uint64(len(w.nodes)))
		p := regionnode.Partition{ID: spec.ID, Start: start}
		for k := range members {
			member := table.NodeID((first+k)%len(w.nodes) + 1)
			spec.Members = append(spec.Members, member)
			p.Replicas = append(p.Replicas, regionnode.Holder{Node: member})
		}
		for _, member := range spec.Members {
			if err := w.node(member).host.Create(context.Background(), spec); err != nil {
				w.t.Fatal(err)
			}
		}
		m.Partitions = append(m.Partitions, p)
	}
	w.mu.Lock()
	w.maps[id] = m
	w.mu.Unlock()
}

// onLeader calls f with a partition's leading replica, wherever that is, until it
// succeeds; f must be idempotent.
func (w *world) onLeader(p *regionnode.Partition, f func(context.Context, *partition.Partition) error) {
	w.t.Helper()
	w.eventually("a leader serves", func() bool {
		for _, h := range p.Replicas {
			if w.at(h.Node, p.ID, f) == nil {
				return true
			}
		}
		return false
	})
}

// at calls f once with one replica.
func (w *world) at(id table.NodeID, of table.PartitionID, f func(context.Context, *partition.Partition) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return w.node(id).call(ctx, of, f)
}

// eventually waits for a condition that nothing announces.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(60 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			for i := range w.nodes {
				w.t.Logf("node %d: %+v", i+1, w.nodes[i].Load().group.Stats())
			}
			w.t.Fatalf("not after a minute: %s", what)
		}
	}
}

func (w *world) each(id table.ID, f func(context.Context, *partition.Partition) error) {
	w.t.Helper()
	m, err := w.partitions(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range m.Partitions {
		w.onLeader(&m.Partitions[i], f)
	}
}

// describe gives all partitions of a table, or of an index, a descriptor, as a
// controller does.
func (w *world) describe(id table.ID, d *table.Descriptor, log partition.LogConfig) {
	w.t.Helper()
	w.each(id, func(ctx context.Context, p *partition.Partition) error {
		if err := p.SetDescriptor(ctx, d); err != nil {
			return err
		}
		return p.ConfigureLog(ctx, log)
	})
	for i := range w.nodes {
		w.nodes[i].Load().refresh()
	}
}

// lagging lists the followers that are not at their log's end.
func (w *world) lagging() bool {
	followers := 0
	for i := range w.nodes {
		for _, s := range w.nodes[i].Load().group.Stats() {
			followers++
			if s.Applied != s.End || s.Filling {
				return true
			}
		}
	}
	return followers == 0
}

// leaders of all partitions are known once each has one.
func (w *world) settled(id table.ID) bool {
	m, _ := w.partitions(context.Background(), id)
	for i := range m.Partitions {
		leading := slices.ContainsFunc(m.Partitions[i].Replicas, func(h regionnode.Holder) bool {
			p, ok := w.node(h.Node).host.Partition(m.Partitions[i].ID)
			return ok && p.Status().Leading
		})
		if !leading {
			return false
		}
	}
	return true
}
