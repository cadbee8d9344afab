package partition_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/item"
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
