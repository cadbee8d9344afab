package partition_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"antipode/regionnode"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/internal/store"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
	"antipode/replication/hlc"
)

// world is one node's store and host, which a test may stop and start.
type world struct {
	t     testing.TB
	fs    vfs.FS
	phys  *hlc.ManualClock
	clock *hlc.Clock
	store *store.Store
	host  *partition.Host
	// change makes the host another one than usual; nil for none.
	change func(*partition.Config)
}

func newWorld(t testing.TB, fs vfs.FS) *world {
	w := &world{t: t, fs: fs, phys: hlc.NewManualClock(1_000_000_000_000)}
	w.start()
	t.Cleanup(w.stop)
	return w
}

func (w *world) start() {
	w.t.Helper()
	var err error
	if w.store, err = store.Open(store.Config{Dir: "db", FS: w.fs}); err != nil {
		w.t.Fatal(err)
	}
	if w.clock, err = hlc.New(hlc.Config{Physical: w.phys.Physical}); err != nil {
		w.t.Fatal(err)
	}
	config := partition.Config{Node: 1, Region: "us-east-1", Store: w.store, Clock: w.clock, TickInterval: -1}
	if w.change != nil {
		w.change(&config)
	}
	w.host, err = partition.NewHost(config)
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) stop() {
	if w.host == nil {
		return
	}
	if err := w.host.Close(); err != nil {
		w.t.Error(err)
	}
	if err := w.store.Close(); err != nil {
		w.t.Error(err)
	}
	w.host = nil
}

var testDescriptor = table.Descriptor{
	ID: 7, Name: "T", Generation: 1,
	Attributes: []table.Attribute{{Name: "pk", Type: "S"}, {Name: "sk", Type: "S"}, {Name: "lk", Type: "N"}},
	Key:        table.KeySchema{Hash: []string{"pk"}, Range: []string{"sk"}},
}

func testSpec() partition.Spec {
	d := testDescriptor
	return partition.Spec{ID: 3, Table: 7, Members: []table.NodeID{1}, Descriptor: &d, Incarnation: 9, Generation: 4}
}

var target = regionnode.Target{Table: 7, Partition: 3}

func makeItem(pk, sk, v string) item.Item {
	return item.Make([]item.Field{{Name: "pk", Value: item.Str(pk)}, {Name: "sk", Value: item.Str(sk)}, {Name: "v", Value: item.Str(v)}})
}

func keyFor(t rapid.TB, it item.Item) []byte {
	t.Helper()
	key, err := testDescriptor.Key.Key(nil, it)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestPutGetRangeRestart(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, vfs.NewMem())
	if err := w.host.Create(ctx, testSpec()); err != nil {
		t.Fatal(err)
	}
	p, _ := w.host.Partition(3)
	for i := range 20 {
		it := makeItem("a", fmt.Sprintf("%02d", i), "x")
		if _, err := p.Write(ctx, &regionnode.WriteRequest{Target: target, Write: regionnode.Write{
			Op: regionnode.PutOp, Key: keyFor(t, it), Item: it.Encode(),
		}}); err != nil {
			t.Fatal(err)
		}
	}
	check := func() {
		p, ok := w.host.Partition(3)
		if !ok {
			t.Fatal("partition is gone")
		}
		it := makeItem("a", "07", "x")
		got, err := p.Get(ctx, &regionnode.GetRequest{Target: target, Key: keyFor(t, it), Consistent: true})
		if err != nil {
			t.Fatal(err)
		}
		if string(got.Item) != string(it.Encode()) {
			t.Fatalf("got %q", got.Item)
		}
		page, err := p.Range(ctx, &regionnode.RangeRequest{Target: target, Consistent: true, Limit: 15, Backward: true})
		if err != nil {
			t.Fatal(err)
		}
		if page.Count != 15 || page.LastKey == nil {
			t.Fatalf("page of %d, last %q", page.Count, page.LastKey)
		}
		if st := p.Status(); st.Items != 20 || !st.Leading {
			t.Fatalf("status %+v", st)
		}
	}
	check()
	w.stop()
	w.start()
	check()
}
