package partition_test

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/internal/partition"
	"antipode/replication"
)

var (
	powercuts     = flag.Int("powercuts", 6, "seeds of TestPowerCut")
	firstPowercut = flag.Uint64("first-powercut", 1, "the first of them")
)

// TestPowerCut takes the power from all members of a group at once, again and
// again, under load: whatever was acknowledged before is there afterwards, reads
// are linearizable, counters and transfers exact, the change log without holes,
// and replicas equal (I1, I2, I3, I4, I5, I9). In between single members lose
// their power or their network.
func TestPowerCut(t *testing.T) {
	for seed := *firstPowercut; seed < *firstPowercut+uint64(*powercuts); seed++ {
		members := 3
		if seed%4 == 0 {
			members = 1
		}
		t.Run(fmt.Sprintf("seed=%d,members=%d", seed, members), func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("repeat with: make powercut SEED=%d SEEDS=1", seed)
				}
			}()
			powerCuts(t, seed, members)
		})
	}
}

// cutsPerSeed is how often a seed's group goes dark.
const cutsPerSeed = 3

func powerCuts(t *testing.T, seed uint64, members int) {
	w := newCutWorld(t, seed, members)
	w.create()
	plan := rand.New(rand.NewPCG(seed, 2))
	c := newCutLoad(w)
	for round := range cutsPerSeed {
		if c.round(plan, seed+uint64(round)<<32); t.Failed() {
			return
		}
	}
	if err := c.registers.Check(); err != nil {
		t.Error(err)
	}
	t.Logf("%d register operations, %d acknowledgements, %d ticks", c.registers.Len(), w.acks, w.ticks)
}

// create makes the group.
func (w *cutWorld) create() {
	w.t.Helper()
	spec := indexedSpec()
	spec.Members = nil
	for _, n := range w.nodes {
		spec.Members = append(spec.Members, n.id)
	}
	for _, n := range w.nodes {
		if err := n.life.host.Create(context.Background(), spec); err != nil {
			w.t.Fatal(err)
		}
	}
}

// round is one stretch of load up to a power cut, and what is left behind it.
func (c *cutLoad) round(plan *rand.Rand, seed uint64) {
	ctx, cancel := context.WithCancel(context.Background())
	clients := c.run(ctx, seed)
	defer cancel()
	c.progress(20 + plan.IntN(80))
	if c.members > 1 {
		c.disturb(plan)
	}
	c.pause(plan.IntN(5))
	cancel() // of what is under way nobody will hear
	c.cut([]int{0, 0, 50, 100}[plan.IntN(4)], c.nodes...)
	clients.Wait()
	c.verify()
}

// progress waits for n more acknowledgements.
func (c *cutLoad) progress(n int) {
	c.t.Helper()
	c.set(func() { n += c.acks })
	c.await("acknowledgements", func() bool { return c.acks >= n })
}

// disturb takes the network, the time, the disk or the power from single members
// for a while.
func (c *cutLoad) disturb(plan *rand.Rand) {
	for range plan.IntN(3) {
		n := c.nodes[plan.IntN(len(c.nodes))]
		what := plan.IntN(4)
		if what == 0 {
			c.cut([]int{0, 50, 100}[plan.IntN(3)], n)
			c.progress(10)
			continue
		}
		c.set(func() { n.away, n.frozen, n.stuck = what < 3, what == 2, what == 3 })
		c.progress(10 + plan.IntN(30))
		c.set(func() { n.away, n.frozen, n.stuck = false, false, false })
	}
}

// verify lets the group settle without clients and compares what it has with
// what clients were told.
func (c *cutLoad) verify() {
	c.t.Helper()
	ctx := context.Background()
	c.set(func() { c.calm = true })
	defer c.set(func() { c.calm, c.still = false, false })
	for id, d := range c.open {
		for !c.finish(ctx, 0, id, d) {
			c.wait()
		}
	}
	c.phys.Add(int64(2 * time.Second)) // nothing is from the future any more
	for k := range cutRegisters {
		for ok := false; !ok; {
			_, ok = c.read(ctx, k, math.MaxInt32, k)
		}
	}
	leader := c.settle()
	if c.t.Failed() {
		return
	}
	checkIndexes(c.t, leader)
	checkLog(c.t, leader)
	if left := leader.StalledMarks(math.MaxInt64); len(left) > 0 {
		c.t.Errorf("marks of transactions that are over: %v", left)
	}
	c.checkSums(leader)
	c.checkRemotes(leader)
	c.checkRecords(leader)
	c.checkEqual()
}

// settle stops raft's time under a leader that everybody has caught up with and
// that has nothing left to do.
func (c *cutLoad) settle() (leader *partition.Partition) {
	c.t.Helper()
	for leader == nil {
		c.set(func() { c.still = false })
		c.await("everybody has caught up with a leader", func() bool {
			applied := map[uint64]bool{}
			for _, p := range c.replicas() {
				s := p.Status()
				if applied[s.Applied] = true; s.Leading && s.Parked == 0 {
					leader = p
				}
			}
			c.still = leader != nil && len(applied) == 1
			return c.still
		})
		c.await("an empty network", func() bool { return len(c.flying) == 0 })
		short, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		if _, err := leader.Get(short, &regionnode.GetRequest{Target: target, Key: keyFor(c.t, c.registerItem(0, "")), Consistent: true}); err != nil {
			leader = nil // it was none any more
		}
		cancel()
	}
	return leader
}

// replicas are everybody's, in the order of nodes; all must be on.
func (c *cutLoad) replicas() (out []*partition.Partition) {
	for _, n := range c.nodes {
		if p, ok := n.life.host.Partition(target.Partition); ok {
			out = append(out, p)
		}
	}
	return out
}

// sumOf reads n and ids of an item that only adding writes.
func (c *cutLoad) sumOf(p *partition.Partition, pk string, k int) (n int64, ids []string) {
	c.t.Helper()
	got, err := p.Get(context.Background(), &regionnode.GetRequest{Target: target, Key: keyFor(c.t, makeItem(pk, fmt.Sprint(k), "")), Consistent: true})
	if err != nil {
		c.t.Fatal(err)
	}
	if got.Item == nil {
		return 0, nil
	}
	it, err := got.Item.Decode()
	if err != nil {
		c.t.Fatal(err)
	}
	v, _ := it.Get("n")
	n, _ = v.Number().Int64()
	list, _ := it.Get("ids")
	for _, id := range list.Elems() {
		ids = append(ids, id.Text())
	}
	return n, ids
}

// checkSums looks for every increment and every transfer.
func (c *cutLoad) checkSums(p *partition.Partition) {
	c.t.Helper()
	var counted []string
	for k := range cutCounters {
		n, ids := c.sumOf(p, "counter", k)
		if n != int64(len(ids)) {
			c.t.Errorf("counter %d is %d after %d increments", k, n, len(ids))
		}
		counted = append(counted, ids...)
	}
	if err := c.counters.Check(counted); err != nil {
		c.t.Error("counters: ", err)
	}
	var moved []string
	total := int64(0)
	for k := range cutAccounts {
		n, ids := c.sumOf(p, "account", k)
		total += n
		for _, id := range ids {
			moved = append(moved, fmt.Sprintf("%s@%d", id, k))
		}
	}
	if total != 0 {
		c.t.Errorf("all accounts together have %d, not 0", total)
	}
	if err := c.transfers.Check(moved); err != nil {
		c.t.Error("transfers: ", err)
	}
}

// checkRemotes wants of every key of another region what was acknowledged, or
// what is newer.
func (c *cutLoad) checkRemotes(p *partition.Partition) {
	c.t.Helper()
	recs, _, err := p.ScanVersions(context.Background(), nil, math.MaxInt, math.MaxInt)
	if err != nil {
		c.t.Fatal(err)
	}
	have := map[string]replication.Record{}
	for _, r := range recs {
		have[string(r.Key)] = r
	}
	for key, version := range c.newest {
		r := have[key]
		if r.Version.Compare(version) < 0 {
			c.t.Errorf("record %v was acknowledged, stored is %v", version, r.Version)
		}
		if want := c.sent[r.Version]; string(want.New) != string(r.New) {
			c.t.Errorf("version %v has %q, sent was %q", r.Version, r.New, want.New)
		}
	}
}

// checkRecords looks for every write of a register in the change log.
func (c *cutLoad) checkRecords(p *partition.Partition) {
	c.t.Helper()
	var found []string
	registers := map[string]bool{}
	for k := range cutRegisters {
		registers[string(keyFor(c.t, c.registerItem(k, "")))] = true
	}
	for _, r := range c.log(p) {
		if registers[string(r.Key)] {
			found = append(found, valueOf(c.t, r.New))
		}
	}
	if err := c.writes.Check(found); err != nil {
		c.t.Error("change records: ", err)
	}
}

// log is a replica's whole change log; one with a hole cannot be read.
func (c *cutLoad) log(p *partition.Partition) []replication.Record {
	c.t.Helper()
	recs, end, err := p.ReadLog(context.Background(), p.LogStart(), math.MaxInt, math.MaxInt)
	if err != nil {
		c.t.Fatal(err)
	}
	if end != p.LogEnd() || p.LogStart().Sequence != 0 || len(recs) != int(end.Sequence) {
		c.t.Errorf("%d change records from %v to %v, which is not %v", len(recs), p.LogStart(), end, p.LogEnd())
	}
	return recs
}

// checkEqual compares all replicas.
func (c *cutLoad) checkEqual() {
	c.t.Helper()
	for {
		leader := c.settle()
		applied := leader.Status().Applied
		var states []string
		for _, p := range c.replicas() {
			recs, _, err := p.ScanVersionsHere(nil, math.MaxInt, math.MaxInt)
			if err != nil {
				c.t.Fatal(err)
			}
			s := p.Status()
			states = append(states, fmt.Sprint(s.Applied, s.Epoch, s.Items, s.Bytes, s.Indexes, s.LogEnd, s.Closed, s.Parked, recs, c.log(p)))
		}
		if leader.Status().Applied != applied {
			continue // it has cut its raft log off
		}
		for i, s := range states {
			if s != states[0] {
				c.t.Errorf("node %d differs from the first:\n%s\n%s", i+1, s, states[0])
			}
		}
		return
	}
}
