package partition_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/liveness"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/internal/store"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
	"antipode/replication/hlc"
)

// cluster is several nodes in one process, with a network that can be cut.
type cluster struct {
	t     testing.TB
	nodes map[table.NodeID]*clusterNode
	// change makes a test's hosts other than the usual ones.
	change []func(*partition.Config)

	mu      sync.Mutex
	changed sync.Cond
	cut     map[table.NodeID]bool // reaches nobody and is reached by nobody
	frozen  map[table.NodeID]bool // its raft time stands still
	// support is how long nodes' promises last; 0 is a cluster without any.
	support  time.Duration
	tick     time.Duration // 2 ms when 0
	patience time.Duration // of until, a minute at least
	sent     int           // raft's messages and notes
	// lost tells which messages the network loses beside.
	lost func(from, to table.NodeID) bool
	// clock is a node's, where the test has time of its own: then it also ticks
	// and delivers.
	clock func(*clusterNode) time.Duration
	// intercept is in the way of snapshots' parts, nil for nothing.
	intercept sendFunc
	// wrap is put around the disks of nodes that start, nil for nothing.
	wrap func(vfs.FS) vfs.FS
}

// sendFunc carries a part of a snapshot.
type sendFunc func(ctx context.Context, to table.NodeID, part []byte) ([]byte, error)

type clusterNode struct {
	id    table.NodeID
	fs    *vfs.MemFS
	disk  vfs.FS // fs, or what wrap made of it
	store *store.Store
	host  atomic.Pointer[partition.Host]
	inbox chan delivery
	stop  chan struct{}
	done  sync.WaitGroup
	// using is held by calls, which end before the store closes.
	using sync.RWMutex
	// epoch counts starts, monitor is nil in a cluster without promises.
	epoch   uint64
	monitor *liveness.Monitor
}

type delivery struct {
	from table.NodeID
	id   table.PartitionID
	msg  []byte
}

func newCluster(t testing.TB, n int, change ...func(*partition.Config)) *cluster {
	return newLively(t, n, 0, change...)
}

// newLively is newCluster with promises between nodes that last for support.
func newLively(t testing.TB, n int, support time.Duration, change ...func(*partition.Config)) *cluster {
	c := &cluster{t: t, support: support, nodes: make(map[table.NodeID]*clusterNode), cut: make(map[table.NodeID]bool), frozen: make(map[table.NodeID]bool), change: change}
	c.changed.L = &c.mu
	c.makeNodes(n)
	return c
}

func (c *cluster) makeNodes(n int) {
	for i := range n {
		id := table.NodeID(i + 1)
		c.nodes[id] = &clusterNode{id: id, fs: vfs.NewCrashableMem(), inbox: make(chan delivery, 1<<14)}
	}
	for _, node := range c.nodes {
		c.start(node)
	}
	c.t.Cleanup(func() {
		for _, node := range c.nodes {
			c.stop(node)
		}
	})
}

func (c *cluster) start(n *clusterNode) {
	c.t.Helper()
	n.stop = make(chan struct{})
	var err error
	if n.disk = n.fs; c.wrap != nil {
		n.disk = c.wrap(n.fs)
	}
	if n.store, err = store.Open(store.Config{Dir: "db", FS: n.disk}); err != nil {
		c.t.Fatal(err)
	}
	clock, err := hlc.New(hlc.Config{})
	if err != nil {
		c.t.Fatal(err)
	}
	config := partition.Config{
		Node: n.id, Region: "us-east-1", Store: n.store, Clock: clock,
		TickInterval: -1, RaftLogBytes: 64 << 10,
		Send:         func(to table.NodeID, id table.PartitionID, msgs [][]byte) { c.send(n.id, to, id, msgs) },
		SendSnapshot: c.interceptable(c.sendSnapshot(n.id)),
		OnChange: func(partition.Status) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.changed.Broadcast()
		},
	}
	c.live(n, &config)
	for _, change := range c.change {
		change(&config)
	}
	host, err := partition.NewHost(config)
	if err != nil {
		c.t.Fatal(err)
	}
	n.host.Store(host)
	if c.clock != nil {
		return
	}
	inbox, stop := n.inbox, n.stop
	n.done.Go(func() {
		ticks := time.NewTicker(cmp.Or(c.tick, 2*time.Millisecond))
		defer ticks.Stop()
		for {
			select {
			case d := <-inbox:
				if !c.receiveBeat(n, d) {
					host.Receive(d.id, d.msg)
				}
			case <-ticks.C:
				if !c.isFrozen(n.id) {
					host.Tick()
					c.beat(n, host)
				}
			case <-stop:
				return
			}
		}
	})
}

func (c *cluster) stop(n *clusterNode) {
	host := n.host.Swap(nil)
	if host == nil {
		return
	}
	close(n.stop)
	n.done.Wait()
	if err := host.Close(); err != nil {
		c.t.Error(err)
	}
	n.using.Lock()
	defer n.using.Unlock()
	if err := n.store.Close(); err != nil {
		c.t.Error(err)
	}
}

func (c *cluster) send(from, to table.NodeID, id table.PartitionID, msgs [][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut[from] || c.cut[to] || c.lost != nil && c.lost(from, to) {
		return
	}
	n := c.nodes[to]
	if id != beats {
		c.sent += len(msgs)
	}
	for _, m := range msgs {
		select {
		case n.inbox <- delivery{from, id, m}:
		default: // a full network loses messages
		}
	}
}

func (c *cluster) interceptable(deliver sendFunc) sendFunc {
	return func(ctx context.Context, to table.NodeID, part []byte) ([]byte, error) {
		c.mu.Lock()
		intercept := c.intercept
		c.mu.Unlock()
		if intercept != nil {
			return intercept(ctx, to, part)
		}
		return deliver(ctx, to, part)
	}
}

func (c *cluster) setIntercept(f sendFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.intercept = f
}

// sendSnapshot is the network for snapshots of one node.
func (c *cluster) sendSnapshot(from table.NodeID) sendFunc {
	return func(ctx context.Context, to table.NodeID, part []byte) ([]byte, error) {
		c.mu.Lock()
		cut := c.cut[from] || c.cut[to]
		c.mu.Unlock()
		if cut {
			return nil, errors.New("cut")
		}
		host := c.nodes[to].host.Load()
		if host == nil {
			return nil, errors.New("down")
		}
		return host.ReceiveSnapshot(ctx, part)
	}
}

func (c *cluster) setCut(id table.NodeID, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut[id] = cut
}

func (c *cluster) isFrozen(id table.NodeID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frozen[id]
}

func (c *cluster) setFrozen(id table.NodeID, frozen bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen[id] = frozen
}

func (c *cluster) create(spec partition.Spec) {
	c.t.Helper()
	spec.Members = nil
	for i := range len(c.nodes) {
		spec.Members = append(spec.Members, table.NodeID(i+1))
	}
	for _, n := range c.nodes {
		if err := n.host.Load().Create(context.Background(), spec); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *cluster) replica(id table.NodeID) *partition.Partition {
	host := c.nodes[id].host.Load()
	if host == nil {
		return nil
	}
	p, _ := host.Partition(3)
	return p
}

// leader waits until a node that is not cut off leads.
func (c *cluster) leader() table.NodeID {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for id := range c.nodes {
			if p := c.replica(id); p != nil && !c.cut[id] && p.Status().Leading {
				return id
			}
		}
		c.changed.Wait()
	}
}

// call tries nodes until one answers; definite refusals go on to the next node.
// ok is false when the outcome is unknown.
func (c *cluster) call(ctx context.Context, start table.NodeID, f func(context.Context, *partition.Partition) error) (ok bool) {
	for at := start; ctx.Err() == nil; {
		node := c.nodes[at]
		node.using.RLock()
		p := c.replica(at)
		if p == nil {
			node.using.RUnlock()
		} else {
			one, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
			err := f(one, p)
			cancel()
			node.using.RUnlock()
			var stale *regionnode.Stale
			var notLeader *regionnode.NotLeader
			switch {
			case err == nil:
				return true
			case errors.As(err, &notLeader) && notLeader.Leader != 0 && notLeader.Leader != at:
				at = notLeader.Leader
				continue
			case !errors.As(err, &notLeader) && !errors.As(err, &stale):
				return false
			}
		}
		at = at%table.NodeID(len(c.nodes)) + 1
	}
	return false
}

// counter is one key that one writer counts up.
type counter struct {
	key   []byte
	base  item.Item
	acked atomic.Int64 // newest acknowledged value
	tried atomic.Int64 // newest value ever sent
}

func (k *counter) request(n int64) *regionnode.WriteRequest {
	it := k.base.Set("v", item.Str(strconv.FormatInt(n, 10)))
	return &regionnode.WriteRequest{Target: target, Write: regionnode.Write{Op: regionnode.PutOp, Key: k.key, Item: it.Encode()}}
}

// unique is a write of an item of its own.
func (k *counter) unique(t testing.TB, n int64) *regionnode.WriteRequest {
	sk, _ := k.base.Get("sk")
	it := makeItem("k", fmt.Sprintf("%s-%d", sk.Text(), n), "")
	return &regionnode.WriteRequest{Target: target, Write: regionnode.Write{Op: regionnode.PutOp, Key: keyFor(t, it), Item: it.Encode()}}
}

func (k *counter) value(t testing.TB, e item.Encoded) int64 {
	if e == nil {
		return 0
	}
	v, _, err := e.Get("v")
	if err != nil {
		t.Error(err)
	}
	n, err := strconv.ParseInt(v.Text(), 10, 64)
	if err != nil {
		t.Error(err)
	}
	return n
}

// TestReplicatedCounters drives three replicas through cuts of their leader and
// restarts of nodes: every acknowledged write stays, and no strong read is older
// than what was acknowledged before it (I1, I9).
func TestReplicatedCounters(t *testing.T) {
	t.Run("asking", func(t *testing.T) { replicatedCounters(t, newCluster(t, 3)) })
	t.Run("leased", func(t *testing.T) { replicatedCounters(t, newLively(t, 3, testSupport)) })
}

func replicatedCounters(t *testing.T, c *cluster) {
	c.create(testSpec())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	counters := make([]*counter, 8)
	for i := range counters {
		base := makeItem("k", strconv.Itoa(i), "0")
		counters[i] = &counter{base: base, key: keyFor(t, base)}
	}
	var acks atomic.Int64
	kept := make([][][]byte, len(counters)) // keys acknowledged and never written again
	var work sync.WaitGroup
	for i, k := range counters {
		work.Go(func() {
			for n := int64(1); ctx.Err() == nil; n++ {
				k.tried.Store(n)
				if c.call(ctx, table.NodeID(i%3+1), func(ctx context.Context, p *partition.Partition) error {
					_, err := p.Write(ctx, k.request(n))
					return err
				}) {
					k.acked.Store(n)
					acks.Add(1)
				}
				if unique := k.unique(t, n); c.call(ctx, table.NodeID(i%3+1), func(ctx context.Context, p *partition.Partition) error {
					_, err := p.Write(ctx, unique)
					return err
				}) {
					kept[i] = append(kept[i], unique.Write.Key)
				}
			}
		})
		work.Go(func() {
			pace := time.NewTicker(time.Millisecond) // leased reads would leave no time for the rest
			defer pace.Stop()
			for ctx.Err() == nil {
				<-pace.C
				before := k.acked.Load()
				var got *regionnode.GetResponse
				if !c.call(ctx, table.NodeID(i%3+1), func(ctx context.Context, p *partition.Partition) (err error) {
					got, err = p.Get(ctx, &regionnode.GetRequest{Target: target, Key: k.key, Consistent: true})
					return err
				}) {
					continue
				}
				if n := k.value(t, got.Item); n < before || n > k.tried.Load() {
					t.Errorf("counter %d: read %d, acknowledged %d, tried %d", i, n, before, k.tried.Load())
					return
				}
			}
		})
	}
	progress := func() {
		for target := acks.Load() + 100; acks.Load() < target && !t.Failed(); {
			c.leader()
		}
	}
	for round := range 6 {
		progress()
		l := c.leader()
		if round%3 == 2 {
			c.stop(c.nodes[l])
			progress()
			c.start(c.nodes[l])
			continue
		}
		c.setCut(l, true)
		progress()
		c.setCut(l, false)
	}
	progress()
	cancel()
	work.Wait()

	for i, k := range counters {
		var got *regionnode.GetResponse
		if !c.call(context.Background(), 1, func(ctx context.Context, p *partition.Partition) (err error) {
			got, err = p.Get(ctx, &regionnode.GetRequest{Target: target, Key: k.key, Consistent: true})
			return err
		}) {
			t.Fatal("no answer from a healed group")
		}
		if n := k.value(t, got.Item); n < k.acked.Load() {
			t.Errorf("counter %d is %d, but %d was acknowledged", i, n, k.acked.Load())
		}
		c.checkKept(kept[i])
	}
	c.converge()
}

// checkKept reads keys that were written once, with acknowledgement.
func (c *cluster) checkKept(keys [][]byte) {
	c.t.Helper()
	p := c.replica(c.leader())
	got, err := p.BatchGet(context.Background(), &regionnode.BatchGetRequest{Target: target, Keys: keys, Consistent: true})
	if err != nil {
		c.t.Fatal(err)
	}
	for i := range keys {
		if got.Items[i].Item == nil {
			c.t.Errorf("an acknowledged item is lost: %q", keys[i])
		}
	}
}

// TestDeposedLeader cuts the leader off and stops its raft time, as a paused
// process's, so that it goes on to believe that it leads. Neither a strong read
// nor a failed condition may come from it (I9), nor an acknowledgement (I1).
func TestDeposedLeader(t *testing.T) {
	t.Run("asking", func(t *testing.T) { deposedLeader(t, newCluster(t, 3)) })
	t.Run("leased", func(t *testing.T) { deposedLeader(t, newLively(t, 3, testSupport)) })
}

func deposedLeader(t *testing.T, c *cluster) {
	c.create(testSpec())
	base := makeItem("k", "0", "")
	k := &counter{base: base, key: keyFor(t, base)}
	ctx := context.Background()
	put := func(n int64) {
		t.Helper()
		if !c.call(ctx, c.leader(), func(ctx context.Context, p *partition.Partition) error {
			_, err := p.Write(ctx, k.request(n))
			return err
		}) {
			t.Fatal("no answer to a write")
		}
	}
	put(1)
	deposed := c.leader()
	c.setFrozen(deposed, true)
	c.setCut(deposed, true)
	put(2)
	old := c.replica(deposed)
	was := old.Status()
	if !was.Leading {
		t.Fatal("the old leader knows that it is deposed")
	}
	short := func() context.Context {
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		t.Cleanup(cancel)
		return short
	}
	if got, err := old.Get(short(), &regionnode.GetRequest{Target: target, Key: k.key, Consistent: true}); err == nil {
		t.Errorf("strong read from a deposed leader: %q", got.Item)
	}
	conditional := k.request(3)
	conditional.Write.Condition = parseCondition(t, "v = :v", map[string]item.Value{":v": item.Str("2")})
	if _, err := old.Write(short(), conditional); apierr.Of(err) != nil {
		t.Errorf("failed condition from a deposed leader: %v", err)
	}
	if _, err := old.Write(short(), k.request(4)); err == nil {
		t.Error("acknowledgement from a deposed leader")
	}
	c.setCut(deposed, false)
	c.setFrozen(deposed, false)
	// The leadership may come back to it later, in another term.
	for now := old.Status(); now.Leading && now.Term == was.Term; now = old.Status() {
		c.leader()
	}
	put(5)
	c.converge()
}

// converge waits until all replicas have applied the same, and compares them.
func (c *cluster) converge() {
	c.t.Helper()
	var l *partition.Partition
	if !c.call(context.Background(), c.leader(), func(ctx context.Context, p *partition.Partition) error {
		l = p
		_, err := p.Get(ctx, &regionnode.GetRequest{Target: target, Key: keyFor(c.t, makeItem("k", "0", "")), Consistent: true})
		return err
	}) {
		c.t.Fatal("no answer to a strong read")
	}
	// Writes of unknown outcome may still arrive: compare at one place of the log.
	for !c.equal(l) {
		runtime.Gosched()
	}
}

// equal compares all replicas with the leader's; false when the leader moved on
// meanwhile.
func (c *cluster) equal(l *partition.Partition) bool {
	c.t.Helper()
	applied := l.Status().Applied
	state := func(p *partition.Partition) string {
		recs, _, err := p.ScanVersionsHere(nil, 1<<20, 1<<30)
		if err != nil {
			c.t.Fatal(err)
		}
		return fmt.Sprintf("%v %v", p.Status().Items, recs)
	}
	found := map[table.NodeID]string{}
	for id := range c.nodes {
		p := c.replica(id)
		for p.Status().Applied < applied {
			runtime.Gosched() // replicas apply on their own
		}
		found[id] = state(p)
		if p.Status().Applied != applied {
			return false
		}
	}
	want := state(l)
	if l.Status().Applied != applied {
		return false
	}
	for id, got := range found {
		if got != want {
			at := 0
			for at < min(len(got), len(want)) && got[at] == want[at] {
				at++
			}
			c.t.Errorf("node %d differs at byte %d: %.200q, the leader has %.200q", id, at, got[at:], want[at:])
		}
	}
	return true
}
