package partition_test

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/internal/store"
	"antipode/replication/hlc"
)

// benchClients is how many writers run for each processor, so that there are 32
// on two.
const benchClients = 16

func benchPartition(b *testing.B, fs vfs.FS, dir string) *partition.Partition {
	s, err := store.Open(store.Config{Dir: dir, FS: fs})
	if err != nil {
		b.Fatal(err)
	}
	clock, err := hlc.New(hlc.Config{})
	if err != nil {
		b.Fatal(err)
	}
	h, err := partition.NewHost(partition.Config{Node: 1, Region: "us-east-1", Store: s, Clock: clock})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := h.Close(); err != nil {
			b.Error(err)
		}
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	if err := h.Create(context.Background(), testSpec()); err != nil {
		b.Fatal(err)
	}
	p, _ := h.Partition(3)
	return p
}

// BenchmarkPut writes items of 1 KB through a partition on disk; BenchmarkFloor
// is Pebble's own synced write of the same size.
func BenchmarkPut(b *testing.B) { benchPut(b, vfs.Default, b.TempDir()) }

// BenchmarkPutMemory is BenchmarkPut without a disk: what the processor does.
func BenchmarkPutMemory(b *testing.B) { benchPut(b, vfs.NewMem(), "db") }

func benchPut(b *testing.B, fs vfs.FS, dir string) {
	p := benchPartition(b, fs, dir)
	body := strings.Repeat("x", 1000)
	var n atomic.Int64
	b.SetParallelism(benchClients)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			it := makeItem("a", strconv.FormatInt(n.Add(1), 10), body)
			if _, err := p.Write(context.Background(), &regionnode.WriteRequest{Target: target, Write: regionnode.Write{
				Op: regionnode.PutOp, Key: keyFor(b, it), Item: it.Encode(),
			}}); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkFloor(b *testing.B) {
	db, err := pebble.Open(b.TempDir(), &pebble.Options{MemTableSize: 32 << 20})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	body := []byte(strings.Repeat("x", 1000))
	var n atomic.Int64
	b.SetParallelism(benchClients)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := db.Set([]byte(strconv.FormatInt(n.Add(1), 10)), body, pebble.Sync); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkGet reads an item strongly, in memory.
func BenchmarkGet(b *testing.B) {
	p := benchPartition(b, vfs.NewMem(), "db")
	it := makeItem("a", "b", strings.Repeat("x", 1000))
	key := keyFor(b, it)
	if _, err := p.Write(context.Background(), &regionnode.WriteRequest{Target: target, Write: regionnode.Write{
		Op: regionnode.PutOp, Key: key, Item: it.Encode(),
	}}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Get(context.Background(), &regionnode.GetRequest{Target: target, Key: key, Consistent: true}); err != nil {
			b.Fatal(err)
		}
	}
}
