package partition_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"sync"
	"testing"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/hlc"
)

var splitcuts = flag.Int("splitcuts", 6, "seeds of TestSplitPowerCut")

// TestSplitPowerCut splits and splits again while clients write, single nodes
// lose network or power, and all lose their power at once. Afterwards all that
// was acknowledged is there, once; every partition's counters are exact and its
// replicas equal; and the change logs, read over the lineage, say of every key
// what happened to it, in order and without a gap (I1, I2, I3, I4).
func TestSplitPowerCut(t *testing.T) {
	for seed := uint64(1); seed <= uint64(*splitcuts); seed++ {
		members := 3
		if seed%3 == 0 {
			members = 1
		}
		t.Run(fmt.Sprintf("seed=%d,members=%d", seed, members), func(t *testing.T) { splitCuts(t, seed, members) })
	}
}

// splitLoad is a catalog of partitions with clients that write to them.
type splitLoad struct {
	*cutWorld

	mu    sync.Mutex // below cutWorld.mu
	rows  []splitRow // by hash
	next  uint64     // the next new id of a partition or a generation
	step  int        // names what is written once
	tried map[string]int
	acked map[string]int // by key, what a client was told last
	open  map[regionnode.TransactionID]decision
	done  int // splits
}

type splitRow struct {
	id    table.PartitionID
	start uint64
	epoch uint32
}

func splitCuts(t *testing.T, seed uint64, members int) {
	w := newCutWorld(t, seed, members)
	spec := indexedSpec()
	spec.Log.Tombstones = true
	spec.Members = nil
	for _, n := range w.nodes {
		spec.Members = append(spec.Members, n.id)
	}
	for _, n := range w.nodes {
		if err := n.life.host.Create(context.Background(), spec); err != nil {
			t.Fatal(err)
		}
	}
	l := &splitLoad{
		cutWorld: w, rows: []splitRow{{id: spec.ID}}, next: 100,
		tried: map[string]int{}, acked: map[string]int{}, open: map[regionnode.TransactionID]decision{},
	}
	plan := rand.New(rand.NewPCG(seed, 2))
	for range 3 {
		if l.round(plan); t.Failed() {
			return
		}
	}
	t.Logf("%d splits, %d acknowledgements, %d ticks", l.done, w.acks, w.ticks)
}

func (l *splitLoad) round(plan *rand.Rand) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var clients sync.WaitGroup
	for i, one := range []func(context.Context, *rand.Rand, int){l.count, l.count, l.count, l.transfer, l.remote, l.split} {
		random := rand.New(rand.NewPCG(plan.Uint64(), uint64(i)))
		clients.Go(func() {
			for ctx.Err() == nil {
				one(ctx, random, i)
			}
		})
	}
	c := &cutLoad{cutWorld: l.cutWorld}
	c.progress(20 + plan.IntN(60))
	if l.members > 1 {
		c.disturb(plan)
	}
	l.pause(plan.IntN(5))
	cancel()
	l.cut([]int{0, 0, 50, 100}[plan.IntN(4)], l.nodes...)
	clients.Wait()
	l.verify()
}

// at is the row that has a key.
func (l *splitLoad) at(key []byte) splitRow {
	l.mu.Lock()
	defer l.mu.Unlock()
	hash := table.Hash(key)
	i := sort.Search(len(l.rows), func(i int) bool { return l.rows[i].start > hash })
	return l.rows[i-1]
}

// to has f done by the leader of the partition that row tells, looked up anew for
// every attempt. A node that has not heard of the partition yet is passed by.
func (l *splitLoad) to(ctx context.Context, at int, row func() splitRow, f func(context.Context, *life, *partition.Partition, regionnode.Target) error) error {
	for ; ctx.Err() == nil; at++ {
		n, r := l.nodes[at%len(l.nodes)], row()
		one, life, end := l.begin(n)
		if life == nil {
			l.wait()
			continue
		}
		p, ok := life.host.Partition(r.id)
		if !ok {
			end()
			l.wait()
			continue
		}
		err := f(one, life, p, regionnode.Target{Table: 7, Partition: r.id, Range: r.epoch})
		var notLeader *regionnode.NotLeader
		var stale *regionnode.Stale
		switch heard := end(); {
		case !heard:
			return errDead
		case errors.As(err, &notLeader), errors.As(err, &stale):
			l.wait()
		default:
			return err
		}
	}
	return ctx.Err()
}

const splitKeys = 24

func (l *splitLoad) countItem(k, n int) item.Item {
	return indexedItem(fmt.Sprint("count", k), "s", n%4).Set("v", item.Str(strconv.Itoa(n)))
}

// count writes the next number to one of a client's keys, or deletes it; what it
// replaces must be what the client wrote before.
func (l *splitLoad) count(ctx context.Context, random *rand.Rand, client int) {
	k := random.IntN(splitKeys)/3*3 + client
	it := l.countItem(k, 0)
	key := keyFor(l.t, it)
	l.mu.Lock()
	l.tried[string(key)]++
	n := l.tried[string(key)]
	l.mu.Unlock()
	w := regionnode.Write{Op: regionnode.PutOp, Key: key, Item: l.countItem(k, n).Encode()}
	err := l.to(ctx, random.IntN(3), func() splitRow { return l.at(key) },
		func(ctx context.Context, _ *life, p *partition.Partition, target regionnode.Target) error {
			_, err := p.Write(ctx, &regionnode.WriteRequest{Target: target, Write: w})
			return err
		})
	if err == nil {
		l.mu.Lock()
		l.acked[string(key)] = n
		l.mu.Unlock()
		l.set(func() { l.acks++ })
	}
}

func (l *splitLoad) account(k, n int) item.Item {
	return makeItem(fmt.Sprint("account", k), "s", strconv.Itoa(n))
}

// transfer writes one number to two keys, which may lie in two partitions, or to
// none of them.
func (l *splitLoad) transfer(ctx context.Context, random *rand.Rand, _ int) {
	a := random.IntN(4) * 2
	l.mu.Lock()
	l.step++
	n := l.step
	l.mu.Unlock()
	var id regionnode.TransactionID
	d := decision{commit: true}
	for _, k := range []int{a, a + 1} {
		it := l.account(k, n)
		key := keyFor(l.t, it)
		d.keys = append(d.keys, key)
		err := l.to(ctx, random.IntN(3), func() splitRow { return l.at(key) },
			func(ctx context.Context, life *life, p *partition.Partition, target regionnode.Target) error {
				if id.Row == "" {
					id = regionnode.TransactionID{Row: fmt.Sprint("t", n), Time: life.clock.Now()}
				}
				resp, err := p.Prepare(ctx, &regionnode.PrepareRequest{
					Target: target, ID: id, Until: l.phys.Load() + int64(time.Minute),
					Writes: []regionnode.Write{{Op: regionnode.PutOp, Key: key, Item: it.Encode()}},
				})
				if err == nil && !resp.Votes[0].Marked {
					return apierr.New(apierr.TransactionConflict, "refused")
				}
				return err
			})
		if d.commit = err == nil; !d.commit {
			break
		}
	}
	if id.Row == "" {
		return
	}
	l.mu.Lock()
	l.open[id] = d
	l.mu.Unlock()
	if l.finish(ctx, random.IntN(3), id, d) {
		l.set(func() { l.acks++ })
	}
}

// finish ends a transaction everywhere; false when that is not known.
func (l *splitLoad) finish(ctx context.Context, at int, id regionnode.TransactionID, d decision) bool {
	for _, key := range d.keys {
		err := l.to(ctx, at, func() splitRow { return l.at(key) },
			func(ctx context.Context, _ *life, p *partition.Partition, target regionnode.Target) error {
				_, err := p.Finish(ctx, &regionnode.FinishRequest{Target: target, ID: id, Commit: d.commit, Keys: [][]byte{key}})
				return err
			})
		if err != nil {
			return false
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, id)
	return true
}

// remote brings a record of another region, now and then from a clock too far
// ahead.
func (l *splitLoad) remote(ctx context.Context, random *rand.Rand, _ int) {
	l.mu.Lock()
	l.step++
	n := l.step
	l.mu.Unlock()
	it := makeItem(fmt.Sprint("remote", random.IntN(6)), "s", strconv.Itoa(n))
	rec := replication.Record{
		Key: keyFor(l.t, it), New: it.Encode(),
		Version: replication.Version{Region: "eu-west-1", Time: hlc.Timestamp{Wall: l.phys.Load(), Logical: uint32(n)}},
	}
	if random.IntN(6) == 0 {
		rec.Version.Time.Wall += int64(800 * time.Millisecond)
	}
	err := l.to(ctx, random.IntN(3), func() splitRow { return l.at(rec.Key) },
		func(ctx context.Context, _ *life, p *partition.Partition, _ regionnode.Target) error {
			return p.ApplyRemote(ctx, []replication.Record{rec})
		})
	if err == nil {
		l.set(func() { l.acks++ })
	}
}

// split splits any partition, as a catalog does: what it intends it brings to an
// end, whatever happens meanwhile.
func (l *splitLoad) split(ctx context.Context, random *rand.Rand, _ int) {
	l.pause(random.IntN(60))
	l.mu.Lock()
	row := l.rows[random.IntN(len(l.rows))]
	r := partition.SplitRequest{
		Range: row.epoch, Right: table.PartitionID(l.next), ByLoad: random.IntN(2) == 0,
		LeftGeneration: replication.Generation(l.next + 1), RightGeneration: replication.Generation(l.next + 2),
	}
	l.next += 3
	full := len(l.rows) > 10
	l.mu.Unlock()
	if full {
		return
	}
	cancel := random.IntN(6) == 0
	var done *partition.SplitResult
	for known := false; !known; {
		// Not ctx: an intent outlives who had it.
		err := l.to(context.Background(), random.IntN(3), func() splitRow { return row },
			func(ctx context.Context, _ *life, p *partition.Partition, _ regionnode.Target) (err error) {
				if cancel {
					done, err = p.CancelSplit(ctx, r)
					return err
				}
				res, err := p.Split(ctx, r)
				if err == nil {
					done = &res
				}
				return err
			})
		var refused *partition.CannotSplit
		known = err == nil
		cancel = cancel || errors.As(err, &refused)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.rows, func(x splitRow) bool { return x.id == row.id })
	l.rows[i].epoch++
	if done != nil {
		l.rows = slices.Insert(l.rows, i+1, splitRow{id: r.Right, start: done.At, epoch: l.rows[i].epoch})
		l.done++
	}
}

// verify lets all groups settle without clients and compares what they have with
// what clients were told.
func (l *splitLoad) verify() {
	l.t.Helper()
	ctx := context.Background()
	l.set(func() { l.calm = true })
	defer l.set(func() { l.calm, l.still = false, false })
	for id, d := range l.open {
		for !l.finish(ctx, 0, id, d) {
			l.wait()
		}
	}
	l.phys.Add(int64(2 * time.Second)) // nothing is from the future any more
	leaders := l.settle()
	if l.t.Failed() {
		return
	}
	for _, p := range leaders {
		checkIndexes(l.t, p)
		if left := p.StalledMarks(math.MaxInt64); len(left) > 0 {
			l.t.Errorf("partition %d: marks of transactions that are over: %v", p.ID(), left)
		}
	}
	l.checkCounts(leaders)
	l.checkTransfers(leaders)
	checkLineage(l.t, leaders)
	l.checkEqual()
}

// settle stops raft's time under leaders of all partitions that everybody has
// caught up with.
func (l *splitLoad) settle() (leaders []*partition.Partition) {
	l.t.Helper()
	for leaders == nil {
		l.set(func() { l.still = false })
		l.await("everybody has caught up with the leaders", func() bool {
			leaders = leaders[:0]
			for _, row := range l.rows {
				applied := map[uint64]bool{}
				for _, n := range l.nodes {
					p, ok := n.life.host.Partition(row.id)
					if !ok {
						return false
					}
					s := p.Status()
					if applied[s.Applied] = true; s.Leading && s.Parked == 0 {
						leaders = append(leaders, p)
					}
				}
				if len(applied) > 1 {
					return false
				}
			}
			l.still = len(leaders) == len(l.rows)
			return l.still
		})
		l.await("an empty network", func() bool { return len(l.flying) == 0 })
		for _, p := range leaders {
			short, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			if _, err := p.Range(short, &regionnode.RangeRequest{Target: at(p), Consistent: true, Limit: 1}); err != nil {
				leaders = nil // it was none any more
			}
			cancel()
			if leaders == nil {
				break
			}
		}
	}
	return leaders
}

func (l *splitLoad) checkCounts(leaders []*partition.Partition) {
	l.t.Helper()
	for key, tried := range l.tried {
		p := owner(l.t, leaders, []byte(key))
		got, err := p.Get(context.Background(), &regionnode.GetRequest{Target: at(p), Key: []byte(key), Consistent: true})
		if err != nil {
			l.t.Fatal(err)
		}
		n, _ := strconv.Atoi(valueOf(l.t, got.Item))
		if n < l.acked[key] || n > tried {
			l.t.Errorf("partition %d has %d under %q; acknowledged was %d, tried %d", p.ID(), n, key, l.acked[key], tried)
		}
	}
}

// checkTransfers wants the same number in both accounts of a pair.
func (l *splitLoad) checkTransfers(leaders []*partition.Partition) {
	l.t.Helper()
	for k := 0; k < 8; k += 2 {
		var found [2]string
		for i := range found {
			key := keyFor(l.t, l.account(k+i, 0))
			p := owner(l.t, leaders, key)
			got, err := p.Get(context.Background(), &regionnode.GetRequest{Target: at(p), Key: key, Consistent: true})
			if err != nil {
				l.t.Fatal(err)
			}
			found[i] = valueOf(l.t, got.Item)
		}
		if found[0] != found[1] {
			l.t.Errorf("accounts %d and %d have %q", k, k+1, found)
		}
	}
}

// wholeLog reads a partition's change log over its generations.
func wholeLog(t testing.TB, p *partition.Partition) (out []replication.Record) {
	t.Helper()
	for pos := p.LogStart(); pos != p.LogEnd(); {
		recs, end, err := p.ReadLog(context.Background(), pos, 100, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(recs) > 0 && recs[0].Sequence != pos.Sequence+1 {
			t.Fatalf("partition %d: record %d behind %d", p.ID(), recs[0].Sequence, pos.Sequence)
		}
		out, pos = append(out, recs...), end
	}
	return out
}

// checkLineage replays the change logs of all partitions, key by key in the order
// of sequences, which grow over splits: each change begins with what the one
// before left, and the last left what is stored.
func checkLineage(t testing.TB, ps []*partition.Partition) {
	t.Helper()
	byKey := map[string][]replication.Record{}
	for _, p := range ps {
		for _, r := range wholeLog(t, p) {
			byKey[string(r.Key)] = append(byKey[string(r.Key)], r)
		}
	}
	images := map[string][]byte{}
	for key, recs := range byKey {
		slices.SortFunc(recs, func(a, b replication.Record) int { return int(a.Sequence) - int(b.Sequence) })
		for i, r := range recs {
			if !bytes.Equal(r.Old, images[key]) {
				t.Errorf("change %d of %q begins with %q, the one before left %q", r.Sequence, key, r.Old, images[key])
			}
			if i > 0 && recs[i-1].Version.Compare(r.Version) >= 0 {
				t.Errorf("change %d of %q is not newer than %d", r.Sequence, key, recs[i-1].Sequence)
			}
			images[key] = r.New
		}
	}
	for _, p := range ps {
		recs, _, err := p.ScanVersionsHere(nil, math.MaxInt, math.MaxInt)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range recs {
			if !bytes.Equal(images[string(r.Key)], r.New) {
				t.Errorf("partition %d stores %q under %q, the logs say %q", p.ID(), r.New, r.Key, images[string(r.Key)])
			}
			delete(images, string(r.Key))
		}
	}
	for key, image := range images {
		if len(image) > 0 {
			t.Errorf("%q is in the logs, not in the table", key)
		}
	}
}

// checkEqual compares all replicas.
func (l *splitLoad) checkEqual() {
	l.t.Helper()
	for again := true; again; {
		leaders := l.settle()
		again = false
		for _, leader := range leaders {
			applied := leader.Status().Applied
			var states []string
			for _, n := range l.nodes {
				p, _ := n.life.host.Partition(leader.ID())
				recs, _, err := p.ScanVersionsHere(nil, math.MaxInt, math.MaxInt)
				if err != nil {
					l.t.Fatal(err)
				}
				s := p.Status()
				states = append(states, fmt.Sprint(s.Applied, s.Epoch, s.Items, s.Bytes, s.Indexes, s.LogEnd, s.Closed, s.Parked, recs, wholeLog(l.t, p)))
			}
			if leader.Status().Applied != applied {
				again = true // it has cut its raft log off
				break
			}
			for i, s := range states {
				if s != states[0] {
					l.t.Errorf("partition %d: node %d differs from the first:\n%s\n%s", leader.ID(), i+1, s, states[0])
				}
			}
		}
	}
}
