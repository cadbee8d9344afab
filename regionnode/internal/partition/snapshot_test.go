package partition_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"antipode/regionnode"
	"antipode/regionnode/internal/keys"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/hlc"
)

// smallParts makes a snapshot of a test many parts.
func smallParts(c *partition.Config) { c.SnapshotPart = 512 }

func (c *cluster) replicaOf(node table.NodeID, id table.PartitionID) *partition.Partition {
	host := c.nodes[node].host.Load()
	if host == nil {
		return nil
	}
	p, _ := host.Partition(id)
	return p
}

// addLearner gives a partition that node 1 leads to another node, and waits for
// it to have caught up.
func (c *cluster) addLearner(id table.PartitionID, t table.ID, node table.NodeID) {
	c.t.Helper()
	lead := c.replicaOf(1, id)
	epoch := lead.Spec().Epoch.Members
	if err := c.nodes[node].host.Load().CreateLearner(context.Background(), id, t, epoch); err != nil {
		c.t.Fatal(err)
	}
	if _, err := lead.ChangeMembers(context.Background(), partition.Change{Epoch: epoch, AddLearners: []table.NodeID{node}}); err != nil {
		c.t.Fatal(err)
	}
	until(c.t, func() bool { return lead.Progress()[node].CaughtUp })
	c.awaitApplied(node, lead)
}

// TestSnapshotHoldsEverything fills partitions of each kind with everything that
// a replica may hold, gives them to another node by snapshot, and compares key by
// key. Then that node leads, and goes on with all of it.
func TestSnapshotHoldsEverything(t *testing.T) {
	ctx := t.Context()
	c := newCluster(t, 2, smallParts)
	create := func(spec partition.Spec) *partition.Partition {
		spec.Members, spec.Epoch.Members = []table.NodeID{1}, 1
		if err := c.nodes[1].host.Load().Create(ctx, spec); err != nil {
			t.Fatal(err)
		}
		p := c.replicaOf(1, spec.ID)
		until(t, func() bool { return p.Status().Leading })
		return p
	}
	items := fullSpec()
	p := create(items)
	id, marked := fillItems(t, p)

	entries := create(partition.Spec{ID: 30, Table: 8, Descriptor: globalDescriptor(1, true), Incarnation: 9, Generation: 40})
	e := &entriesOf{t}
	if err := entries.ApplyIndex(ctx, &regionnode.IndexBatch{
		Target: regionnode.Target{Table: 8, Partition: 30}, Source: 4, Term: 1, Through: 3,
		Changes: []regionnode.IndexChange{e.change(3, "a", true), e.change(3, "b", false)},
	}); err != nil {
		t.Fatal(err)
	}
	raw := create(partition.Spec{ID: 5, Table: 1})
	if err := raw.ApplyRaw(ctx, []partition.RawOp{{Key: []byte("a"), Value: []byte("1"), Unconditional: true}, {Key: []byte("b"), Value: []byte{}, Unconditional: true}}); err != nil {
		t.Fatal(err)
	}

	var seen string
	for _, one := range []*partition.Partition{p, entries, raw} {
		c.addLearner(one.ID(), one.Spec().Table, 2)
		want := dumpReplica(t, c.nodes[1].store, one)
		for _, line := range differences(want, dumpReplica(t, c.nodes[2].store, c.replicaOf(2, one.ID()))) {
			t.Errorf("partition %d: %s", one.ID(), line)
		}
		seen += strings.Join(want, "\n")
	}
	for _, kind := range []string{
		"/descriptor", "/applied", "/position/", "/parked/", "/change/", "/filled/", "/indexed/", "/forget/", "/raw/",
		"/item/", "/index/1/", "/index/2/", "/check/", "/mark/", "/collection/",
	} {
		if !strings.Contains(seen, kind) {
			t.Errorf("the test has nothing at %s", kind)
		}
	}

	before, shards := p.Status(), shardsOf(t, p, "one")
	c.moveTo(3, 2)
	got := c.replicaOf(2, 3)
	for name, pair := range map[string][2]any{
		"positions": {p.Positions(), got.Positions()},
		"shards":    {shards, shardsOf(t, got, "one")},
		"items":     {before.Items, got.Status().Items},
		"indexes":   {before.Indexes, got.Status().Indexes},
		"parked":    {before.Parked, got.Status().Parked},
	} {
		if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	checkIndexes(t, got)
	// The prepared key is still so, and the transaction ends here.
	if marks := got.StalledMarks(time.Now().Add(time.Hour).UnixNano()); len(marks) != 1 || string(marks[0].Key) != string(marked.Key) {
		t.Errorf("marks: %+v", marks)
	}
	if _, err := got.Finish(ctx, &regionnode.FinishRequest{Target: target, ID: id, Commit: true, Keys: [][]byte{marked.Key}}); err != nil {
		t.Fatal(err)
	}
	resp, err := got.Get(ctx, &regionnode.GetRequest{Target: target, Key: marked.Key, Consistent: true})
	if err != nil || resp.Item == nil {
		t.Errorf("what the transaction wrote: %v, %v", resp, err)
	}
}

// moveTo has the learner at node take the place of node 1, the only member.
func (c *cluster) moveTo(id table.PartitionID, node table.NodeID) {
	c.t.Helper()
	old, next := c.replicaOf(1, id), c.replicaOf(node, id)
	_, err := old.ChangeMembers(context.Background(), partition.Change{
		Epoch: old.Spec().Epoch.Members, Promote: []table.NodeID{node}, Remove: []table.NodeID{1},
	})
	var no *partition.CannotChange
	if errors.As(err, &no) {
		c.t.Fatal(err)
	}
	until(c.t, func() bool {
		spec, err := next.ConfirmMembers(context.Background())
		return err == nil && len(spec.Members) == 1
	})
}

// fullSpec is a partition whose table has everything.
func fullSpec() partition.Spec {
	spec := testSpec()
	d := globalDescriptor(1, true)
	d.Locals = indexedDescriptor().Locals
	d.Stream = &table.Stream{Enabled: true, View: "NEW_AND_OLD_IMAGES", Label: "one"}
	spec.Descriptor = d
	spec.Log = partition.LogConfig{On: true, Stream: true, Peers: []replication.Region{"eu-west-1"}}
	return spec
}

// fillItems writes what a partition of items may hold, and leaves a transaction
// prepared.
func fillItems(t *testing.T, p *partition.Partition) (id regionnode.TransactionID, marked regionnode.Write) {
	t.Helper()
	ctx := t.Context()
	for i := range 40 {
		it := indexedItem("a", fmt.Sprintf("%03d", i), i%7)
		write(t, p, regionnode.PutOp, it)
		if i%5 == 0 {
			write(t, p, regionnode.DeleteOp, it)
		}
	}
	now := time.Now().UnixNano()
	ahead := indexedItem("parked", "1", 1)
	for _, wall := range []int64{now - int64(time.Second), now + int64(time.Minute)} {
		if err := p.ApplyRemote(ctx, []replication.Record{{
			Key: keyFor(t, ahead), New: ahead.Encode(),
			Version: replication.Version{Region: "eu-west-1", Time: hlc.Timestamp{Wall: wall}},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	end := p.LogEnd()
	if err := p.SetPosition(ctx, "eu-west-1", end); err != nil {
		t.Fatal(err)
	}
	if err := p.SetIndexPosition(ctx, 8, end); err != nil {
		t.Fatal(err)
	}
	if err := p.SetIndexFilled(ctx, 8, keyFor(t, ahead), false); err != nil {
		t.Fatal(err)
	}
	it := indexedItem("tx", "1", 1)
	marked = regionnode.Write{Op: regionnode.PutOp, Key: keyFor(t, it), Item: it.Encode()}
	prepare := func(row string, w regionnode.Write) regionnode.TransactionID {
		id := regionnode.TransactionID{Row: row, Time: hlc.Timestamp{Wall: time.Now().UnixNano()}}
		resp, err := p.Prepare(ctx, &regionnode.PrepareRequest{Target: target, ID: id, Until: time.Now().Add(time.Minute).UnixNano(), Writes: []regionnode.Write{w}})
		if err != nil || !resp.Votes[0].Marked {
			t.Fatalf("%+v, %v", resp, err)
		}
		return id
	}
	id = prepare("pending", marked) // keeps closed time below the check that follows
	present := indexedItem("a", "001", 1)
	check := regionnode.Write{Op: regionnode.CheckOp, Key: keyFor(t, present), Condition: parseCondition(t, "attribute_exists(pk)", nil)}
	checked := prepare("checked", check)
	if _, err := p.Finish(ctx, &regionnode.FinishRequest{Target: target, ID: checked, Commit: true, Keys: [][]byte{check.Key}}); err != nil {
		t.Fatal(err)
	}
	return id, marked
}

// entriesOf makes changes of the index on v.
type entriesOf struct{ t *testing.T }

func (e *entriesOf) change(sequence uint64, sk string, gone bool) regionnode.IndexChange {
	return (&entries{t: e.t}).change(sequence, sk, "x", 30, gone)
}

// TestSnapshotCrash cuts the power of a node at many moments of receiving a
// snapshot, in place of nothing and in place of an old replica: the disk then
// holds the one or the other, never a mix, and the node catches up.
func TestSnapshotCrash(t *testing.T) {
	for _, percent := range []int{0, 50, 100} {
		for _, stranded := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d/stranded=%v", percent, stranded), func(t *testing.T) {
				crashWhileReceiving(t, stranded, vfs.CrashCloneCfg{
					UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(3, uint64(percent))),
				})
			})
		}
	}
}

func crashWhileReceiving(t *testing.T, stranded bool, cfg vfs.CrashCloneCfg) {
	c := newCluster(t, 2, smallParts)
	c.stop(c.nodes[2])
	c.wrap = func(fs vfs.FS) vfs.FS { return &watchedFS{FS: fs} }
	c.start(c.nodes[2])
	p := c.createFull()
	if stranded {
		c.addLearner(3, 7, 2)
		c.setCut(2, true)
		// What is applied is durable with the next sync only.
		if err := c.nodes[2].store.SetSync(keys.ClockBound(), nil); err != nil {
			t.Fatal(err)
		}
	}
	fillItems(t, p)
	if stranded {
		p.CutLog()
		until(t, func() bool { return len(p.Status().Stranded) > 0 })
	}
	x := &crashes{c: c, p: p, cfg: cfg, deliver: c.sendSnapshot(1), old: c.dump2(p)}
	c.setIntercept(x.intercept)
	if stranded {
		c.setCut(2, false)
		until(t, func() bool { pr := p.Progress()[2]; return pr.Match == pr.Last && pr.Last > 0 })
		c.awaitApplied(2, p)
	} else {
		c.addLearner(3, 7, 2)
	}
	for _, line := range differences(dumpReplica(t, c.nodes[1].store, p), c.dump2(p)) {
		t.Error(line)
	}
	if x.kept < 5 || x.installed == 0 { // an installed one ends the tries
		t.Errorf("%d crashes before, %d after, in %d tries: the test tests little", x.kept, x.installed, x.try)
	}
}

// crashTries is how many transfers in a row end in a crash.
const crashTries = 12

// crashes cuts node 2's power in one transfer after another, each time later:
// between parts, then while the last one is worked in, then behind it.
type crashes struct {
	c       *cluster
	p       *partition.Partition
	cfg     vfs.CrashCloneCfg
	deliver sendFunc
	old     []string // what node 2 held before

	try, number, kept, installed int
}

func (x *crashes) intercept(ctx context.Context, to table.NodeID, part []byte) ([]byte, error) {
	if x.number++; partKind(part) == 1 {
		x.try, x.number = x.try+1, 1
	}
	fs, last := x.c.nodes[2].fs, partKind(part) == 3
	switch {
	case x.try > crashTries:
		return x.deliver(ctx, to, part)
	case x.try <= 4 && x.number == 1+4*(x.try-1) || x.try == 5 && last:
		x.crash(fs.CrashClone(x.cfg))
		return nil, errors.New("down")
	case last && x.try == crashTries:
		x.last(ctx, part)
		x.crash(fs.CrashClone(x.cfg))
		if x.installed == 0 {
			x.c.t.Error("an installed snapshot is lost")
		}
		return nil, errors.New("down")
	case last:
		x.crash(x.whileDelivering(ctx, part))
		return nil, errors.New("down")
	}
	return x.deliver(ctx, to, part)
}

// last delivers the last part to a node that can tell nobody of it: what it has
// told must not be lost.
func (x *crashes) last(ctx context.Context, part []byte) {
	x.c.setCut(2, true)
	_, _ = x.c.nodes[2].host.Load().ReceiveSnapshot(ctx, part)
}

// whileDelivering is the disk at a moment of the last part's delivery, another
// one at each try.
func (x *crashes) whileDelivering(ctx context.Context, part []byte) *vfs.MemFS {
	disk := x.c.nodes[2].disk.(*watchedFS)
	disk.watch(func() *vfs.MemFS { return x.c.nodes[2].fs.CrashClone(x.cfg) })
	x.last(ctx, part)
	clones := disk.watch(nil)
	// The first try's is the first, the last one's the last.
	return clones[(len(clones)-1)*(x.try-6)/(crashTries-7)]
}

// watchedFS takes a copy of the disk before each change of a directory.
type watchedFS struct {
	vfs.FS
	mu     sync.Mutex // a MemFS must not be copied while it links
	copy   func() *vfs.MemFS
	copies []*vfs.MemFS
}

// watch begins or, with nil, ends taking copies, and returns those taken.
func (w *watchedFS) watch(copy func() *vfs.MemFS) []*vfs.MemFS {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.copies
	w.copy, w.copies = copy, nil
	return out
}

func (w *watchedFS) before() {
	if w.copy != nil {
		w.copies = append(w.copies, w.copy())
	}
}

func (w *watchedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before()
	return w.FS.Create(name, c)
}

func (w *watchedFS) Link(old, name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before()
	return w.FS.Link(old, name)
}

func (w *watchedFS) Remove(name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before()
	return w.FS.Remove(name)
}

func (w *watchedFS) OpenDir(name string) (vfs.File, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before()
	return w.FS.OpenDir(name)
}

func (w *watchedFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before()
	return w.FS.ReuseForWrite(old, name, c)
}

// crash starts node 2 anew from a disk, which holds the old or the new replica.
func (x *crashes) crash(disk *vfs.MemFS) {
	x.c.stop(x.c.nodes[2])
	x.c.nodes[2].fs = disk
	x.c.setCut(2, true)
	x.c.start(x.c.nodes[2])
	got, now := x.c.dump2(x.p), dumpReplica(x.c.t, x.c.nodes[1].store, x.p)
	switch fresh := differences(now, got); {
	case len(fresh) == 0:
		x.installed++
		raw, err := x.c.nodes[2].store.GetCopy(keys.HardState(3))
		if term, _ := binary.Uvarint(raw); err != nil || term < x.p.Status().Term {
			x.c.t.Errorf("the replica remembers term %d, and had voted in %d: %v", term, x.p.Status().Term, err)
		}
	case len(differences(x.old, got)) == 0 || x.old == nil && x.c.replicaOf(2, 3).Status().Waiting:
		x.kept++
	default:
		x.c.t.Errorf("a crash at part %d leaves a mix:\n%s", x.number, strings.Join(fresh, "\n"))
	}
	x.c.setCut(2, false)
}

// createFull makes a partition of everything that node 1 leads.
func (c *cluster) createFull() *partition.Partition {
	c.t.Helper()
	c.createOn(fullSpec(), 1)
	p := c.replicaOf(1, 3)
	until(c.t, func() bool { return p.Status().Leading })
	return p
}

// awaitApplied waits until a node's replica has applied what p has.
func (c *cluster) awaitApplied(node table.NodeID, p *partition.Partition) {
	c.t.Helper()
	until(c.t, func() bool {
		r := c.replicaOf(node, p.ID())
		return r != nil && r.Status().Applied == p.Status().Applied
	})
}

// dump2 dumps what node 2 holds of p's partition; nil if it has nothing.
func (c *cluster) dump2(p *partition.Partition) []string {
	c.t.Helper()
	return dumpSpec(c.t, c.nodes[2].store, p.Spec())
}

// partKind is the kind of a snapshot's part: 1 begins, 3 ends it.
func partKind(part []byte) byte { return part[5] }

// TestSnapshotFaults loses, breaks, repeats and swaps parts of snapshots, and
// restarts the receiver between them: what is installed is always the whole.
func TestSnapshotFaults(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	var c *cluster
	faults := map[string]func(ctx context.Context, deliver sendFunc, part []byte) ([]byte, error){
		"lost": func(context.Context, sendFunc, []byte) ([]byte, error) { return nil, errors.New("lost") },
		"answer lost": func(ctx context.Context, deliver sendFunc, part []byte) ([]byte, error) {
			_, _ = deliver(ctx, 2, part)
			return nil, errors.New("lost")
		},
		"broken": func(ctx context.Context, deliver sendFunc, part []byte) ([]byte, error) {
			part[rng.IntN(len(part))] ^= 1 << rng.IntN(8)
			return deliver(ctx, 2, part)
		},
		"torn": func(ctx context.Context, deliver sendFunc, part []byte) ([]byte, error) {
			return deliver(ctx, 2, part[:rng.IntN(len(part))])
		},
		"twice": func(ctx context.Context, deliver sendFunc, part []byte) ([]byte, error) {
			_, _ = deliver(ctx, 2, part)
			return deliver(ctx, 2, part)
		},
		"skipped": func(_ context.Context, _ sendFunc, part []byte) ([]byte, error) {
			if partKind(part) == 3 {
				return nil, errors.New("lost")
			}
			return []byte{1, 1}, nil // as if it had been taken
		},
		"restart": func(ctx context.Context, deliver sendFunc, part []byte) ([]byte, error) {
			c.stop(c.nodes[2])
			c.start(c.nodes[2])
			return deliver(ctx, 2, part)
		},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			c = newCluster(t, 2, smallParts)
			p := c.createFull()
			fillItems(t, p)
			deliver := c.sendSnapshot(1)
			at := []int{2, 1, 5, 30, 12} // of each try, the part that fails
			tries, number := 0, 0
			c.setIntercept(func(ctx context.Context, to table.NodeID, part []byte) ([]byte, error) {
				if partKind(part) == 1 {
					tries, number = tries+1, 0
				}
				number++
				last := partKind(part) == 3
				if tries <= len(at) && number == at[tries-1] || tries == len(at)+1 && last {
					return fault(ctx, deliver, part)
				}
				return deliver(ctx, to, part)
			})
			c.addLearner(3, 7, 2)
			// A second one, over what the first has brought.
			c.setCut(2, true)
			write(t, p, regionnode.PutOp, indexedItem("b", "later", 3))
			write(t, p, regionnode.PutOp, indexedItem("a", "001", 5)) // an index entry moves
			p.CutLog()
			until(t, func() bool { return len(p.Status().Stranded) > 0 })
			c.setCut(2, false)
			until(t, func() bool { pr := p.Progress()[2]; return pr.Match == pr.Last && pr.Last > 0 })
			c.awaitApplied(2, p)
			for _, line := range differences(dumpReplica(t, c.nodes[1].store, p), dumpReplica(t, c.nodes[2].store, c.replicaOf(2, 3))) {
				t.Error(line)
			}
			if tries < 2 {
				t.Errorf("%d tries: the test tests little", tries)
			}
		})
	}
}
