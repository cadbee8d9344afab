package partition_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/hlc"
)

// globalDescriptor is testDescriptor with a global index on v.
func globalDescriptor(generation uint64, filling bool) *table.Descriptor {
	d := testDescriptor
	d.Generation, d.BillingMode = generation, "PROVISIONED"
	d.Attributes = append(append([]table.Attribute(nil), d.Attributes...), table.Attribute{Name: "v", Type: "S"})
	d.Globals = []table.Index{{
		Name: "by-v", Table: 8, Key: table.KeySchema{Hash: []string{"v"}}, Projection: table.Projection{Type: "ALL"}, Backfilling: filling,
	}}
	return &d
}

// entries is a partition of the index in a world.
type entries struct {
	t *testing.T
	w *world
}

func newEntries(t *testing.T, filling bool) *entries {
	w := newWorld(t, vfs.NewMem())
	spec := partition.Spec{ID: 30, Table: 8, Members: []table.NodeID{1}, Descriptor: globalDescriptor(1, filling), Incarnation: 9, Generation: 40}
	if err := w.host.Create(context.Background(), spec); err != nil {
		t.Fatal(err)
	}
	return &entries{t, w}
}

func (e *entries) partition() *partition.Partition {
	p, ok := e.w.host.Partition(30)
	if !ok {
		e.t.Fatal("partition is gone")
	}
	return p
}

// change makes or, with gone, removes the entry of an item as of a version.
func (e *entries) change(sequence uint64, sk, v string, version int64, gone bool) regionnode.IndexChange {
	e.t.Helper()
	d := globalDescriptor(1, false)
	entry, ok, err := d.Entries(&d.Globals[0]).Of(makeItem("p", sk, v).Encode())
	if err != nil || !ok {
		e.t.Fatalf("entry of %s: %v, %v", sk, ok, err)
	}
	c := regionnode.IndexChange{Sequence: sequence, Key: entry.Key, Image: entry.Image, Version: replication.Version{Time: hlc.Timestamp{Wall: version}, Region: "us-east-1"}}
	if gone {
		c.Image = nil
	}
	return c
}

func (e *entries) apply(term, through uint64, changes ...regionnode.IndexChange) error {
	return e.partition().ApplyIndex(context.Background(), &regionnode.IndexBatch{
		Target: regionnode.Target{Table: 8, Partition: 30}, Source: 4, Term: term, Through: through, Changes: changes,
	})
}

// expect holds the index's sort keys, in the index's order, and its counters.
func (e *entries) expect(want ...string) {
	e.t.Helper()
	resp, err := e.partition().Range(context.Background(), &regionnode.RangeRequest{Target: regionnode.Target{Table: 8, Partition: 30}, Consistent: true})
	if err != nil {
		e.t.Fatal(err)
	}
	var got []string
	var size int64
	for _, image := range resp.Items {
		v, _, err := image.Get("sk")
		if err != nil {
			e.t.Fatal(err)
		}
		got = append(got, v.Text())
		size += int64(image.Size())
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		e.t.Errorf("the index holds %v, not %v", got, want)
	}
	if s := e.partition().Status(); s.Items != int64(len(want)) || s.Bytes != size {
		e.t.Errorf("the index counts %d items of %d bytes", s.Items, s.Bytes)
	}
}

func (e *entries) must(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

func TestIndexBatchesOnceAndInOrder(t *testing.T) {
	e := newEntries(t, false)
	e.must(e.apply(1, 5, e.change(5, "a", "x", 50, false)))
	e.must(e.apply(1, 5, e.change(5, "a", "x", 50, false)))
	e.expect("a")
	e.must(e.apply(1, 8, e.change(6, "a", "x", 60, true)))
	e.expect()
	e.must(e.apply(1, 5, e.change(5, "a", "x", 50, false))) // late, and nothing is left that is newer
	e.expect()
	e.must(e.apply(2, 9, e.change(9, "b", "x", 90, false)))
	if err := e.apply(1, 12, e.change(12, "b", "x", 120, true)); !errors.Is(err, partition.ErrSuperseded) {
		t.Errorf("a batch of an earlier leader: %v", err)
	}
	e.expect("b")
	e.w.stop()
	e.w.start()
	e.must(e.apply(2, 8, e.change(7, "a", "x", 70, false)))
	e.expect("b")
}

func TestIndexBackfillLosesAgainstTheLog(t *testing.T) {
	e := newEntries(t, true)
	ctx := context.Background()
	e.must(e.apply(1, 3, e.change(3, "a", "x", 30, true), e.change(3, "b", "y", 30, false)))
	e.must(e.apply(1, 0, e.change(0, "a", "x", 20, false), e.change(0, "c", "x", 20, false)))
	e.expect("c", "b") // by the hash of v
	// Tombstones last until the back-fill has ended.
	e.must(e.partition().ForgetTombstones(ctx))
	e.must(e.apply(1, 0, e.change(0, "a", "x", 20, false)))
	e.expect("c", "b")
	e.must(e.partition().SetDescriptor(ctx, globalDescriptor(2, false)))
	e.must(e.apply(1, 0, e.change(0, "a", "x", 20, false))) // a page that was under way
	e.must(e.partition().ForgetTombstones(ctx))
	e.must(e.apply(1, 0, e.change(0, "a", "x", 20, false)))
	e.expect("c", "b")
	e.must(e.apply(1, 4, e.change(4, "a", "x", 10, false))) // nothing is left that is newer
	e.expect("a", "c", "b")
}

// baseWithIndex is an item partition whose log a global index reads, in a world.
func baseWithIndex(t *testing.T, filling bool, maxRecords uint64) (*world, *partition.Partition) {
	t.Helper()
	w := newWorld(t, vfs.NewMem())
	if err := w.host.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	w.host, err = partition.NewHost(partition.Config{
		Node: 1, Region: "us-east-1", Store: w.store, Clock: w.clock, TickInterval: -1, MaxIndexRecords: maxRecords, MaxIndexAge: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	spec := testSpec()
	spec.Descriptor, spec.Log = globalDescriptor(1, filling), partition.LogConfig{On: true}
	if err := w.host.Create(context.Background(), spec); err != nil {
		t.Fatal(err)
	}
	p, _ := w.host.Partition(3)
	return w, p
}

func putIndexed(p *partition.Partition, key []byte, it item.Item) error {
	_, err := p.Write(context.Background(), &regionnode.WriteRequest{Target: target, Write: regionnode.Write{Op: regionnode.PutOp, Key: key, Item: it.Encode()}})
	return err
}

func TestLogWaitsForGlobalIndexes(t *testing.T) {
	_, p := baseWithIndex(t, false, 1<<20)
	ctx := context.Background()
	it := makeItem("a", "b", "c")
	for range 3000 {
		if err := putIndexed(p, keyFor(t, it), it); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.TrimStreams(ctx); err != nil {
		t.Fatal(err)
	}
	if got := p.LogStart().Sequence; got != 0 {
		t.Fatalf("the log begins at %d before the index has begun", got)
	}
	at := p.LogEnd()
	at.Sequence = 2000
	if err := p.SetIndexPosition(ctx, 8, at); err != nil {
		t.Fatal(err)
	}
	if got := p.LogStart().Sequence; got == 0 || got > 2000 {
		t.Fatalf("the log begins at %d with the index at 2000", got)
	}
	d := globalDescriptor(2, false)
	d.Globals = nil
	if err := p.SetDescriptor(ctx, d); err != nil {
		t.Fatal(err)
	}
	if _, known := p.IndexPosition(8); known {
		t.Fatal("the position of an index that is gone stays")
	}
}

func TestWritesWaitForGlobalIndexes(t *testing.T) {
	w, p := baseWithIndex(t, false, 5)
	it := makeItem("a", "b", "c")
	key := keyFor(t, it)
	for range 6 {
		if err := putIndexed(p, key, it); err != nil {
			t.Fatal(err)
		}
	}
	if err := putIndexed(p, key, it); !apierr.Is(err, apierr.ProvisionedThroughputExceeded) {
		t.Fatalf("a write far ahead of the index: %v", err)
	}
	waits := make(chan error)
	go func() { waits <- putIndexed(p, key, it) }()
	p.NoteIndexed(8, 4)
	if err := <-waits; err != nil {
		t.Fatalf("a write while the index caught up: %v", err)
	}
	p.NoteIndexed(8, 6)
	w.phys.Advance(2 * time.Minute)
	if err := putIndexed(p, key, it); !apierr.Is(err, apierr.ProvisionedThroughputExceeded) {
		t.Fatalf("a write with an old change not in the index: %v", err)
	}
	p.NoteIndexed(8, p.LogEnd().Sequence)
	if err := putIndexed(p, key, it); err != nil {
		t.Fatal(err)
	}
}

func TestIndexProgressIsDurable(t *testing.T) {
	w, p := baseWithIndex(t, true, 5)
	ctx := context.Background()
	for range 20 { // an index that has not begun holds nobody up
		if err := putIndexed(p, keyFor(t, makeItem("a", "b", "c")), makeItem("a", "b", "c")); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.SetIndexFilled(ctx, 8, []byte("here"), false); err != nil {
		t.Fatal(err)
	}
	w.stop()
	w.start()
	p, _ = w.host.Partition(3)
	if after, all, err := p.IndexFilled(8); err != nil || all || string(after) != "here" {
		t.Fatalf("progress %q, %v, %v", after, all, err)
	}
	d := globalDescriptor(2, false)
	d.Globals = nil
	if err := p.SetDescriptor(ctx, d); err != nil {
		t.Fatal(err)
	}
	if after, _, err := p.IndexFilled(8); err != nil || after != nil {
		t.Fatalf("progress of an index that is gone: %q, %v", after, err)
	}
	if err := p.SetIndexFilled(ctx, 8, nil, true); !errors.Is(err, partition.ErrNoReader) {
		t.Fatalf("progress for an index that is gone: %v", err)
	}
}
