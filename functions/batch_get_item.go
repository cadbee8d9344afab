package functions

import (
	"hash/maphash"
	"slices"

	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// tableReads is the part of a BatchGetItem that reads one table.
type tableReads struct {
	name    string // as the request named it
	in      *wire.KeysAndAttributes
	request regionnode.BatchGetRequest // Keys of all, in request order
	d       *table.Descriptor
	results []regionnode.GetResponse
	missed  []bool // keys that were not read
	used    capacity
}

func batchGetItem(c *call, in *wire.BatchGetItemInput) error {
	tables, err := c.prepareBatchGet(in)
	if err != nil {
		return c.envelope(err)
	}
	for i := range tables {
		if err := c.bindReads(&tables[i]); err != nil {
			return err
		}
	}
	if err := c.readTables(tables); err != nil {
		return err
	}
	c.answerReads(tables, in.ReturnConsumedCapacity.Value)
	return nil
}

// prepareBatchGet checks what needs no table, in DynamoDB's order.
func (c *call) prepareBatchGet(in *wire.BatchGetItemInput) ([]tableReads, error) {
	tables := make([]tableReads, len(in.RequestItems))
	keys := 0
	old, modern := false, false // over all tables
	for i := range in.RequestItems {
		t := &tables[i]
		t.name, t.in = in.RequestItems[i].Key, &in.RequestItems[i].Value
		keys += len(t.in.Keys)
		old = old || t.in.AttributesToGet != nil
		modern = modern || t.in.ProjectionExpression.Set
	}
	if keys > table.MaxBatchGetKeys {
		return nil, apierr.Invalid("Too many items requested for the BatchGetItem call")
	}
	if err := refuseMixed([]given{{"AttributesToGet", old}}, []given{{"ProjectionExpression", modern}}); err != nil {
		return nil, err
	}
	for i := range tables {
		if err := tables[i].prepare(); err != nil {
			return nil, err
		}
	}
	return tables, nil
}

func (t *tableReads) prepare() error {
	modern := []given{{"ProjectionExpression", t.in.ProjectionExpression.Set}}
	s, err := substitutions(t.in.ExpressionAttributeNames, nil, modern)
	if err != nil {
		return err
	}
	t.request.Consistent = t.in.ConsistentRead.Value
	if t.request.Projection, err = projection(t.in.ProjectionExpression, t.in.AttributesToGet, s); err != nil {
		return err
	}
	if err := refuseUnused(s); err != nil {
		return err
	}
	return refuseDuplicates(t.in.Keys)
}

// refuseDuplicates compares encoded keys, which are equal when the keys are, by
// hash first: a copy of each key would cost more than all else here.
func refuseDuplicates(keys []item.Item) error {
	if len(keys) < 2 {
		return nil
	}
	seed := maphash.MakeSeed()
	hashes := make([]uint64, len(keys))
	encoded := make([]byte, 0, keySize)
	for i, key := range keys {
		encoded = key.AppendEncoded(encoded[:0])
		hashes[i] = maphash.Bytes(seed, encoded)
	}
	slices.Sort(hashes)
	if len(slices.Compact(hashes)) == len(keys) {
		return nil
	}
	seen := make(map[string]struct{}, len(keys))
	for _, key := range keys {
		seen[string(key.AppendEncoded(encoded[:0]))] = struct{}{}
	}
	if len(seen) < len(keys) {
		return errDuplicateKeys()
	}
	return nil
}

// keySize is the room that most keys need, in bytes.
const keySize = 64

func errDuplicateKeys() error {
	return apierr.Invalid("Provided list of item keys contains duplicates")
}

// bindReads looks the table up and turns the keys into key bytes.
func (c *call) bindReads(t *tableReads) (err error) {
	if t.d, err = c.descriptor(t.name); err != nil {
		return err
	}
	if err := refuseNestedChoice(t.d, t.request.Projection); err != nil {
		return err
	}
	t.request.Keys = make([][]byte, len(t.in.Keys))
	memory := make([]byte, 0, keySize*len(t.in.Keys)) // of all keys
	for i, key := range t.in.Keys {
		if err := checkKey(t.d, key); err != nil {
			return err
		}
		start := len(memory)
		if memory, err = t.d.Key.Key(memory, key); err != nil {
			return err
		}
		t.request.Keys[i] = memory[start:len(memory):len(memory)]
	}
	t.missed = make([]bool, len(t.in.Keys))
	return nil
}

// readTables reads all tables at once. It fails when nothing at all could be
// read, or when the fault is the client's.
func (c *call) readTables(tables []tableReads) error {
	errs := make([]error, len(tables))
	eachParallel(len(tables), func(i int) {
		t := &tables[i]
		t.request.Target.Table = t.d.ID
		resp, err := c.backend.BatchGet(c.ctx, &t.request)
		if err != nil {
			errs[i] = err
			return
		}
		t.results = resp.Items
	})
	for i := range tables {
		if errs[i] != nil {
			t := &tables[i]
			t.results = make([]regionnode.GetResponse, len(t.request.Keys))
			for n := range t.missed {
				t.missed[n] = true
			}
		}
	}
	return batchError(errs)
}

// answerReads writes what was found, until the answer is full; what no longer
// fits is unprocessed, and neither charged.
func (c *call) answerReads(tables []tableReads, mode string) {
	w := c.out
	size := 0
	w.BeginObject().Name("Responses").BeginObject()
	for i := range tables {
		t := &tables[i]
		w.Name(t.name).BeginArray()
		for n := range t.results {
			r := &t.results[n]
			before := w.Len()
			if !t.missed[n] && r.Item != nil {
				w.Item(r.Item)
			}
			full := size+r.Size > table.MaxBatchGetSize || c.cfg.MaxResponseBytes > 0 && w.Len() > c.cfg.MaxResponseBytes
			if full && size > 0 {
				w.Truncate(before)
				t.missed[n] = true
			}
			if t.missed[n] {
				continue
			}
			size += r.Size
			t.used.table += readUnits(r.Size, t.request.Consistent)
		}
		w.EndArray()
	}
	w.EndObject()
	writeUnprocessedKeys(w, tables)
	if mode == capacityTotal || mode == capacityIndexes {
		w.Name("ConsumedCapacity").BeginArray()
		for i := range tables {
			tables[i].used.write(w, mode, tables[i].name)
		}
		w.EndArray()
	}
	w.EndObject()
}

// writeUnprocessedKeys echoes what was not read so that it can be sent again as
// it is.
func writeUnprocessedKeys(w *wire.Writer, tables []tableReads) {
	w.Name("UnprocessedKeys").BeginObject()
	for i := range tables {
		t := &tables[i]
		if !slices.Contains(t.missed, true) {
			continue
		}
		w.Name(t.name).BeginObject().Name("Keys").BeginArray()
		for n, key := range t.in.Keys {
			if t.missed[n] {
				writeItem(w, key)
			}
		}
		w.EndArray()
		t.writeOptions(w)
		w.EndObject()
	}
	w.EndObject()
}

func (t *tableReads) writeOptions(w *wire.Writer) {
	if t.in.AttributesToGet != nil {
		w.Name("AttributesToGet").BeginArray()
		for _, name := range t.in.AttributesToGet {
			w.String(name)
		}
		w.EndArray()
	}
	if t.in.ConsistentRead.Set {
		w.Name("ConsistentRead").Bool(t.in.ConsistentRead.Value)
	}
	if t.in.ProjectionExpression.Set {
		w.Name("ProjectionExpression").String(t.in.ProjectionExpression.Value)
	}
	if t.in.ExpressionAttributeNames != nil {
		w.Name("ExpressionAttributeNames").BeginObject()
		for _, e := range t.in.ExpressionAttributeNames {
			w.Name(e.Key).String(e.Value)
		}
		w.EndObject()
	}
}
