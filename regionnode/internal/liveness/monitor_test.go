package liveness_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"antipode/regionnode/internal/liveness"
	"antipode/regionnode/table"
)

const support = 600 * time.Millisecond

// world is a few nodes, their clocks and a network that loses, delays and
// repeats. True time is the world's alone.
type world struct {
	t     *testing.T
	rng   *rand.Rand
	now   time.Duration
	nodes []*node
	mail  []letter
}

type node struct {
	id      table.NodeID
	epoch   uint64
	rate    float64 // of its clock
	shift   time.Duration
	paused  bool
	monitor *liveness.Monitor
}

type letter struct {
	at  time.Duration
	raw []byte
}

func (w *world) clock(n *node) time.Duration {
	return n.shift + time.Duration(float64(w.now)*n.rate)
}

func (w *world) start(n *node) {
	n.epoch++
	n.monitor = liveness.New(liveness.Config{
		Self: n.id, Epoch: n.epoch, Support: support, Now: func() time.Duration { return w.clock(n) },
	})
}

func newWorld(t *testing.T, seed uint64, nodes int) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 0))}
	for i := range nodes {
		n := &node{id: table.NodeID(i + 1), rate: 1 + (w.rng.Float64()-0.5)*0.06, shift: time.Duration(w.rng.Int64N(int64(time.Hour))) + 1}
		w.nodes = append(w.nodes, n)
		w.start(n)
	}
	return w
}

func (w *world) send(n *node, delay func() (time.Duration, bool)) {
	for _, to := range w.nodes {
		if to == n {
			continue
		}
		b := n.monitor.Beat(to.id)
		for range 1 + w.rng.IntN(20)/19 { // now and then twice
			if d, ok := delay(); ok {
				w.mail = append(w.mail, letter{w.now + d, b.Append(nil)})
			}
		}
	}
}

// deliver hands over what has arrived to those that run; the rest waits in
// their sockets.
func (w *world) deliver() {
	rest := w.mail[:0]
	for _, l := range w.mail {
		b, err := liveness.DecodeBeat(l.raw)
		if err != nil {
			w.t.Fatal(err)
		}
		to := w.nodes[b.To-1]
		if l.at > w.now || to.paused {
			rest = append(rest, l)
			continue
		}
		to.monitor.Receive(b)
	}
	w.mail = rest
}

// check: whoever counts on a lease is supported under its name, or, where the
// giver has started anew, the giver does not yet feel free.
func (w *world) check() (held int) {
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			if a == b {
				continue
			}
			l := a.monitor.Peer(b.id).Lease()
			if l == nil || w.clock(a) >= l.Until {
				continue
			}
			held++
			if b.monitor.Support(a.id) != l.ID && (l.ID>>32 == b.epoch || b.monitor.Free() <= 0) {
				w.t.Fatalf("at %v node %d counts on %d of node %d until %v (its clock says %v), which supports it under %d, life %d",
					w.now, a.id, l.ID, b.id, l.Until, w.clock(a), b.monitor.Support(a.id), b.epoch)
			}
		}
	}
	return held
}

// TestLeaseIsSupport: no lease is counted on after the support behind it ended,
// whatever clocks, pauses, restarts and the network do.
func TestLeaseIsSupport(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, seed, 3)
			held, lost := 0, 0
			for w.now < 60*time.Second {
				w.now += time.Duration(w.rng.IntN(30)) * time.Millisecond
				for _, n := range w.nodes {
					if w.rng.IntN(300) == 0 {
						n.paused = !n.paused
					}
					if n.paused {
						if w.rng.IntN(40) == 0 {
							n.paused = false
						}
						continue
					}
					if w.rng.IntN(600) == 0 {
						w.start(n)
					}
					if w.rng.IntN(4) == 0 {
						w.send(n, func() (time.Duration, bool) {
							d := time.Duration(w.rng.IntN(40)) * time.Millisecond
							if w.rng.IntN(30) == 0 {
								d += time.Duration(w.rng.IntN(3000)) * time.Millisecond
							}
							return d, w.rng.IntN(10) > 0
						})
					}
					lost += len(n.monitor.News())
				}
				w.deliver()
				held += w.check()
			}
			if held == 0 || lost == 0 {
				t.Fatalf("%d leases seen, %d news", held, lost)
			}
		})
	}
}

// quiet is a network that works.
func quiet() (time.Duration, bool) { return 0, true }

func (w *world) rounds(n int, cut func(from, to table.NodeID) bool) {
	for range n {
		w.now += 100 * time.Millisecond
		for _, n := range w.nodes {
			if !n.paused {
				w.send(n, quiet)
			}
		}
		w.mail = slices.DeleteFunc(w.mail, func(l letter) bool {
			b, _ := liveness.DecodeBeat(l.raw)
			return cut(b.From, b.To)
		})
		w.deliver()
	}
}

func whole(_, _ table.NodeID) bool { return false }

// TestOneWay: a node that is heard but hears nothing is not supported, and the
// others see who supports whom.
func TestOneWay(t *testing.T) {
	w := newWorld(t, 1, 3)
	w.rounds(4, whole)
	one, two, three := w.nodes[0].monitor, w.nodes[1].monitor, w.nodes[2].monitor
	if two.Support(1) == 0 || three.Support(1) == 0 || one.Peer(2).Lease() == nil {
		t.Fatal("nodes that answer one another do not support one another")
	}
	before := two.Support(1)
	w.rounds(15, func(from, to table.NodeID) bool { return to == 1 })
	if two.Support(1) != 0 || three.Support(1) != 0 || !two.Lost(1) {
		t.Error("a node that hears nobody is supported")
	}
	if l := one.Peer(2).Lease(); l != nil && w.clock(w.nodes[0]) < l.Until {
		t.Error("it counts on support")
	}
	if !two.Gives(3, 1) || two.Gives(3, 2) {
		t.Error("node 2 does not see whom node 3 supports")
	}
	w.rounds(4, whole)
	if now := two.Support(1); now <= before {
		t.Errorf("support that ended came back as %d after %d", now, before)
	}
}

// TestLeaving: who says goodbye is given up at once.
func TestLeaving(t *testing.T) {
	w := newWorld(t, 1, 3)
	w.rounds(4, whole)
	two := w.nodes[1].monitor
	two.News()
	b := w.nodes[0].monitor.Beat(2)
	b.Leaving, b.Sent = true, b.Sent+1
	two.Receive(b)
	if two.Support(1) != 0 || two.Alive(1) || two.Peer(1).Lease() != nil {
		t.Error("a node that left is still counted on")
	}
	if news := two.News(); !slices.Equal(news, []table.NodeID{1}) {
		t.Errorf("news of %v", news)
	}
}

// TestRestart: support given to an earlier life ends when the next one shows.
func TestRestart(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.rounds(4, whole)
	two := w.nodes[1].monitor
	before := two.Support(1)
	w.start(w.nodes[0])
	if free := w.nodes[0].monitor.Free(); free <= 0 || free > support {
		t.Errorf("a new life is free in %v", free)
	}
	two.Receive(w.nodes[0].monitor.Beat(2))
	if two.Support(1) != 0 || !two.Lost(1) {
		t.Error("a new life inherits support")
	}
	w.rounds(4, whole)
	if now := two.Support(1); now <= before {
		t.Errorf("support of a new life is %d after %d", now, before)
	}
}

func FuzzDecodeBeat(f *testing.F) {
	f.Add((&liveness.Beat{From: 1, To: 2, Epoch: 3, Sent: 4, Supports: []table.NodeID{5}}).Append(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := liveness.DecodeBeat(raw)
		if err != nil {
			return
		}
		again, err := liveness.DecodeBeat(b.Append(nil))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(b) {
			t.Fatalf("%v became %v, %v", b, again, err)
		}
	})
}
