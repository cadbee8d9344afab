package partition_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
	"antipode/replication"
)

// splitRequest asks a fresh partition of testSpec to split.
func splitRequest(p *partition.Partition) partition.SplitRequest {
	g := p.Spec().Generation
	return partition.SplitRequest{
		Range: p.Spec().Epoch.Range, Right: p.ID() + 1, LeftGeneration: g + 1, RightGeneration: g + 2,
	}
}

// at is the target of a partition in force.
func at(p *partition.Partition) regionnode.Target {
	return regionnode.Target{Table: p.Spec().Table, Partition: p.ID(), Range: p.Spec().Epoch.Range}
}

// owner is the partition of ps that has a key.
func owner(t testing.TB, ps []*partition.Partition, key []byte) *partition.Partition {
	t.Helper()
	for _, p := range ps {
		s, hash := p.Spec(), binary.BigEndian.Uint64(key)
		if hash >= s.Start && (s.End == 0 || hash < s.End) {
			return p
		}
	}
	t.Fatalf("nobody has %x", key)
	return nil
}

func putItem(t testing.TB, ps []*partition.Partition, it item.Item) {
	t.Helper()
	key := keyFor(t, it)
	p := owner(t, ps, key)
	_, err := p.Write(context.Background(), &regionnode.WriteRequest{Target: at(p), Write: regionnode.Write{
		Op: regionnode.PutOp, Key: key, Item: it.Encode(),
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSplit splits a partition with local indexes and a change log, writes on
// both sides and starts again.
func TestSplit(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, vfs.NewMem())
	left := createPartition(t, w, indexedSpec())
	ps := []*partition.Partition{left}
	for i := range 60 {
		putItem(t, ps, indexedItem(fmt.Sprint("p", i%20), fmt.Sprint(i), i%3))
	}
	if err := left.SetPosition(ctx, "eu-west-1", left.LogStart()); err != nil {
		t.Fatal(err)
	}
	r := splitRequest(left)
	res, err := left.Split(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	right, ok := w.host.Partition(4)
	if !ok {
		t.Fatal("no right child")
	}
	ps = append(ps, right)
	if again, err := left.Split(ctx, r); err != nil || again != res {
		t.Fatalf("the same request answers %+v, %v after %+v", again, err, res)
	}
	check := func() {
		t.Helper()
		for _, p := range ps {
			checkIndexes(t, p)
		}
		l, r := left.Status(), right.Status()
		if l.Items+r.Items != 60 || l.Items < 20 || r.Items < 20 {
			t.Fatalf("%d and %d items", l.Items, r.Items)
		}
	}
	check()
	for i := range 60 {
		putItem(t, ps, indexedItem(fmt.Sprint("p", i%20), fmt.Sprint(i), i%5))
	}
	check()
	if at := right.Positions()["eu-west-1"]; at != (replication.Position{Incarnation: 9, Generation: 6, Sequence: 60}) {
		t.Fatalf("the right child's reader begins at %+v", at)
	}
	w.stop()
	w.start()
	left, _ = w.host.Partition(3)
	right, _ = w.host.Partition(4)
	ps = []*partition.Partition{left, right}
	check()
}

// TestSplitCrash cuts the power around a split that only the raft log has on disk:
// right behind it, behind writes to the right child, and while both children
// write. What was acknowledged is there, and the split is done once.
func TestSplitCrash(t *testing.T) {
	for _, percent := range []int{0, 50, 100} {
		for _, writes := range []int{0, 1, 30} {
			t.Run(fmt.Sprintf("unsynced=%d,writes=%d", percent, writes), func(t *testing.T) {
				splitCrash(t, vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(1, uint64(writes)))}, writes)
			})
		}
	}
}

func splitCrash(t *testing.T, cfg vfs.CrashCloneCfg, writes int) {
	ctx := context.Background()
	fs := vfs.NewCrashableMem()
	w := newWorld(t, fs)
	left := createPartition(t, w, indexedSpec())
	ps := []*partition.Partition{left}
	put := func(i, n int) {
		putItem(t, ps, indexedItem(fmt.Sprint("p", i%20), fmt.Sprint(i), 1).Set("v", item.Str(fmt.Sprint(n))))
	}
	for i := range 40 {
		put(i, 0)
	}
	before := fs.CrashClone(cfg)
	r := splitRequest(left)
	res, err := left.Split(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	right, _ := w.host.Partition(4)
	ps = append(ps, right)
	for i := range writes {
		put(i, 1)
	}
	after := fs.CrashClone(cfg)
	w.stop()
	for _, disk := range []*vfs.MemFS{before, after} {
		w := newWorld(t, disk)
		left, _ := w.host.Partition(3)
		// It was acknowledged, or is done now.
		if again, err := left.Split(ctx, r); err != nil || disk == after && again != res {
			t.Fatalf("the request again: %+v, %v, after %+v", again, err, res)
		}
		right, ok := w.host.Partition(4)
		if !ok {
			t.Fatal("no right child")
		}
		ps = []*partition.Partition{left, right}
		items := 0
		for _, p := range ps {
			checkIndexes(t, p)
			for _, e := range scanAll(t, p, 0, false) {
				items++
				sk, _, _ := e.Get("sk")
				i, _ := strconv.Atoi(sk.Text())
				v, _, _ := e.Get("v")
				if want := disk == after && i < writes; (v.Text() == "1") != want {
					t.Errorf("item %d has %s", i, v.Text())
				}
			}
		}
		if items != 40 {
			t.Errorf("%d items", items)
		}
		checkLineage(t, ps)
		for i := range 40 {
			put(i, 2)
		}
		checkLineage(t, ps)
		w.stop()
	}
}

// TestSplitCounts splits under load and checks that the counts are exact: once
// slowly, so that most of the writes come while the right half is being counted,
// then often, so that some come when the split is proposed. No write fails, but
// for those that have to find the right child.
func TestSplitCounts(t *testing.T) {
	splitCounts(t, 10<<20, 100_000)
	for range 12 {
		splitCounts(t, 1<<30, 100)
	}
}

func splitCounts(t *testing.T, rate int64, size int) {
	w := newWorld(t, vfs.NewMem())
	defer w.stop()
	w.stop()
	w.change = func(c *partition.Config) { c.SplitScanBytes = rate }
	w.start()
	left := createPartition(t, w, indexedSpec())
	big := item.Str(strings.Repeat("x", size))
	for i := range 60 {
		putItem(t, []*partition.Partition{left}, indexedItem(fmt.Sprint("p", i), "s", 1).Set("v", big))
	}
	ctx := context.Background()
	var stop atomic.Bool // a write that is given up could still take effect
	var work sync.WaitGroup
	var wrote atomic.Int64
	for i := range 4 {
		random := rand.New(rand.NewPCG(1, uint64(i)))
		work.Go(func() {
			for !stop.Load() {
				ps := []*partition.Partition{left}
				if right, ok := w.host.Partition(4); ok {
					ps = append(ps, right)
				}
				it := indexedItem(fmt.Sprint("p", random.IntN(100)), fmt.Sprint("s", i), random.IntN(3))
				op := regionnode.Write{Op: regionnode.PutOp, Key: keyFor(t, it), Item: it.Encode()}
				if random.IntN(3) == 0 {
					op.Op, op.Item = regionnode.DeleteOp, nil
				}
				target := at(left)
				for _, p := range ps {
					if s := p.Spec(); table.Hash(op.Key) >= s.Start && (s.End == 0 || table.Hash(op.Key) < s.End) {
						target = at(p)
					}
				}
				p, _ := w.host.Partition(target.Partition)
				_, err := p.Write(ctx, &regionnode.WriteRequest{Target: target, Write: op})
				if err != nil && !isStale(err) {
					t.Error(err)
					return
				}
				wrote.Add(1)
			}
		})
	}
	for wrote.Load() < 50 {
		runtime.Gosched() // the load is on
	}
	r := splitRequest(left)
	began := wrote.Load()
	if _, err := left.Split(ctx, r); err != nil {
		t.Error(err)
	}
	counted := wrote.Load()
	for wrote.Load() < counted+200 {
		runtime.Gosched() // both children are written to
	}
	stop.Store(true)
	work.Wait()
	right, _ := w.host.Partition(4)
	for _, p := range []*partition.Partition{left, right} {
		checkIndexes(t, p)
		if n := len(scanAll(t, p, 0, false)); n < 5 {
			t.Errorf("partition %d has %d items", p.ID(), n)
		}
	}
	t.Logf("%d writes during the split", counted-began)
}

// TestSplitByLoad splits where the requests are, not where the items are.
func TestSplitByLoad(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, vfs.NewMem())
	left := createPartition(t, w, testSpec())
	ps := []*partition.Partition{left}
	var keys [][]byte
	for i := range 200 {
		it := makeItem(fmt.Sprint("p", i), "s", "x")
		putItem(t, ps, it)
		keys = append(keys, keyFor(t, it))
	}
	slices.SortFunc(keys, bytes.Compare)
	for range 40 {
		for _, key := range keys[150:] { // the last quarter is hot
			if _, err := left.Get(ctx, &regionnode.GetRequest{Target: at(left), Key: key}); err != nil {
				t.Fatal(err)
			}
		}
	}
	r := splitRequest(left)
	r.ByLoad = true
	res, err := left.Split(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	if res.At < table.Hash(keys[160]) || res.At > table.Hash(keys[190]) {
		t.Errorf("split at %x; the middle of the load is %x", res.At, table.Hash(keys[175]))
	}
	for range 20_000 {
		if _, err := left.Get(ctx, &regionnode.GetRequest{Target: at(left), Key: keys[0]}); err != nil {
			t.Fatal(err)
		}
	}
	r = splitRequest(left)
	r.Right, r.LeftGeneration, r.RightGeneration, r.ByLoad = 5, 20, 21, true
	var refused *partition.CannotSplit
	if _, err := left.Split(ctx, r); !errors.As(err, &refused) || !refused.Never {
		t.Errorf("split for one hot key: %v", err)
	}
}

// TestSplitLagging has a member away while the group splits, again and again, and
// starts it anew before it hears of it. It makes the same children in turn; then
// the leader goes, and what was written is there.
func TestSplitLagging(t *testing.T) {
	c := newCluster(t, 3)
	c.create(testSpec())
	ctx := context.Background()
	put := func(of func(key []byte) table.PartitionID, i int) {
		t.Helper()
		it := makeItem(fmt.Sprint("p", i), "s", "x")
		key := keyFor(t, it)
		c.on(of(key), func(p *partition.Partition) error {
			_, err := p.Write(ctx, &regionnode.WriteRequest{Target: at(p), Write: regionnode.Write{Op: regionnode.PutOp, Key: key, Item: it.Encode()}})
			return err
		})
	}
	whole := func([]byte) table.PartitionID { return 3 }
	for i := range 40 {
		put(whole, i)
	}
	away := c.leader()%3 + 1
	c.setCut(away, true)
	bounds := []uint64{0}
	ids := []table.PartitionID{3}
	for n := range 3 {
		var res partition.SplitResult
		right := table.PartitionID(10 + n)
		c.on(3, func(p *partition.Partition) (err error) {
			res, err = p.Split(ctx, partition.SplitRequest{
				Range: uint32(n), Right: right,
				LeftGeneration: replication.Generation(10 + 2*n), RightGeneration: replication.Generation(11 + 2*n),
			})
			return err
		})
		bounds, ids = slices.Insert(bounds, 1, res.At), slices.Insert(ids, 1, right)
	}
	of := func(key []byte) table.PartitionID {
		return ids[sort.Search(len(bounds), func(i int) bool { return bounds[i] > table.Hash(key) })-1]
	}
	for i := range 80 {
		put(of, i)
	}
	node := c.nodes[away]
	c.stop(node)
	c.start(node)
	c.setCut(away, false)
	for _, id := range ids {
		c.caughtUp(id)
	}
	// Whoever leads now goes away: the one that was away is needed.
	gone := c.leader()
	c.setCut(gone, true)
	for i := range 80 {
		it := makeItem(fmt.Sprint("p", i), "s", "x")
		key := keyFor(t, it)
		c.on(of(key), func(p *partition.Partition) error {
			got, err := p.Get(ctx, &regionnode.GetRequest{Target: at(p), Key: key, Consistent: true})
			if err == nil && got.Item == nil {
				t.Errorf("item %d is gone", i)
			}
			return err
		})
	}
	c.setCut(gone, false)
	for _, id := range ids {
		c.caughtUp(id)
	}
}

// on has f done by whoever leads a partition and is not cut off.
func (c *cluster) on(id table.PartitionID, f func(p *partition.Partition) error) {
	c.t.Helper()
	for {
		for n := range c.nodes {
			c.mu.Lock()
			cut := c.cut[n]
			c.mu.Unlock()
			host := c.nodes[n].host.Load()
			p, ok := host.Partition(id)
			if cut || !ok || !p.Status().Leading {
				continue
			}
			err := f(p)
			var notLeader *regionnode.NotLeader
			if err == nil {
				return
			}
			if !errors.As(err, &notLeader) {
				c.t.Fatal(err)
			}
		}
		runtime.Gosched() // nothing tells of leaders of every partition
	}
}

// caughtUp waits until all members of a partition have applied the same, and
// compares what they have.
func (c *cluster) caughtUp(id table.PartitionID) {
	c.t.Helper()
	for {
		var states []string
		for n := range c.nodes {
			p, ok := c.nodes[n].host.Load().Partition(id)
			if !ok {
				break
			}
			before := p.Status()
			recs, _, err := p.ScanVersionsHere(nil, 1<<20, 1<<30)
			if err != nil {
				c.t.Fatal(err)
			}
			if s := p.Status(); s.Applied == before.Applied {
				states = append(states, fmt.Sprint(s.Applied, s.Epoch, s.Items, s.Bytes, s.LogEnd, s.Closed, recs, p.Spec().Closed))
			}
		}
		if len(states) == len(c.nodes) && len(slices.Compact(states)) == 1 {
			return
		}
		runtime.Gosched() // replicas apply on their own
	}
}
