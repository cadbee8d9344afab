package partition_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"antipode/regionnode"
	"antipode/regionnode/internal/partition"
	"antipode/replication"
	"antipode/replication/hlc"
)

// remoteRecord is record n of another region for one of few keys.
func remoteRecord(rt *rapid.T, phys int64) replication.Record {
	it := indexedItem("r", rapid.SampledFrom([]string{"1", "2", "3"}).Draw(rt, "sk"), rapid.IntRange(0, 3).Draw(rt, "lk"))
	region := rapid.SampledFrom([]replication.Region{"ap-south-1", "eu-west-1", "sa-east-1"}).Draw(rt, "region")
	r := replication.Record{
		Key: keyFor(rt, it),
		Version: replication.Version{Region: region, Time: hlc.Timestamp{
			Wall: phys + rapid.Int64Range(-20, 20).Draw(rt, "wall"), Logical: rapid.Uint32Range(0, 1).Draw(rt, "logical"),
		}},
		Context: replication.Context{{Region: region, Time: hlc.Timestamp{Wall: 7}}},
	}
	if r.Delete = rapid.Bool().Draw(rt, "delete"); !r.Delete {
		r.New = it.Encode()
	}
	return r
}

// TestApplyRemoteConverges applies the same records in two orders, some twice,
// in batches of any size: both partitions end with the same values, versions,
// contexts and index entries (I5).
func TestApplyRemoteConverges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		recs := make([]replication.Record, rapid.IntRange(1, 30).Draw(rt, "records"))
		seen := make(map[replication.Version]int)
		for i := range recs {
			recs[i] = remoteRecord(rt, 1_000_000_000_000)
			// An equal version is the same write.
			if j, ok := seen[recs[i].Version]; ok {
				recs[i] = recs[j]
			}
			seen[recs[i].Version] = i
		}
		var want string
		for range 2 {
			got := applyShuffled(t, rt, recs)
			if want == "" {
				want = got
			}
			if got != want {
				rt.Fatalf("orders differ:\n%s\n%s", want, got)
			}
		}
	})
}

func applyShuffled(t *testing.T, rt *rapid.T, recs []replication.Record) string {
	w := newWorld(t, vfs.NewMem())
	defer w.stop()
	ctx := context.Background()
	if err := w.host.Create(ctx, indexedSpec()); err != nil {
		rt.Fatal(err)
	}
	p, _ := w.host.Partition(3)
	order := rapid.Permutation(append(append([]replication.Record(nil), recs...), recs[:len(recs)/2]...)).Draw(rt, "order")
	for len(order) > 0 {
		n := rapid.IntRange(1, len(order)).Draw(rt, "batch")
		if err := p.ApplyRemote(ctx, order[:n]); err != nil {
			rt.Fatal(err)
		}
		order = order[n:]
	}
	checkIndexes(rt, p)
	checkLog(rt, p)
	stored, _, err := p.ScanVersions(ctx, nil, 1000, 1<<30)
	if err != nil {
		rt.Fatal(err)
	}
	return fmt.Sprint(stored)
}

// TestLocalWriteBeatsWhatItSaw writes locally over a record whose clock is ahead
// of ours within the offset: the local version is greater and its context names
// what it replaced (I4).
func TestLocalWriteBeatsWhatItSaw(t *testing.T) {
	w := newWorld(t, vfs.NewMem())
	ctx := context.Background()
	if err := w.host.Create(ctx, indexedSpec()); err != nil {
		t.Fatal(err)
	}
	p, _ := w.host.Partition(3)
	it := indexedItem("r", "1", 1)
	ahead := hlc.Timestamp{Wall: w.phys.Physical() + int64(400*time.Millisecond)}
	remote := replication.Record{Key: keyFor(t, it), New: it.Encode(), Version: replication.Version{Time: ahead, Region: "eu-west-1"}}
	if err := p.ApplyRemote(ctx, []replication.Record{remote}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write(ctx, &regionnode.WriteRequest{Target: target, Write: regionnode.Write{Op: regionnode.DeleteOp, Key: remote.Key}}); err != nil {
		t.Fatal(err)
	}
	recs, _, err := p.ReadLog(ctx, p.LogStart(), 10, 1<<20)
	if err != nil || len(recs) != 2 {
		t.Fatal(recs, err)
	}
	if recs[0].Cause != replication.ByReplica || recs[1].Cause != replication.ByUser || !recs[1].Delete {
		t.Fatalf("causes %v, %v", recs[0].Cause, recs[1].Cause)
	}
	if recs[1].Version.Compare(remote.Version) <= 0 {
		t.Fatalf("local version %v is not above %v", recs[1].Version, remote.Version)
	}
	if want := fmt.Sprint(replication.Context{{Region: "eu-west-1", Time: ahead}}); fmt.Sprint(recs[1].Context) != want {
		t.Fatalf("context %v, want %v", recs[1].Context, want)
	}
}

// TestParked sends a record from a clock that is too far ahead: it does not move
// our clock, survives a crash, and is applied once the time has come (I12).
func TestParked(t *testing.T) {
	fs := vfs.NewCrashableMem()
	w := newWorld(t, fs)
	ctx := context.Background()
	if err := w.host.Create(ctx, indexedSpec()); err != nil {
		t.Fatal(err)
	}
	p, _ := w.host.Partition(3)
	it := indexedItem("r", "1", 1)
	far := hlc.Timestamp{Wall: w.phys.Physical() + int64(2*time.Second)}
	rec := replication.Record{Key: keyFor(t, it), New: it.Encode(), Version: replication.Version{Time: far, Region: "eu-west-1"}}
	for range 2 {
		if err := p.ApplyRemote(ctx, []replication.Record{rec}); err != nil {
			t.Fatal(err)
		}
	}
	if now := w.clock.Now(); now.Wall >= far.Wall {
		t.Fatal("the clock was dragged")
	}
	get := func(p *partition.Partition) *regionnode.GetResponse {
		got, err := p.Get(ctx, &regionnode.GetRequest{Target: target, Key: rec.Key, Consistent: true})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := get(p); got.Item != nil || p.Status().Parked != 1 {
		t.Fatalf("got %q, %d parked", got.Item, p.Status().Parked)
	}
	if v, ok, err := p.OldestParked(); err != nil || !ok || v != rec.Version {
		t.Fatal(v, ok, err)
	}
	after := newWorld(t, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(1, 1))}))
	p, _ = after.host.Partition(3)
	if got := get(p); got.Item != nil || p.Status().Parked != 1 {
		t.Fatalf("after a crash: got %q, %d parked", got.Item, p.Status().Parked)
	}
	after.phys.Advance(1600 * time.Millisecond)
	changed := p.LogChanged(p.LogEnd())
	after.host.Tick()
	<-changed
	if got := get(p); string(got.Item) != string(it.Encode()) || p.Status().Parked != 0 {
		t.Fatalf("in time: got %q, %d parked", got.Item, p.Status().Parked)
	}
}
