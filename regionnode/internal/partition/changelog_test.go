package partition_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode"
	"antipode/regionnode/internal/partition"
	"antipode/replication"
)

func createPartition(t testing.TB, w *world, spec partition.Spec) *partition.Partition {
	t.Helper()
	if err := w.host.Create(context.Background(), spec); err != nil {
		t.Fatal(err)
	}
	p, ok := w.host.Partition(spec.ID)
	if !ok {
		t.Fatal("no partition")
	}
	return p
}

// putMany writes n new items in batches.
func putMany(t testing.TB, p *partition.Partition, prefix string, n int) {
	t.Helper()
	for i := 0; i < n; {
		r := &regionnode.BatchWriteRequest{Target: target}
		for ; i < n && len(r.Writes) < 200; i++ {
			it := makeItem("a", fmt.Sprintf("%s%06d", prefix, i), "x")
			r.Writes = append(r.Writes, regionnode.Write{Op: regionnode.PutOp, Key: keyFor(t, it), Item: it.Encode()})
		}
		resp, err := p.BatchWrite(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, res := range resp.Results {
			if res.Error != nil {
				t.Fatal(res.Error)
			}
		}
	}
}

// TestTrim moves two readers' positions: the log goes only where both have
// passed, positions survive a restart, and what is trimmed is refused.
func TestTrim(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, vfs.NewMem())
	spec := testSpec()
	spec.Log = partition.LogConfig{On: true, Peers: []replication.Region{"a", "b"}}
	p := createPartition(t, w, spec)
	start := p.LogEnd()
	putMany(t, p, "", 3000)
	end := p.LogEnd()
	if end.Sequence != start.Sequence+3000 {
		t.Fatalf("log ends at %d", end.Sequence)
	}
	if err := p.SetPosition(ctx, "a", end); err != nil {
		t.Fatal(err)
	}
	if p.LogStart() != start {
		t.Fatalf("trimmed to %d before b has read", p.LogStart().Sequence)
	}
	half := end
	half.Sequence = 2000
	if err := p.SetPosition(ctx, "b", half); err != nil {
		t.Fatal(err)
	}
	if p.LogStart() != half {
		t.Fatalf("trimmed to %d, want %d", p.LogStart().Sequence, half.Sequence)
	}
	if err := p.SetPosition(ctx, "a", half); err != nil {
		t.Fatal(err)
	}
	if got := p.Positions(); got["a"] != end || got["b"] != half {
		t.Fatalf("positions %v", got)
	}
	w.stop()
	w.start()
	p, _ = w.host.Partition(spec.ID)
	if got := p.Positions(); got["a"] != end || got["b"] != half {
		t.Fatalf("positions after a restart %v", got)
	}
	if _, _, err := p.ReadLog(ctx, start, 10, 1<<20); !errors.Is(err, partition.ErrPosition) {
		t.Fatalf("read of what is trimmed: %v", err)
	}
	recs, at, err := p.ReadLog(ctx, half, 10, 1<<20)
	if err != nil || len(recs) != 10 || at.Sequence != 2010 || recs[0].Sequence != 2001 {
		t.Fatal(len(recs), at, err)
	}
	other := half
	other.Incarnation++
	for name, err := range map[string]error{
		"position beyond the end":    p.SetPosition(ctx, "b", replication.Position{Incarnation: end.Incarnation, Generation: end.Generation, Sequence: 3001}),
		"another incarnation":        p.SetPosition(ctx, "b", other),
		"position of another reader": p.SetPosition(ctx, "c", end),
	} {
		if err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

// TestStreamRetention keeps records for 24 hours when a stream reads them.
func TestStreamRetention(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, vfs.NewMem())
	spec := testSpec()
	spec.Log = partition.LogConfig{On: true, Stream: true, Peers: []replication.Region{"a"}}
	p := createPartition(t, w, spec)
	putMany(t, p, "old", 1500)
	w.phys.Advance(25 * time.Hour)
	putMany(t, p, "new", 100)
	if err := p.SetPosition(ctx, "a", p.LogEnd()); err != nil {
		t.Fatal(err)
	}
	if got := p.LogStart().Sequence; got != 1500 {
		t.Fatalf("trimmed to %d", got)
	}
}

// TestConfigureLog switches the log on and off: records and tombstones are
// written while it is on, and readers leave with it.
func TestConfigureLog(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, vfs.NewMem())
	p := createPartition(t, w, testSpec())
	putMany(t, p, "", 1)
	if p.LogEnd().Sequence != 0 {
		t.Fatal("logged while off")
	}
	on := partition.LogConfig{On: true, Peers: []replication.Region{"a"}}
	if err := p.ConfigureLog(ctx, on); err != nil {
		t.Fatal(err)
	}
	changed := p.LogChanged(p.LogEnd())
	gone := makeItem("a", "000000", "x")
	if _, err := p.Write(ctx, &regionnode.WriteRequest{Target: target, Write: regionnode.Write{Op: regionnode.DeleteOp, Key: keyFor(t, gone)}}); err != nil {
		t.Fatal(err)
	}
	<-changed
	recs, _, err := p.ReadLog(ctx, p.LogStart(), 10, 1<<20)
	if err != nil || len(recs) != 1 || !recs[0].Delete || string(recs[0].Old) != string(gone.Encode()) {
		t.Fatal(recs, err)
	}
	stored, _, err := p.ScanVersions(ctx, nil, 10, 1<<30)
	if err != nil || len(stored) != 1 || !stored[0].Delete || stored[0].Version != recs[0].Version {
		t.Fatal(stored, err)
	}
	if err := p.SetPosition(ctx, "a", p.LogEnd()); err != nil {
		t.Fatal(err)
	}
	if err := p.ConfigureLog(ctx, partition.LogConfig{}); err != nil {
		t.Fatal(err)
	}
	if p.LogStart() != p.LogEnd() || len(p.Positions()) != 0 {
		t.Fatalf("log from %v to %v, positions %v", p.LogStart(), p.LogEnd(), p.Positions())
	}
	w.stop()
	w.start()
	p, _ = w.host.Partition(3)
	if p.Spec().Log.On || p.LogEnd().Sequence != 1 {
		t.Fatalf("after a restart: %+v, %v", p.Spec().Log, p.LogEnd())
	}
}

// TestUnchanged writes an image again: the record is there, and says so (I4).
func TestUnchanged(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, vfs.NewMem())
	p := createPartition(t, w, indexedSpec())
	it := indexedItem("a", "b", 1)
	for range 2 {
		if _, err := p.Write(ctx, &regionnode.WriteRequest{Target: target, Write: regionnode.Write{Op: regionnode.PutOp, Key: keyFor(t, it), Item: it.Encode()}}); err != nil {
			t.Fatal(err)
		}
	}
	recs, _, err := p.ReadLog(ctx, p.LogStart(), 10, 1<<20)
	if err != nil || len(recs) != 2 {
		t.Fatal(recs, err)
	}
	if recs[0].Cause != replication.ByUser || recs[1].Cause != replication.Unchanged || recs[1].Version.Compare(recs[0].Version) <= 0 {
		t.Fatal(recs)
	}
	checkIndexes(t, p)
}

// TestHead closes time on an idle partition, and never beyond a stamp that is
// yet to be given (I13).
func TestHead(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, vfs.NewMem())
	p := createPartition(t, w, indexedSpec())
	for n := range 3 {
		putMany(t, p, fmt.Sprint(n), 1)
		end, closed := p.Head()
		if end != p.LogEnd() {
			t.Fatalf("head %v, log end %v", end, p.LogEnd())
		}
		recs, _, err := p.ReadLog(ctx, p.LogStart(), 10, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if last := recs[len(recs)-1].Version.Time; !last.Less(closed) {
			t.Fatalf("closed %v, record %v", closed, last)
		}
		putMany(t, p, fmt.Sprint(n, "next"), 1)
		recs, _, err = p.ReadLog(ctx, end, 10, 1<<20)
		if err != nil || len(recs) != 1 || !closed.Less(recs[0].Version.Time) {
			t.Fatal(recs, closed, err)
		}
	}
}

// TestSwitchUnderLoad changes settings while items are written: what was
// evaluated under the settings before is evaluated anew, so that all writes
// succeed and the log, as long as it is on, has no gap.
func TestSwitchUnderLoad(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, vfs.NewMem())
	p := createPartition(t, w, indexedSpec())
	var work sync.WaitGroup
	for i := range 4 {
		work.Go(func() { putMany(t, p, fmt.Sprintf("%d-", i), 400) })
	}
	for n := uint64(2); n < 30; n++ {
		d := *indexedDescriptor()
		d.Generation = n
		if err := p.SetDescriptor(ctx, &d); err != nil {
			t.Fatal(err)
		}
	}
	work.Wait()
	if n := p.Status().Items; n != 1600 {
		t.Fatalf("%d items", n)
	}
	checkIndexes(t, p)
	checkLog(t, p)
}
