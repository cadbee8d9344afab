package catalog

import (
	"context"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode/table"
)

// TestCountsDescribeTables: reports show in DescribeTable, and those of
// partitions that are gone are forgotten.
func TestCountsDescribeTables(t *testing.T) {
	ctx := context.Background()
	kv, stop := openSystem(t, vfs.NewMem())
	defer stop()
	c := newCatalog(t, kv, func(cfg *Config) { cfg.Partitions = 3 })
	addNode(t, c, "a", "z")
	made, err := c.CreateTable(ctx, request("t", "x"))
	if err != nil {
		t.Fatal(err)
	}
	finish(t, c)
	report := func(partitions ...PartitionCount) {
		t.Helper()
		receipt, err := c.ReportCounts(ctx, &CountReport{Partitions: partitions})
		if err != nil || receipt.Term == 0 {
			t.Fatalf("report: %+v, %v", receipt, err)
		}
	}
	expect := func(items, bytes, entries, entryBytes int64) {
		t.Helper()
		d := describe(t, c, "t")
		if d.Items != items || d.Bytes != bytes || d.Globals[0].Items != entries || d.Globals[0].Bytes != entryBytes {
			t.Errorf("the table has %d items of %d bytes, its index %d of %d", d.Items, d.Bytes, d.Globals[0].Items, d.Globals[0].Bytes)
		}
	}
	partitions := func(id table.ID) []PartitionCount {
		t.Helper()
		m, err := c.Partitions(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		out := make([]PartitionCount, len(m.Partitions))
		for i := range out {
			out[i].Partition = m.Partitions[i].ID
		}
		return out
	}
	expect(0, 0, 0, 0)
	items, entries := partitions(made.ID), partitions(made.Globals[0].Table)
	items[0].Held, items[2].Held = Count{10, 100}, Count{5, 50}
	entries[1].Held = Count{3, 33}
	report(items...)
	report(entries...)
	expect(15, 150, 3, 33)
	items[0].Held = Count{1, 10}
	report(items[0])
	expect(6, 60, 3, 33)

	gone := make([]PartitionCount, 1000)
	for i := range gone {
		gone[i] = PartitionCount{Partition: table.PartitionID(i + 1), Held: Count{1, 1}}
	}
	report(gone...)
	report()
	if n := len(c.counts.of); n > 6 {
		t.Errorf("%d partitions are remembered of 6", n)
	}
	expect(6, 60, 3, 33)
}
