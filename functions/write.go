package functions

import (
	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// writeAnswer is what the answer to a single write must hold besides the
// attributes.
type writeAnswer struct {
	table      string // as the request named it
	capacity   string // ReturnConsumedCapacity
	collection string // ReturnItemCollectionMetrics
	key        item.Item
}

// write sends one write to its partition and answers it.
func (c *call) write(d *table.Descriptor, w *regionnode.Write, a *writeAnswer) error {
	r := regionnode.WriteRequest{Target: regionnode.Target{Table: d.ID}, Write: *w}
	resp, err := c.backend.Write(c.ctx, &r)
	if err != nil {
		return err
	}
	out := c.out
	out.BeginObject()
	if len(resp.Attributes) > 0 {
		out.Name("Attributes").Item(resp.Attributes)
	}
	if a.capacity == capacityTotal || a.capacity == capacityIndexes {
		var used capacity
		used.addWrite(d, &resp.Usage)
		used.writeMember(out, a.capacity, a.table)
	}
	if a.collection == "SIZE" && len(d.Locals) > 0 {
		out.Name("ItemCollectionMetrics")
		writeCollection(out, d, a.key, resp.Usage.Collection)
	}
	out.EndObject()
	return nil
}

const gigabyte = 1 << 30

// writeCollection writes ItemCollectionMetrics: the collection's hash key and
// an estimate of its size as a range of one GB.
func writeCollection(w *wire.Writer, d *table.Descriptor, it item.Item, size int64) {
	w.BeginObject().Name("ItemCollectionKey").BeginObject()
	for _, name := range d.Key.Hash {
		if v, ok := it.Get(name); ok {
			w.Name(name).Value(v)
		}
	}
	w.EndObject()
	low := float64(size / gigabyte)
	w.Name("SizeEstimateRangeGB").BeginArray().Float(low).Float(low + 1).EndArray()
	w.EndObject()
}
