package functions

import (
	"testing"

	"pgregory.net/rapid"

	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/table"
)

// Segments cover the hash space without gap or overlap, however many.
func TestSegmentsPartitionTheHashSpace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(1, table.MaxScanSegments).Draw(t, "total")
		segment := rapid.Int64Range(0, total-1).Draw(t, "segment")
		at := func(n int64) hashes {
			return segmentOf(&wire.ScanInput{Segment: wire.Some(n), TotalSegments: wire.Some(total)})
		}
		h := at(segment)
		if h.first > h.last {
			t.Fatalf("segment %d of %d is empty: %x..%x", segment, total, h.first, h.last)
		}
		if segment == 0 && h.first != 0 {
			t.Fatalf("first segment begins at %x", h.first)
		}
		if segment == total-1 && h.last != ^uint64(0) {
			t.Fatalf("last segment ends at %x", h.last)
		}
		if segment < total-1 && at(segment+1).first != h.last+1 {
			t.Fatalf("gap or overlap behind segment %d of %d", segment, total)
		}
	})
}

// A walk over any map visits every hash of its interval once.
func TestAimCoversTheInterval(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		starts := rapid.SliceOfNDistinct(rapid.Uint64Min(1), 0, 8, rapid.ID[uint64]).Draw(t, "starts")
		m := &regionnode.PartitionMap{Partitions: []regionnode.Partition{{ID: 1}}}
		for _, s := range starts {
			m.Partitions = append(m.Partitions, regionnode.Partition{ID: table.PartitionID(s), Start: s})
		}
		sortPartitions(m)
		part := hashes{rapid.Uint64().Draw(t, "first"), rapid.Uint64().Draw(t, "last")}
		if part.first > part.last {
			part.first, part.last = part.last, part.first
		}
		at := part.first
		for range len(m.Partitions) + 1 {
			var r regionnode.RangeRequest
			last := aim(&r, m, at, part)
			p := m.Partitions[partitionOf(m, at)]
			if r.Target.Partition != p.ID || p.Start > at {
				t.Fatalf("hash %x goes to partition %d from %x", at, r.Target.Partition, p.Start)
			}
			if got := table.Hash(r.Low); got != at {
				t.Fatalf("low is %x, want %x", got, at)
			}
			if last == part.last {
				return
			}
			if got := table.Hash(r.High); got != last+1 {
				t.Fatalf("high is %x, want %x", got, last+1)
			}
			at = last + 1
		}
		t.Fatal("the walk does not end")
	})
}

func sortPartitions(m *regionnode.PartitionMap) {
	ps := m.Partitions
	for i := range ps {
		for j := i; j > 0 && ps[j].Start < ps[j-1].Start; j-- {
			ps[j], ps[j-1] = ps[j-1], ps[j]
		}
	}
}
