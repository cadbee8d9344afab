package partition_test

import (
	"context"

	"pgregory.net/rapid"

	"antipode/regionnode"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

func indexedDescriptor() *table.Descriptor {
	d := testDescriptor
	d.Locals = []table.Index{
		{Name: "all", Local: 1, Key: table.KeySchema{Hash: []string{"pk"}, Range: []string{"lk"}}, Projection: table.Projection{Type: "ALL"}},
		{Name: "keys", Local: 2, Key: table.KeySchema{Hash: []string{"pk"}, Range: []string{"lk"}}, Projection: table.Projection{Type: "KEYS_ONLY"}},
	}
	return &d
}

// scanAll reads a whole index span in small pages.
func scanAll(t rapid.TB, p *partition.Partition, index table.IndexID, backward bool) []item.Encoded {
	t.Helper()
	var out []item.Encoded
	r := &regionnode.RangeRequest{Target: at(p), Consistent: true, Limit: 7, Backward: backward}
	r.Target.Index = index
	for {
		page, err := p.Range(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, page.Items...)
		if page.LastKey == nil {
			return out
		}
		r.After = page.LastKey
	}
}

// checkIndexes recomputes the local indexes and the counters from the items.
func checkIndexes(t rapid.TB, p *partition.Partition) {
	t.Helper()
	d := p.Spec().Descriptor
	items := scanAll(t, p, 0, false)
	status := p.Status()
	var bytes int64
	for _, it := range items {
		bytes += int64(it.Size())
	}
	if status.Items != int64(len(items)) || status.Bytes != bytes {
		t.Fatalf("counted %d items of %d bytes, stored are %d of %d", status.Items, status.Bytes, len(items), bytes)
	}
	for i := range d.Locals {
		x := &d.Locals[i]
		want := make(map[string]string)
		for _, e := range items {
			it, err := e.Decode()
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := it.Get("lk"); !ok {
				continue
			}
			if x.Projection.Type == "KEYS_ONLY" {
				it = it.Remove("v")
			}
			key, err := d.IndexKey(x).Key(nil, it)
			if err != nil {
				t.Fatal(err)
			}
			want[string(key)] = string(it.Encode())
		}
		var size int64
		last := ""
		entries := scanAll(t, p, x.Local, false)
		for _, e := range entries {
			size += int64(e.Size())
			key, err := d.IndexKey(x).KeyOf(nil, e)
			if err != nil {
				t.Fatal(err)
			}
			if string(key) <= last {
				t.Fatalf("index %s is out of order", x.Name)
			}
			last = string(key)
			if want[last] != string(e) {
				t.Fatalf("index %s has %q, want %q", x.Name, e, want[last])
			}
		}
		if len(entries) != len(want) {
			t.Fatalf("index %s has %d entries, want %d", x.Name, len(entries), len(want))
		}
		if c := status.Indexes[x.Local]; c.Items != int64(len(entries)) || c.Bytes != size {
			t.Fatalf("index %s counted %+v, has %d of %d bytes", x.Name, c, len(entries), size)
		}
	}
}
