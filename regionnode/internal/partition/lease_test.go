package partition_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/table"
)

var (
	leaseSeeds = flag.Int("lease-seeds", 4, "random lives of a group under leases")
	leaseFirst = flag.Uint64("lease-first-seed", 1, "of the first")
)

// drifting is a group under the test's own time: clocks that run at different
// rates, nodes that stand still anywhere, also between the look at the clock and
// what follows from it, restarts and cuts.
type drifting struct {
	*cluster
	rng *rand.Rand
	now atomic.Int64 // true time, in ns

	gate   sync.Mutex
	opened sync.Cond
	moved  sync.Cond // true time has; with gate
	nodes  map[table.NodeID]*drifter
	// severed are pairs, in order, that do not reach one another; with mu.
	severed map[[2]table.NodeID]bool
	calm    bool // nothing happens of itself
}

type drifter struct {
	rate  float64
	shift time.Duration
	// Guarded by gate. armed: stands still at its next look at the clock. until: of
	// true time.
	paused, armed, driven bool
	until                 int64
}

const driftSupport = 300 * time.Millisecond

func newDrifting(t *testing.T, seed uint64) *drifting {
	d := &drifting{rng: rand.New(rand.NewPCG(seed, 1)), nodes: map[table.NodeID]*drifter{}, severed: map[[2]table.NodeID]bool{}}
	d.opened.L, d.moved.L = &d.gate, &d.gate
	for id := table.NodeID(1); id <= 3; id++ {
		d.nodes[id] = &drifter{rate: 1 + (d.rng.Float64()-0.5)*0.06, shift: time.Duration(d.rng.Int64N(int64(time.Hour)))}
	}
	d.cluster = &cluster{
		t: t, support: driftSupport, nodes: map[table.NodeID]*clusterNode{}, clock: d.look,
		cut: map[table.NodeID]bool{}, frozen: map[table.NodeID]bool{},
	}
	d.changed.L = &d.mu
	d.lost = func(from, to table.NodeID) bool { return d.severed[pair(from, to)] }
	d.makeNodes(3)
	return d
}

// look is a node's look at its clock.
func (d *drifting) look(n *clusterNode) time.Duration {
	node := d.nodes[n.id]
	d.gate.Lock()
	defer d.gate.Unlock()
	d.pass(node)
	v := node.shift + time.Duration(float64(d.now.Load())*node.rate) + 1
	if node.armed && !node.driven {
		node.armed, node.paused = false, true
	}
	d.pass(node)
	return v
}

func (d *drifting) pass(node *drifter) {
	for node.paused && !node.driven {
		d.opened.Wait()
	}
}

// drive does f in a node's name, unless it stands still.
func (d *drifting) drive(n *clusterNode, f func(*partition.Host)) {
	node := d.nodes[n.id]
	d.gate.Lock()
	if node.paused {
		d.gate.Unlock()
		return
	}
	node.driven = true
	d.gate.Unlock()
	if host := n.host.Load(); host != nil {
		f(host)
	}
	d.gate.Lock()
	node.driven = false
	d.gate.Unlock()
}

// pause arms a node or lets it go on.
func (d *drifting) pause(node *drifter) {
	d.gate.Lock()
	defer d.gate.Unlock()
	now := d.now.Load()
	switch {
	case node.paused && now >= node.until:
		node.paused = false
		d.opened.Broadcast()
	case !node.paused && !node.armed && d.rng.IntN(1500) == 0:
		node.armed, node.until = true, now+int64(d.rng.IntN(1500))*int64(time.Millisecond)
	}
}

// step moves true time on by a little.
func (d *drifting) step() {
	d.now.Add(int64(time.Millisecond) * int64(1+d.rng.IntN(4)))
	for id := table.NodeID(1); id <= 3; id++ {
		n := d.cluster.nodes[id]
		d.disturb(id)
		d.drive(n, func(host *partition.Host) {
			for len(n.inbox) > 0 && d.rng.IntN(20) > 0 {
				m := <-n.inbox
				if !d.receiveBeat(n, m) {
					host.Receive(m.id, m.msg)
				}
			}
			if d.rng.IntN(3) == 0 {
				host.Tick()
			}
			if d.rng.IntN(8) == 0 {
				d.beat(n, host)
			}
		})
	}
	for id, n := range d.cluster.nodes {
		for host := n.host.Load(); host != nil && !host.Quiet() && !d.isPaused(id); {
			runtime.Gosched()
		}
	}
	d.moved.Broadcast()
	d.check()
}

// check: who leads in a later term leads alone, as far as leases go.
func (d *drifting) check() {
	for id, n := range d.cluster.nodes {
		newest := uint64(0)
		for other := range d.cluster.nodes {
			if p := d.replica(other); p != nil && other != id {
				if s := p.Status(); s.Leading {
					newest = max(newest, s.Term)
				}
			}
		}
		d.drive(n, func(*partition.Host) {
			if p := d.replica(id); p != nil && p.Status().Term < newest && p.Leased() {
				d.t.Errorf("node %d has a lease in term %d, and another one leads in term %d", id, p.Status().Term, newest)
			}
		})
	}
}

// await waits for the next step, so that reads leave time for the rest.
func (d *drifting) await(ctx context.Context) {
	d.gate.Lock()
	defer d.gate.Unlock()
	if ctx.Err() == nil {
		d.moved.Wait()
	}
}

func (d *drifting) isPaused(id table.NodeID) bool {
	d.gate.Lock()
	defer d.gate.Unlock()
	return d.nodes[id].paused
}

func pair(a, b table.NodeID) [2]table.NodeID { return [2]table.NodeID{min(a, b), max(a, b)} }

// disturb cuts a node off, or from one other, heals, and has replicas stand for
// election whenever they may.
func (d *drifting) disturb(id table.NodeID) {
	if d.calm {
		return
	}
	d.pause(d.nodes[id])
	other := id%3 + 1
	d.mu.Lock()
	if n := d.rng.IntN(800); n == 0 || d.cut[id] && n < 5 {
		d.cut[id] = !d.cut[id]
	}
	if n := d.rng.IntN(500); n == 0 || d.severed[pair(id, other)] && n < 3 {
		d.severed[pair(id, other)] = !d.severed[pair(id, other)]
	}
	d.mu.Unlock()
	if d.rng.IntN(20) == 0 {
		d.drive(d.cluster.nodes[id], func(*partition.Host) {
			if p := d.replica(id); p != nil {
				p.Stand()
			}
		})
	}
}

// restart ends a node and starts it at once, when nothing stands still.
func (d *drifting) restart(id table.NodeID) {
	d.gate.Lock()
	for _, node := range d.nodes {
		node.paused, node.armed = false, false
	}
	d.opened.Broadcast()
	d.gate.Unlock()
	d.stop(d.cluster.nodes[id])
	d.start(d.cluster.nodes[id])
}

// TestPromiseOutlivesRestart: a follower that starts anew does not help to
// replace a leader that may still count on what its earlier life promised.
func TestPromiseOutlivesRestart(t *testing.T) {
	for seed := range uint64(5) {
		d := newDrifting(t, seed)
		d.create(testSpec())
		d.calm = true
		lead, keeps, free := table.NodeID(1), table.NodeID(2), table.NodeID(3)
		d.until("node 1 leads, and all have everything", func() bool {
			d.step()
			at := d.replica(lead).Status().Applied
			return d.leasedAt(lead) && d.replica(keeps).Status().Applied == at && d.replica(free).Status().Applied == at
		})
		d.severed[pair(lead, free)] = true
		d.until("node 3 is free", func() bool {
			d.step()
			return d.cluster.nodes[free].monitor.Support(lead) == 0
		})
		if !d.leasedAt(lead) {
			t.Fatal("node 1 does not count on node 2")
		}
		d.setCut(lead, true)
		d.restart(keeps)
		stand := func() {
			if d.rng.IntN(15) == 0 { // each attempt forgets the votes of the last
				d.replica(free).Stand()
			}
			d.step()
		}
		for d.leasedAt(lead) {
			stand()
		}
		d.until("another one leads", func() bool {
			stand()
			return d.replica(free).Status().Leading || d.replica(keeps).Status().Leading
		})
	}
}

func (d *drifting) leasedAt(id table.NodeID) (yes bool) {
	d.drive(d.cluster.nodes[id], func(*partition.Host) { yes = d.replica(id).Leased() })
	return yes
}

// TestLeasedReads: whatever a read returns is at least as new as everything that
// was acknowledged, or read, before it began. Each key has one writer that counts
// up, so that is all of linearizability.
func TestLeasedReads(t *testing.T) {
	for seed := *leaseFirst; seed < *leaseFirst+uint64(*leaseSeeds); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { leasedReads(t, seed) })
	}
}

func leasedReads(t *testing.T, seed uint64) {
	d := newDrifting(t, seed)
	d.create(testSpec())
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	var leased, asked, writes, terms atomic.Int64
	for i := range 3 {
		k := newCounter(t, fmt.Sprint(i))
		var seen atomic.Int64
		work.Go(func() {
			for n := int64(1); ctx.Err() == nil; n++ {
				k.tried.Store(n)
				if d.call(ctx, table.NodeID(i+1), func(ctx context.Context, p *partition.Partition) error {
					_, err := p.Write(ctx, k.request(n))
					return err
				}) {
					k.acked.Store(n)
					writes.Add(1)
				}
			}
		})
		for at := table.NodeID(1); at <= 3; at++ {
			work.Go(func() {
				for ctx.Err() == nil {
					d.await(ctx)
					before := max(k.acked.Load(), seen.Load())
					got, ok := d.readAt(ctx, at, k, &leased, &asked)
					if !ok {
						continue
					}
					if got < before || got > k.tried.Load() {
						t.Errorf("counter %d: node %d read %d, %d was there before, %d was tried", i, at, got, before, k.tried.Load())
						cancel()
						return
					}
					for s := seen.Load(); s < got && !seen.CompareAndSwap(s, got); s = seen.Load() {
					}
				}
			})
		}
	}
	last := uint64(0)
	for d.now.Load() < int64(20*time.Second) && ctx.Err() == nil && !t.Failed() {
		d.step()
		if d.rng.IntN(600) == 0 {
			d.restart(table.NodeID(1 + d.rng.IntN(3)))
		}
		if p := d.replica(1); p != nil && p.Status().Term != last {
			last = p.Status().Term
			terms.Add(1)
		}
	}
	cancel()
	d.gate.Lock()
	for _, node := range d.nodes {
		node.paused, node.armed = false, false
	}
	d.opened.Broadcast()
	d.moved.Broadcast()
	d.gate.Unlock()
	work.Wait()
	t.Logf("%d reads under a lease, %d that asked, %d writes, %d terms", leased.Load(), asked.Load(), writes.Load(), terms.Load())
	if leased.Load() == 0 || writes.Load() == 0 || terms.Load() < 2 {
		t.Error("the run shows nothing")
	}
}

// readAt reads at one node alone, which may be deposed and not know it.
func (d *drifting) readAt(ctx context.Context, at table.NodeID, k *counter, leased, asked *atomic.Int64) (int64, bool) {
	n := d.cluster.nodes[at]
	n.using.RLock()
	defer n.using.RUnlock()
	p := d.replica(at)
	if p == nil {
		return 0, false
	}
	short, stop := context.WithTimeout(ctx, 100*time.Millisecond)
	defer stop()
	free := p.Leased()
	got, err := p.Get(short, &regionnode.GetRequest{Target: target, Key: k.key, Consistent: true})
	if err != nil {
		return 0, false
	}
	if free {
		leased.Add(1)
	} else {
		asked.Add(1)
	}
	return k.value(d.t.(*testing.T), got.Item), true
}
