package partition_test

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

func isStale(err error) bool {
	var stale *regionnode.Stale
	return errors.As(err, &stale)
}

// TestDestroy removes a partition with all its data, and nothing of its
// neighbour in the same table.
func TestDestroy(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, vfs.NewMem())
	left, right := indexedSpec(), indexedSpec()
	left.End = 1 << 63
	right.ID, right.Start = 4, 1<<63
	a, b := createPartition(t, w, left), createPartition(t, w, right)
	for _, again := range []partition.Spec{left, right} {
		if err := w.host.Create(ctx, again); err != nil {
			t.Fatal(err)
		}
	}
	var kept, lost [][]byte
	for i := range 40 {
		it := indexedItem(string(rune('A'+i)), "s", 1)
		key := keyFor(t, it)
		r := &regionnode.WriteRequest{Target: target, Write: regionnode.Write{Op: regionnode.PutOp, Key: key, Item: it.Encode()}}
		p, other, keys := a, b, &lost
		if binary.BigEndian.Uint64(key) >= 1<<63 {
			p, other, keys = b, a, &kept
		}
		r.Target.Partition = other.ID()
		if _, err := other.Write(ctx, r); !isStale(err) {
			t.Fatalf("write to the wrong partition: %v", err)
		}
		r.Target.Partition = p.ID()
		if _, err := p.Write(ctx, r); err != nil {
			t.Fatal(err)
		}
		*keys = append(*keys, key)
	}
	if err := w.host.Destroy(ctx, 3); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Get(ctx, &regionnode.GetRequest{Target: target, Key: lost[0]}); !isStale(err) {
		t.Fatalf("read of a destroyed partition: %v", err)
	}
	w.stop()
	w.start()
	if _, ok := w.host.Partition(3); ok {
		t.Fatal("destroyed partition came back")
	}
	b, _ = w.host.Partition(4)
	for _, key := range kept {
		r := &regionnode.GetRequest{Target: target, Key: key, Consistent: true}
		r.Target.Partition = 4
		if got, err := b.Get(ctx, r); err != nil || got.Item == nil {
			t.Fatalf("neighbour's item: %v", err)
		}
	}
	// The same interval made anew is empty, in every index span.
	left.ID = 5
	a = createPartition(t, w, left)
	for index := range table.IndexID(3) {
		r := &regionnode.RangeRequest{Target: target, Consistent: true}
		r.Target.Partition, r.Target.Index = 5, index
		if page, err := a.Range(ctx, r); err != nil || page.Scanned != 0 {
			t.Fatalf("span %d holds %d entries: %v", index, page.Scanned, err)
		}
	}
}

// TestStale sends requests that were routed by another map (I8).
func TestStale(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, vfs.NewMem())
	spec := testSpec()
	spec.Epoch.Range = 2
	p := createPartition(t, w, spec)
	key := keyFor(t, makeItem("a", "b", ""))
	for name, tg := range map[string]regionnode.Target{
		"older range":       {Table: 7, Partition: 3, Range: 1},
		"newer range":       {Table: 7, Partition: 3, Range: 3},
		"another partition": {Table: 7, Partition: 4, Range: 2},
		"another table":     {Table: 8, Partition: 3, Range: 2},
	} {
		if _, err := p.Get(ctx, &regionnode.GetRequest{Target: tg, Key: key}); !isStale(err) {
			t.Errorf("%s: get: %v", name, err)
		}
		if _, err := p.Write(ctx, &regionnode.WriteRequest{Target: tg, Write: regionnode.Write{Op: regionnode.DeleteOp, Key: key}}); !isStale(err) {
			t.Errorf("%s: write: %v", name, err)
		}
		if _, err := p.Range(ctx, &regionnode.RangeRequest{Target: tg}); !isStale(err) {
			t.Errorf("%s: range: %v", name, err)
		}
	}
}

// TestHotKey counts one attribute up from many goroutines: the latch makes every
// update see the one before.
func TestHotKey(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, vfs.NewMem())
	p := createPartition(t, w, testSpec())
	base := makeItem("a", "b", "").Remove("v")
	key := keyFor(t, base)
	update := parseUpdate(t, "ADD n :one", map[string]item.Value{":one": item.Num(item.NumberFromInt64(1))})
	var work sync.WaitGroup
	for range 16 {
		work.Go(func() {
			for range 25 {
				if _, err := p.Write(ctx, &regionnode.WriteRequest{Target: target, Write: regionnode.Write{
					Op: regionnode.UpdateOp, Key: key, Item: base.Encode(), Update: update,
				}}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	got, err := p.Get(ctx, &regionnode.GetRequest{Target: target, Key: key, Consistent: true})
	if err != nil {
		t.Fatal(err)
	}
	if v, _, err := got.Item.Get("n"); err != nil || v.Number().String() != "400" {
		t.Fatalf("counted to %v: %v", v.Number(), err)
	}
}

// TestUpdateLimits lets updates fail that only the stored item shows to be
// impossible.
func TestUpdateLimits(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, vfs.NewMem())
	p := createPartition(t, w, indexedSpec())
	big := indexedItem("a", "b", 1).Set("v", item.Str(string(make([]byte, 300<<10))))
	key := keyFor(t, big)
	if _, err := p.Write(ctx, &regionnode.WriteRequest{Target: target, Write: regionnode.Write{Op: regionnode.PutOp, Key: key, Item: big.Encode()}}); err != nil {
		t.Fatal(err)
	}
	for src, want := range map[string]string{
		"SET w = v":   "Item size to update has exceeded the maximum allowed size",
		"SET lk = pk": "The update expression attempted to update the secondary index key to unsupported type",
	} {
		_, err := p.Write(ctx, &regionnode.WriteRequest{Target: target, Write: regionnode.Write{
			Op: regionnode.UpdateOp, Key: key, Item: big.Remove("v").Remove("lk").Encode(), Update: parseUpdate(t, src, nil),
		}})
		if !apierr.Is(err, apierr.Validation) || apierr.Of(err).Message != want {
			t.Errorf("%s: %v", src, err)
		}
	}
	checkIndexes(t, p)
}

// TestNotLeader asks a replica whose group has no majority.
func TestNotLeader(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, vfs.NewMem())
	spec := testSpec()
	spec.Members = []table.NodeID{1, 2, 3}
	p := createPartition(t, w, spec)
	key := keyFor(t, makeItem("a", "b", ""))
	var notLeader *regionnode.NotLeader
	if _, err := p.Get(ctx, &regionnode.GetRequest{Target: target, Key: key, Consistent: true}); !errors.As(err, &notLeader) {
		t.Errorf("strong read: %v", err)
	}
	if _, err := p.Write(ctx, &regionnode.WriteRequest{Target: target, Write: regionnode.Write{Op: regionnode.DeleteOp, Key: key}}); !errors.As(err, &notLeader) {
		t.Errorf("write: %v", err)
	}
	if _, err := p.Get(ctx, &regionnode.GetRequest{Target: target, Key: key}); err != nil {
		t.Errorf("eventual read: %v", err)
	}
}

// TestSetDescriptor puts a newer descriptor into force and keeps an older out.
func TestSetDescriptor(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, vfs.NewMem())
	p := createPartition(t, w, testSpec())
	next := *p.Spec().Descriptor
	next.Generation, next.Protected = 5, true
	if err := p.SetDescriptor(ctx, &next); err != nil {
		t.Fatal(err)
	}
	old := testDescriptor
	if err := p.SetDescriptor(ctx, &old); err != nil {
		t.Fatal(err)
	}
	w.stop()
	w.start()
	p, _ = w.host.Partition(3)
	if d := p.Spec().Descriptor; d.Generation != 5 || !d.Protected {
		t.Fatalf("in force: %+v", d)
	}
}
