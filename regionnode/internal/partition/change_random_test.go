package partition_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/table"
)

var (
	membersSeed   = flag.Uint64("members.seed", 1, "first seed of TestMembersAtRandom")
	membersSeeds  = flag.Int("members.seeds", 2, "how many seeds it goes through")
	membersRounds = flag.Int("members.rounds", 14, "rounds of each")
)

// TestMembersAtRandom changes the members of a partition under load, while nodes
// are cut off, stopped and crash: every acknowledged write stays, no strong read
// is older than what was acknowledged before it (I1, I9), and in the end the
// members are alike. -members.seeds goes on for longer.
func TestMembersAtRandom(t *testing.T) {
	for i := range *membersSeeds {
		seed := *membersSeed + uint64(i)
		// Every second seed with promises between the nodes: strong reads are then
		// answered under leases, and idle groups sleep.
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			membersAtRandom(t, seed, time.Duration(seed%2)*testSupport)
		})
	}
}

const randomNodes = 5

type randomMembers struct {
	t   *testing.T
	c   *cluster
	rng *rand.Rand
	ctx context.Context
	// acks counts acknowledged writes.
	acks atomic.Int64
	// away is the node that is cut off or was stopped last, 0 for none.
	away table.NodeID
	done map[string]int
}

func membersAtRandom(t *testing.T, seed uint64, support time.Duration) {
	c := newLively(t, randomNodes, support, smallParts, func(c *partition.Config) { c.RaftLogBytes, c.MaxRaftLogBytes = 8<<10, 32<<10 })
	c.createOn(testSpec(), 1, 2, 3)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	x := &randomMembers{t: t, c: c, rng: rand.New(rand.NewPCG(seed, 9)), ctx: ctx, done: map[string]int{}}

	counters := make([]*counter, 4)
	kept := make([][][]byte, len(counters))
	var work sync.WaitGroup
	for i := range counters {
		counters[i] = newCounter(t, fmt.Sprint("n", i))
		work.Go(func() { kept[i] = x.write(counters[i], table.NodeID(i%3+1)) })
		work.Go(func() { x.read(counters[i], table.NodeID(i%3+1)) })
	}
	for range *membersRounds {
		x.progress(30)
		x.fault()
		x.change()
	}
	x.heal()
	x.progress(30)
	cancel()
	work.Wait()
	t.Logf("seed %d: %d writes, %v", seed, x.acks.Load(), x.done)

	spec := x.settle()
	c.convergeOn(append(slices.Clone(spec.Members), spec.Learners...)...)
	for i, k := range counters {
		p := c.replica(c.leader())
		got, err := p.Get(t.Context(), &regionnode.GetRequest{Target: target, Key: k.key, Consistent: true})
		if err != nil {
			t.Fatal(err)
		}
		if n := k.value(t, got.Item); n < k.acked.Load() {
			t.Errorf("counter %d is %d, but %d was acknowledged", i, n, k.acked.Load())
		}
		if len(kept[i]) > 0 {
			c.checkKept(kept[i])
		}
	}
}

// write counts a counter up and writes items of its own, until the test ends.
func (x *randomMembers) write(k *counter, at table.NodeID) (kept [][]byte) {
	for n := int64(1); x.ctx.Err() == nil; n++ {
		k.tried.Store(n)
		if x.c.call(x.ctx, at, func(ctx context.Context, p *partition.Partition) error {
			_, err := p.Write(ctx, k.request(n))
			return err
		}) {
			k.acked.Store(n)
			x.acks.Add(1)
		}
		if n%8 != 0 {
			continue
		}
		if unique := k.unique(x.t, n); x.c.call(x.ctx, at, func(ctx context.Context, p *partition.Partition) error {
			_, err := p.Write(ctx, unique)
			return err
		}) {
			kept = append(kept, unique.Write.Key)
		}
	}
	return kept
}

func (x *randomMembers) read(k *counter, at table.NodeID) {
	for x.ctx.Err() == nil {
		before := k.acked.Load()
		var got *regionnode.GetResponse
		if !x.c.call(x.ctx, at, func(ctx context.Context, p *partition.Partition) (err error) {
			got, err = p.Get(ctx, &regionnode.GetRequest{Target: target, Key: k.key, Consistent: true})
			return err
		}) {
			continue
		}
		if n := k.value(x.t, got.Item); n < before || n > k.tried.Load() {
			x.t.Errorf("read %d, acknowledged %d, tried %d", n, before, k.tried.Load())
			return
		}
	}
}

// progress waits for some acknowledgements.
func (x *randomMembers) progress(n int64) {
	x.t.Helper()
	target := x.acks.Load() + n
	until(x.t, func() bool { return x.acks.Load() >= target || x.t.Failed() })
}

func (x *randomMembers) heal() {
	if x.away != 0 {
		x.c.setCut(x.away, false)
		x.away = 0
	}
}

// fault cuts a node off, or restarts it, perhaps with a crash of its disk. One
// node at most is away at a time.
func (x *randomMembers) fault() {
	x.heal()
	node := table.NodeID(1 + x.rng.IntN(randomNodes))
	kind := []string{"cut", "restart", "crash", "none"}[x.rng.IntN(4)]
	x.done[kind]++
	n := x.c.nodes[node]
	switch kind {
	case "cut":
		x.c.setCut(node, true)
		x.away = node
	case "restart":
		x.c.stop(n)
		x.c.start(n)
	case "crash":
		x.c.setCut(node, true) // what it says from now on would be lost
		disk := n.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: x.rng.IntN(101), RNG: x.rng})
		x.c.stop(n)
		n.fs = disk
		x.c.setCut(node, false)
		x.c.start(n)
	}
}

// change tries one step of membership: it may be refused, or its outcome open.
func (x *randomMembers) change() {
	at := x.c.replica(x.c.leader())
	if at == nil {
		return
	}
	spec := at.Spec()
	c := partition.Change{Epoch: spec.Epoch.Members}
	var others []table.NodeID
	for id := table.NodeID(1); id <= randomNodes; id++ {
		if !slices.Contains(spec.Members, id) && !slices.Contains(spec.Learners, id) {
			others = append(others, id)
		}
	}
	kind := "add"
	switch {
	case len(spec.Learners) > 0 && x.rng.IntN(5) == 0:
		kind, c.Remove = "remove", spec.Learners[:1]
	case len(spec.Learners) > 0:
		// In place of a random one, which may be the leader.
		kind, c.Promote = "swap", spec.Learners[:1]
		c.Remove = []table.NodeID{spec.Members[x.rng.IntN(len(spec.Members))]}
	case len(others) == 0:
		return
	default:
		node := others[x.rng.IntN(len(others))]
		if !x.learner(node, spec.Epoch.Members) {
			return
		}
		c.AddLearners = []table.NodeID{node}
	}
	ctx, cancel := context.WithTimeout(x.ctx, 2*time.Second)
	defer cancel()
	outcome := "refused"
	if _, err := at.ChangeMembers(ctx, c); err == nil {
		outcome = "done"
	}
	x.done[kind+" "+outcome]++
}

// learner makes an empty replica on a node whose old one, if any, is destroyed
// or stays.
func (x *randomMembers) learner(node table.NodeID, epoch uint32) bool {
	host := x.c.nodes[node].host.Load()
	if x.rng.IntN(2) == 0 {
		// The leader's word is a majority's only once it is confirmed.
		ctx, cancel := context.WithTimeout(x.ctx, 2*time.Second)
		defer cancel()
		spec, err := x.c.replica(x.c.leader()).ConfirmMembers(ctx)
		if err != nil || slices.Contains(spec.Members, node) || slices.Contains(spec.Learners, node) {
			return false
		}
		_ = host.DestroyRemoved(ctx, 3, spec.Epoch.Members)
	}
	if err := host.CreateLearner(x.ctx, 3, 7, epoch); err != nil {
		x.t.Error(err)
		return false
	}
	return true
}

// settle waits until no change is under way and everybody has caught up.
func (x *randomMembers) settle() (spec *partition.Spec) {
	until(x.t, func() bool {
		p := x.c.replica(x.c.leader())
		ctx, cancel := context.WithTimeout(x.t.Context(), 2*time.Second)
		defer cancel()
		var err error
		if spec, err = p.ConfirmMembers(ctx); err != nil {
			return false
		}
		progress := p.Progress()
		for _, pr := range progress {
			if pr.Match != pr.Last {
				return false
			}
		}
		return len(progress) > 0
	})
	return spec
}
