package functions

import (
	"bytes"
	"errors"
	"slices"

	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// tableWrites is the part of a BatchWriteItem that writes one table.
type tableWrites struct {
	name        string // as the request named it
	in          []wire.WriteRequest
	d           *table.Descriptor
	writes      []regionnode.Write
	missed      []bool // writes that were definitely not applied, or may not be
	used        capacity
	collections []collection
}

// collection is one item collection that a batch has written to.
type collection struct {
	key  item.Item
	size int64
}

func batchWriteItem(c *call, in *wire.BatchWriteItemInput) error {
	tables, err := prepareBatchWrite(in)
	if err != nil {
		return c.envelope(err)
	}
	for i := range tables {
		if err := c.bindWrites(&tables[i]); err != nil {
			return err
		}
	}
	if err := c.writeTables(tables); err != nil {
		return err
	}
	c.answerWrites(tables, in)
	return nil
}

// prepareBatchWrite checks what needs no table, in DynamoDB's order.
func prepareBatchWrite(in *wire.BatchWriteItemInput) ([]tableWrites, error) {
	tables := make([]tableWrites, len(in.RequestItems))
	writes := 0
	for i := range in.RequestItems {
		t := &tables[i]
		t.name, t.in = in.RequestItems[i].Key, in.RequestItems[i].Value
		if writes += len(t.in); writes > table.MaxBatchWrites {
			return nil, apierr.Invalid("Too many items requested for the BatchWriteItem call")
		}
		for _, w := range t.in {
			if err := checkWriteRequest(&w); err != nil {
				return nil, err
			}
		}
	}
	return tables, nil
}

func checkWriteRequest(w *wire.WriteRequest) error {
	switch {
	case (w.PutRequest == nil) == (w.DeleteRequest == nil):
		return apierr.Invalid("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
	case w.PutRequest != nil && w.PutRequest.Item.Size() > table.MaxItemSize:
		return errItemTooLarge()
	}
	return nil
}

// bindWrites looks the table up and turns the requests into writes.
func (c *call) bindWrites(t *tableWrites) (err error) {
	if t.d, err = c.descriptor(t.name); err != nil {
		return err
	}
	for i := range t.in {
		w, err := bindWrite(t.d, &t.in[i])
		if err != nil {
			return err
		}
		t.writes = append(t.writes, w)
	}
	for i := range t.writes {
		for n := range i {
			if bytes.Equal(t.writes[i].Key, t.writes[n].Key) {
				return errDuplicateKeys()
			}
		}
	}
	t.missed = make([]bool, len(t.in))
	return nil
}

func bindWrite(d *table.Descriptor, in *wire.WriteRequest) (w regionnode.Write, err error) {
	if in.DeleteRequest != nil {
		w.Op = regionnode.DeleteOp
		if err := checkKey(d, in.DeleteRequest.Key); err != nil {
			return w, err
		}
		w.Key, err = d.Key.Key(nil, in.DeleteRequest.Key)
		return w, err
	}
	w.Op = regionnode.PutOp
	it := in.PutRequest.Item
	if err := checkItemKey(d, it, true); err != nil {
		return w, err
	}
	if err := checkIndexKeys(d, it); err != nil {
		return w, err
	}
	w.Item = it.Encode()
	w.Key, err = d.Key.Key(nil, it)
	return w, err
}

// writeTables writes to all tables at once. It fails when nothing at all could
// be written, or when the fault is the client's.
func (c *call) writeTables(tables []tableWrites) error {
	errs := make([]error, len(tables))
	eachParallel(len(tables), func(i int) {
		t := &tables[i]
		r := regionnode.BatchWriteRequest{Target: regionnode.Target{Table: t.d.ID}, Writes: t.writes}
		resp, err := c.backend.BatchWrite(c.ctx, &r)
		if err != nil {
			resp = &regionnode.BatchWriteResponse{Results: make([]regionnode.WriteResult, len(t.writes))}
			for n := range resp.Results {
				resp.Results[n].Error = &regionnode.WriteError{Retry: err.Error()}
			}
		}
		errs[i] = errors.Join(err, t.settle(resp))
	})
	return batchError(errs)
}

// settle books what became of a table's writes. It fails when nothing was
// written, or with the first error that is the client's fault.
func (t *tableWrites) settle(resp *regionnode.BatchWriteResponse) error {
	failed, failure := 0, error(nil)
	for n := range resp.Results {
		result := &resp.Results[n]
		if result.Error == nil {
			t.book(n, result.Response)
			continue
		}
		failed++
		t.missed[n] = true
		failure = result.Error
		if api := result.Error.API; api != nil {
			failure = api
			if !unprocessed(api) {
				return api
			}
		}
	}
	if failed < len(resp.Results) {
		return nil
	}
	return failure
}

// book charges one applied write and remembers its item collection.
func (t *tableWrites) book(i int, resp *regionnode.WriteResponse) {
	t.used.addWrite(t.d, &resp.Usage)
	if len(t.d.Locals) == 0 {
		return
	}
	var it item.Item
	if r := &t.in[i]; r.PutRequest != nil {
		it = r.PutRequest.Item
	} else {
		it = r.DeleteRequest.Key
	}
	key := make(item.Item, 0, 1)
	for _, name := range t.d.Key.Hash {
		v, _ := it.Get(name)
		key = append(key, item.Field{Name: name, Value: v})
	}
	for n := range t.collections {
		if t.collections[n].key.Equal(key) {
			t.collections[n].size = resp.Usage.Collection
			return
		}
	}
	t.collections = append(t.collections, collection{key, resp.Usage.Collection})
}

func (c *call) answerWrites(tables []tableWrites, in *wire.BatchWriteItemInput) {
	w := c.out
	w.BeginObject().Name("UnprocessedItems").BeginObject()
	for i := range tables {
		t := &tables[i]
		if !slices.Contains(t.missed, true) {
			continue
		}
		w.Name(t.name).BeginArray()
		for n := range t.in {
			if t.missed[n] {
				writeWriteRequest(w, &t.in[n])
			}
		}
		w.EndArray()
	}
	w.EndObject()
	if in.ReturnItemCollectionMetrics.Value == "SIZE" {
		writeCollections(w, tables)
	}
	if mode := in.ReturnConsumedCapacity.Value; mode == capacityTotal || mode == capacityIndexes {
		w.Name("ConsumedCapacity").BeginArray()
		for i := range tables {
			tables[i].used.write(w, mode, tables[i].name)
		}
		w.EndArray()
	}
	w.EndObject()
}

// writeCollections writes the metrics of the tables that have local indexes;
// the member is left out when there are none.
func writeCollections(w *wire.Writer, tables []tableWrites) {
	open := false
	for i := range tables {
		t := &tables[i]
		if len(t.collections) == 0 {
			continue
		}
		if !open {
			w.Name("ItemCollectionMetrics").BeginObject()
			open = true
		}
		w.Name(t.name).BeginArray()
		for _, col := range t.collections {
			writeCollection(w, t.d, col.key, col.size)
		}
		w.EndArray()
	}
	if open {
		w.EndObject()
	}
}

func writeWriteRequest(w *wire.Writer, r *wire.WriteRequest) {
	w.BeginObject()
	if r.PutRequest != nil {
		w.Name("PutRequest").BeginObject().Name("Item")
		writeItem(w, r.PutRequest.Item)
	} else {
		w.Name("DeleteRequest").BeginObject().Name("Key")
		writeItem(w, r.DeleteRequest.Key)
	}
	w.EndObject().EndObject()
}

// writeItem writes an item that is still a tree.
func writeItem(w *wire.Writer, it item.Item) {
	w.BeginObject()
	for _, f := range it {
		w.Name(f.Name).Value(f.Value)
	}
	w.EndObject()
}
