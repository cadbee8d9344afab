package partition

import (
	"context"
	"runtime"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/raft/v3/raftpb"

	"antipode/regionnode"
	"antipode/regionnode/internal/store"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/hlc"
)

// TestDrop applies entries that were evaluated in another term, under another
// epoch or under other settings: they change nothing but the applied index, on
// every member alike (I3, I8).
func TestDrop(t *testing.T) {
	s, err := store.Open(store.Config{Dir: "db", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	clock, err := hlc.New(hlc.Config{})
	if err != nil {
		t.Fatal(err)
	}
	h, err := NewHost(Config{Node: 1, Region: "r", Store: s, Clock: clock, TickInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	spec := Spec{
		ID: 3, Table: 7, Members: []table.NodeID{1}, Epoch: regionnode.Epoch{Range: 2, Members: 4}, Settings: 6,
		Descriptor: &table.Descriptor{Key: table.KeySchema{Hash: []string{"pk"}}},
	}
	if err := h.Create(context.Background(), spec); err != nil {
		t.Fatal(err)
	}
	p, _ := h.Partition(3)
	if err := p.confirm(context.Background()); err != nil {
		t.Fatal(err)
	}
	for p.run.state.Load() != runIdle {
		runtime.Gosched() // the round that confirmed may still be ending
	}
	good := header{Epoch: spec.Epoch, Settings: spec.Settings, Term: 70, Proposal: 1 << 40}
	cases := []struct {
		name    string
		change  func(*header)
		applied bool
	}{
		{"another term", func(h *header) { h.Term-- }, false},
		{"another range", func(h *header) { h.Epoch.Range++ }, false},
		{"other members", func(h *header) { h.Epoch.Members-- }, false},
		{"other settings", func(h *header) { h.Settings++ }, false},
		{"as it should be", func(*header) {}, true},
	}
	it := item.Make([]item.Field{{Name: "pk", Value: item.Str("a")}})
	w := write{Key: []byte("12345678"), Value: appendStored(nil, replication.Version{}, nil, it.Encode()), Items: 1}
	for _, c := range cases {
		h := good
		c.change(&h)
		entry, _ := w.append(appendHeader(nil, h))
		sealEntry(entry)
		before := p.Status()
		index, term := before.Applied+1, good.Term
		if err := p.apply(&pb.Entry{Index: &index, Term: &term, Data: entry}); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		after := p.Status()
		if after.Applied != index || (after.Items > before.Items) != c.applied {
			t.Errorf("%s: applied %d -> %d, items %d -> %d", c.name, before.Applied, after.Applied, before.Items, after.Items)
		}
	}
}
