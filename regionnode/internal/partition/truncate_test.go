package partition

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode"
	"antipode/regionnode/internal/keys"
	"antipode/regionnode/internal/store"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
	"antipode/replication/hlc"
)

// TestTruncateLog writes many times the size that a raft log may have: the log
// on disk stays bounded, in memory nothing applied is kept, and a restart goes
// on from what is left.
func TestTruncateLog(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	const limit = 64 << 10
	spec := Spec{
		ID: 3, Table: 7, Members: []table.NodeID{1},
		Descriptor: &table.Descriptor{Key: table.KeySchema{Hash: []string{"pk"}}},
	}
	schema := spec.Descriptor.Key
	body := strings.Repeat("x", 1000)
	written := 0
	for range 3 {
		s, err := store.Open(store.Config{Dir: "db", FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		clock, err := hlc.New(hlc.Config{})
		if err != nil {
			t.Fatal(err)
		}
		h, err := NewHost(Config{Node: 1, Region: "r", Store: s, Clock: clock, TickInterval: -1, RaftLogBytes: limit})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Create(ctx, spec); err != nil {
			t.Fatal(err)
		}
		p, _ := h.Partition(3)
		if err := p.confirm(ctx); err != nil {
			t.Fatal(err)
		}
		if n := p.Status().Items; n != int64(written) {
			t.Fatalf("%d items after a restart, want %d", n, written)
		}
		for range 500 {
			it := item.Make([]item.Field{{Name: "pk", Value: item.Str(strconv.Itoa(written))}, {Name: "v", Value: item.Str(body)}})
			key, err := schema.Key(nil, it)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Write(ctx, &regionnode.WriteRequest{
				Target: regionnode.Target{Table: 7, Partition: 3}, Write: regionnode.Write{Op: regionnode.PutOp, Key: key, Item: it.Encode()},
			}); err != nil {
				t.Fatal(err)
			}
			written++
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		if kept := len(p.storage.recent); kept > 2 {
			t.Errorf("%d entries in memory", kept)
		}
		if size := logBytes(t, s); size > 2*limit {
			t.Errorf("raft log of %d bytes", size)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func logBytes(t *testing.T, s *store.Store) int {
	t.Helper()
	it, err := s.Iterate(keys.LogEntries(3, 0, ^uint64(0)))
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	size := 0
	for ok := it.First(); ok; ok = it.Next() {
		size += len(it.Value())
	}
	return size
}
