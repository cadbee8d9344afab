package partition_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"antipode/regionnode"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/item"
	"antipode/replication"
)

// TestCrash cuts the power under load, with none, half or all of what was not
// synced surviving: what was acknowledged before is there after a restart, with
// its index entries, its change record and right counters (I1, I2).
func TestCrash(t *testing.T) {
	for _, percent := range []int{0, 50, 100} {
		t.Run(fmt.Sprint(percent), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, uint64(percent)))
			fs := vfs.NewCrashableMem()
			for round := range 4 {
				fs = crashRound(t, fs, round, vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
			}
		})
	}
}

const crashWriters = 6

func crashRound(t *testing.T, fs *vfs.MemFS, round int, cfg vfs.CrashCloneCfg) *vfs.MemFS {
	ctx, cancel := context.WithCancel(context.Background())
	w := newWorld(t, fs)
	if err := w.host.Create(ctx, indexedSpec()); err != nil {
		t.Fatal(err)
	}
	p, _ := w.host.Partition(3)
	checkIndexes(t, p)
	var acked [crashWriters]atomic.Int64
	var enough, work sync.WaitGroup
	enough.Add(crashWriters)
	for i := range crashWriters {
		work.Go(func() {
			for n := 1; ctx.Err() == nil; n++ {
				if n == 20 {
					enough.Done()
				}
				it := indexedItem(fmt.Sprint(i), fmt.Sprintf("%d-%05d", round, n), n%7)
				op := regionnode.Write{Op: regionnode.PutOp, Key: keyFor(t, it), Item: it.Encode()}
				if n%5 == 0 { // takes the one before away
					it = indexedItem(fmt.Sprint(i), fmt.Sprintf("%d-%05d", round, n-1), 0)
					op = regionnode.Write{Op: regionnode.DeleteOp, Key: keyFor(t, it)}
				}
				if _, err := p.Write(ctx, &regionnode.WriteRequest{Target: target, Write: op}); err != nil {
					return
				}
				acked[i].Store(int64(n))
			}
		})
	}
	enough.Wait()
	var before [crashWriters]int64
	for i := range acked {
		before[i] = acked[i].Load()
	}
	clone := fs.CrashClone(cfg)
	cancel()
	work.Wait()
	w.stop()

	after := newWorld(t, clone)
	defer after.stop()
	p, ok := after.host.Partition(3)
	if !ok {
		t.Fatal("partition is gone")
	}
	for i, n := range before {
		checkCrashed(t, p, i, round, int(n))
	}
	checkIndexes(t, p)
	checkLog(t, p)
	return clone
}

// checkCrashed looks for everything that writer i was told before n.
func checkCrashed(t *testing.T, p *partition.Partition, i, round, n int) {
	t.Helper()
	for k := 1; k <= n; k++ {
		it := indexedItem(fmt.Sprint(i), fmt.Sprintf("%d-%05d", round, k), k%7)
		got, err := p.Get(context.Background(), &regionnode.GetRequest{Target: target, Key: keyFor(t, it), Consistent: true})
		if err != nil {
			t.Fatal(err)
		}
		deleted := k%5 == 4 && k < n || k%5 == 0
		maybe := k == n && k%5 == 4 // its delete may or may not have been written
		if want := it.Encode(); !maybe && (deleted != (got.Item == nil) || !deleted && string(got.Item) != string(want)) {
			t.Fatalf("writer %d: %d of %d: deleted %v, got %q", i, k, n, deleted, got.Item)
		}
	}
}

// checkLog replays the change log and compares the outcome with what is stored.
func checkLog(t rapid.TB, p *partition.Partition) {
	t.Helper()
	ctx := context.Background()
	images := make(map[string]string)
	for at := p.LogStart(); at != p.LogEnd(); {
		recs, end, err := p.ReadLog(ctx, at, 100, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range recs {
			if images[string(r.Key)] != string(r.Old) {
				t.Fatalf("record %d: old image %q, but replay has %q", r.Sequence, r.Old, images[string(r.Key)])
			}
			images[string(r.Key)] = string(r.New)
		}
		at = end
	}
	recs, _, err := p.ScanVersions(ctx, nil, 1<<20, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recs {
		if images[string(r.Key)] != string(r.New) {
			t.Fatalf("stored %q, the log says %q", r.New, images[string(r.Key)])
		}
		delete(images, string(r.Key))
	}
	for key, image := range images {
		if image != "" {
			t.Fatalf("%q is in the log, not in the table", key)
		}
	}
}

// indexedSpec is a partition with local indexes and a change log for a peer.
func indexedSpec() partition.Spec {
	s := testSpec()
	s.Descriptor = indexedDescriptor()
	s.Log = partition.LogConfig{On: true, Peers: []replication.Region{"eu-west-1"}}
	return s
}

func indexedItem(pk, sk string, lk int) item.Item {
	it := makeItem(pk, sk, "v"+sk)
	if lk > 0 { // others are not in the indexes
		it = it.Set("lk", item.Num(item.NumberFromInt64(int64(lk))))
	}
	return it
}
