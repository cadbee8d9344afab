package partition_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"antipode/regionnode"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/internal/store"
	"antipode/regionnode/table"
	"antipode/replication/hlc"
)

// cutWorld is a group in one process whose time, network and disks are the
// test's: messages are lost, doubled and overtake one another, a sync takes a few
// ticks, and the power can fail. A seed repeats the plan and the odds; which
// goroutine comes first stays the machine's choice.
type cutWorld struct {
	t       *testing.T
	members int
	phys    atomic.Int64 // wall time, in nanoseconds
	tune    func(*partition.Config)
	mem     uint64 // memtable size

	mu     sync.Mutex
	ticked sync.Cond // after every tick, and when the power changes
	random *rand.Rand
	ticks  int
	flying []flight
	// dark: no message moves and no sync ends. still: nobody's raft time moves.
	dark, still bool
	// calm networks lose nothing.
	calm  bool
	nodes []*cutNode
	acks  int
}

type flight struct {
	due      int
	from, to table.NodeID
	id       table.PartitionID
	msg      []byte
}

// cutNode is a machine; life is what runs on it, nil while it is off.
type cutNode struct {
	id   table.NodeID
	fs   *vfs.MemFS
	skew int64
	life *life
	// away: it reaches nobody and is reached by nobody. frozen: as a paused
	// process its raft time stands still, but here it still answers clients.
	away, frozen bool
	// stuck: its disk finishes no sync.
	stuck bool
}

// call is one request of a client, given up at a tick.
type call struct{ until int }

// life is one process from its start to the end of its power.
type life struct {
	store *store.Store
	clock *hlc.Clock
	host  *partition.Host
	// calls are under way; giveUp ends one at a tick, and all of them at the end.
	calls  sync.WaitGroup
	giveUp map[*call]context.CancelFunc
	// dead: nobody hears of what it still does. open disks do not dawdle.
	dead, open bool
}

func newCutWorld(t *testing.T, seed uint64, members int, change ...func(*cutWorld)) *cutWorld {
	w := &cutWorld{t: t, members: members, random: rand.New(rand.NewPCG(seed, 1))}
	w.ticked.L = &w.mu
	w.phys.Store(1_000_000_000_000)
	// Odd sizes reach what usual ones do not: logs cut off and memtables flushed
	// while the power fails.
	raftLog, election := uint64(4<<10<<w.random.IntN(5)), 12+w.random.IntN(20)
	w.mem = 64 << 10 << w.random.IntN(4)
	w.tune = func(c *partition.Config) { c.RaftLogBytes, c.ElectionTicks, c.HeartbeatTicks = raftLog, election, 2 }
	for _, f := range change {
		f(w)
	}
	for i := range members {
		n := &cutNode{id: table.NodeID(i + 1), fs: vfs.NewCrashableMem(), skew: w.random.Int64N(100e6)}
		w.nodes = append(w.nodes, n)
		w.start(n)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go w.drive(stop, stopped)
	t.Cleanup(func() {
		w.mu.Lock()
		lives := w.kill(w.nodes)
		w.mu.Unlock()
		w.end(lives)
		close(stop)
		<-stopped
	})
	return w
}

// start runs a node on what its disk has.
func (w *cutWorld) start(n *cutNode) {
	w.t.Helper()
	l := &life{open: true, giveUp: map[*call]context.CancelFunc{}}
	var err error
	if l.store, err = store.Open(store.Config{Dir: "db", FS: errorfs.Wrap(n.fs, w.disk(n, l)), MemTableSize: w.mem}); err != nil {
		w.t.Fatal(err)
	}
	if l.clock, err = hlc.New(hlc.Config{Physical: func() int64 { return w.phys.Load() + n.skew }}); err != nil {
		w.t.Fatal(err)
	}
	c := partition.Config{
		Node: n.id, Region: "us-east-1", Store: l.store, Clock: l.clock, TickInterval: -1,
		Send: func(to table.NodeID, id table.PartitionID, msgs [][]byte) { w.send(l, n, to, id, msgs) },
	}
	w.tune(&c)
	if l.host, err = partition.NewHost(c); err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	l.open = false
	n.life = l
}

// disk has a life's syncs take up to a few ticks: what is written in between is
// lost when the power fails.
func (w *cutWorld) disk(n *cutNode, l *life) errorfs.Injector {
	return errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			w.mu.Lock()
			defer w.mu.Unlock()
			for until := w.ticks + w.random.IntN(4); !l.open && (n.stuck || w.ticks < until); {
				w.ticked.Wait()
			}
		}
		return nil
	})
}

func (w *cutWorld) send(l *life, from *cutNode, to table.NodeID, id table.PartitionID, msgs [][]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dark || l.dead || from.away {
		return
	}
	for _, m := range msgs {
		copies := 1
		switch odds := w.random.IntN(100); {
		case w.calm:
		case odds < 2:
			continue
		case odds < 4:
			copies = 2
		}
		for range copies {
			w.flying = append(w.flying, flight{w.ticks + w.random.IntN(4), from.id, to, id, m})
		}
	}
}

// drive moves the world's time.
func (w *cutWorld) drive(stop, stopped chan struct{}) {
	defer close(stopped)
	t := time.NewTicker(500 * time.Microsecond)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			w.tick()
		case <-stop:
			return
		}
	}
}

func (w *cutWorld) tick() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dark {
		return
	}
	w.ticks++
	w.phys.Add(int64(time.Millisecond))
	rest := w.flying[:0]
	for _, f := range w.flying {
		n := w.nodes[f.to-1]
		switch {
		case f.due > w.ticks:
			rest = append(rest, f)
		case n.life != nil && !n.away:
			n.life.host.Receive(f.id, f.msg)
		}
	}
	clear(w.flying[len(rest):])
	w.flying = rest
	for _, n := range w.nodes {
		if n.life == nil {
			continue
		}
		if !w.still && !n.frozen {
			n.life.host.Tick()
		}
		for c, giveUp := range n.life.giveUp {
			if c.until <= w.ticks {
				giveUp()
			}
		}
	}
	w.ticked.Broadcast()
}

// patienceTicks is after how many ticks without what is awaited something hangs.
const patienceTicks = 40_000

// await waits, tick by tick, for what ok tells under w.mu.
func (w *cutWorld) await(what string, ok func() bool) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for until := w.ticks + patienceTicks; !ok(); w.ticked.Wait() {
		if w.ticks > until {
			w.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// set changes the world under its lock.
func (w *cutWorld) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// kill ends lives as far as the rest of the world can tell. Called with w.mu.
func (w *cutWorld) kill(victims []*cutNode) (dead []*life) {
	for _, n := range victims {
		if n.life != nil {
			n.life.dead, n.life.open = true, true
			for _, giveUp := range n.life.giveUp {
				giveUp()
			}
			dead = append(dead, n.life)
			n.life = nil
		}
	}
	w.ticked.Broadcast()
	return dead
}

// end cleans up behind lives that are dead.
func (w *cutWorld) end(dead []*life) {
	for _, l := range dead {
		err := l.host.Close()
		l.calls.Wait()
		if err := errors.Join(err, l.store.Close()); err != nil {
			w.t.Error(err)
		}
		l.clock.Close()
	}
}

// cut takes the power from victims at one moment; of what they have not synced
// a percentage stays. They start again at once.
func (w *cutWorld) cut(percent int, victims ...*cutNode) {
	w.t.Helper()
	w.mu.Lock()
	// From here to the clones nothing passes between nodes, or to clients: what one
	// disk has is then never the effect of what another one has lost.
	w.dark = len(victims) == len(w.nodes)
	dead := w.kill(victims)
	for _, n := range victims {
		n.fs = n.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: w.random})
	}
	if w.dark {
		w.flying = nil
	}
	w.mu.Unlock()
	w.end(dead)
	for _, n := range victims {
		w.start(n)
	}
	w.set(func() { w.dark = false })
}

// errDead is what a client of a node knows that lost its power: nothing.
var errDead = errors.New("the node is gone")

// begin starts a request to a node; nil when it is off. The func ends it, and
// tells whether the client heard the answer.
func (w *cutWorld) begin(n *cutNode) (context.Context, *life, func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := n.life
	if l == nil {
		return nil, nil, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &call{w.ticks + callTicks}
	l.giveUp[c] = cancel
	l.calls.Add(1)
	return ctx, l, func() bool {
		cancel()
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(l.giveUp, c)
		l.calls.Done()
		return !l.dead
	}
}

// callTicks is how long a client waits for an answer.
const callTicks = 200

// ask has f done by whoever leads. NotLeader and Stale mean that the next one is
// asked: with these, nothing was done, or it may be done again. errDead, and
// errors that are nobody's refusal, are unknown outcomes.
func (w *cutWorld) ask(ctx context.Context, at int, f func(context.Context, *life, *partition.Partition) error) error {
	for ; ctx.Err() == nil; at++ {
		n := w.nodes[at%len(w.nodes)]
		one, l, end := w.begin(n)
		if l == nil {
			w.wait()
			continue
		}
		p, ok := l.host.Partition(target.Partition)
		if !ok {
			end()
			w.t.Errorf("node %d has lost its replica", n.id)
			return errDead
		}
		err := f(one, l, p)
		heard := end()
		var notLeader *regionnode.NotLeader
		var stale *regionnode.Stale
		switch {
		case !heard:
			return errDead
		case errors.As(err, &notLeader) && notLeader.Leader != 0 && notLeader.Leader != n.id:
			at = int(notLeader.Leader) - 2
			w.wait()
		case errors.As(err, &notLeader), errors.As(err, &stale):
			w.wait()
		default:
			return err
		}
	}
	return ctx.Err()
}

// wait lets a tick pass.
func (w *cutWorld) wait() { w.pause(1) }

// pause lets about as many ticks pass.
func (w *cutWorld) pause(ticks int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range ticks {
		w.ticked.Wait()
	}
}

// acked counts an acknowledgement.
func (w *cutWorld) acked() { w.set(func() { w.acks++ }) }
