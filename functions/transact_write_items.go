package functions

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"

	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// transactWrite is one action of a TransactWriteItems.
type transactWrite struct {
	table string    // as the request named it
	key   item.Item // the item to put, or the key
	write regionnode.Write
	d     *table.Descriptor
	// refusal cancels the transaction before it begins.
	refusal *apierr.Error
}

func transactWriteItems(c *call, in *wire.TransactActions) error {
	backend, ok := c.backend.(regionnode.Transactions)
	if !ok {
		return absent(c.op)
	}
	all := make([]transactWrite, len(in.TransactItems))
	for i := range all {
		fault := in.Faults[i]
		if fault != nil && !in.Late[i] {
			return fault
		}
		if err := c.prepareAction(&in.TransactItems[i], &all[i]); err != nil {
			return c.envelope(err)
		}
		if fault != nil {
			return fault
		}
	}
	if err := c.bindActions(all); err != nil {
		return err
	}
	r := regionnode.TransactWriteRequest{Writes: make([]regionnode.TableWrite, len(all))}
	if in.ClientRequestToken.Value != "" {
		r.Token, r.Digest = c.account+"/"+in.ClientRequestToken.Value, actionsDigest(in.TransactWriteItemsInput)
	}
	for i := range all {
		r.Writes[i] = regionnode.TableWrite{Table: all[i].d.ID, Write: all[i].write}
	}
	resp, err := backend.TransactWrite(c.ctx, &r)
	if err != nil {
		return err
	}
	c.answerTransaction(in.TransactWriteItemsInput, all, resp)
	return nil
}

// prepareAction checks of one action what needs no table, as the operation of
// that kind does.
func (c *call) prepareAction(in *wire.TransactWriteItem, out *transactWrite) error {
	count := 0
	for _, set := range []bool{in.ConditionCheck != nil, in.Put != nil, in.Delete != nil, in.Update != nil} {
		if set {
			count++
		}
	}
	if count == 0 {
		return apierr.Invalid("Invalid Request: TransactWriteRequest should contain Delete or Put or Update request")
	}
	if count > 1 {
		return apierr.Invalid("TransactItems can only contain one of Check, Put, Update or Delete")
	}
	w := &out.write
	switch {
	case in.Put != nil:
		a := in.Put
		out.table, out.key, w.Op = a.TableName.Value, a.Item, regionnode.PutOp
		return c.preparePut(&wire.PutItemInput{
			Item: a.Item, ConditionExpression: a.ConditionExpression,
			ExpressionAttributeNames: a.ExpressionAttributeNames, ExpressionAttributeValues: a.ExpressionAttributeValues,
			ReturnValuesOnConditionCheckFailure: a.ReturnValuesOnConditionCheckFailure,
		}, w)
	case in.Update != nil:
		a := in.Update
		out.table, out.key, w.Op = a.TableName.Value, a.Key, regionnode.UpdateOp
		return c.prepareUpdate(&wire.UpdateItemInput{
			Key: a.Key, UpdateExpression: a.UpdateExpression, ConditionExpression: a.ConditionExpression,
			ExpressionAttributeNames: a.ExpressionAttributeNames, ExpressionAttributeValues: a.ExpressionAttributeValues,
			ReturnValuesOnConditionCheckFailure: a.ReturnValuesOnConditionCheckFailure,
		}, w)
	case in.Delete != nil:
		a := in.Delete
		out.table, out.key, w.Op = a.TableName.Value, a.Key, regionnode.DeleteOp
		return c.prepareDelete(&wire.DeleteItemInput{
			Key: a.Key, ConditionExpression: a.ConditionExpression,
			ExpressionAttributeNames: a.ExpressionAttributeNames, ExpressionAttributeValues: a.ExpressionAttributeValues,
			ReturnValuesOnConditionCheckFailure: a.ReturnValuesOnConditionCheckFailure,
		}, w)
	default:
		a := in.ConditionCheck
		out.table, out.key, w.Op = a.TableName.Value, a.Key, regionnode.CheckOp
		return c.prepareDelete(&wire.DeleteItemInput{
			Key: a.Key, ConditionExpression: a.ConditionExpression,
			ExpressionAttributeNames: a.ExpressionAttributeNames, ExpressionAttributeValues: a.ExpressionAttributeValues,
			ReturnValuesOnConditionCheckFailure: a.ReturnValuesOnConditionCheckFailure,
		}, w)
	}
}

// bindActions looks the tables up and turns keys into key bytes. A key value
// that can be in no table refuses the request; one that is not of this table,
// like an update of a key, cancels the transaction.
func (c *call) bindActions(all []transactWrite) (err error) {
	size := 0
	for i := range all {
		if all[i].d, err = c.descriptor(all[i].table); err != nil {
			return err
		}
		size += all[i].key.Size()
	}
	refused := false
	for i := range all {
		if err := all[i].bind(); err != nil {
			return err
		}
		refused = refused || all[i].refusal != nil
	}
	if size > table.MaxTransactSize {
		return apierr.Invalid("Transaction request exceeds the maximum size limit of 4 MB")
	}
	if err := refuseTwice(all); err != nil {
		return err
	}
	if !refused {
		return nil
	}
	reasons := make([]apierr.Reason, len(all))
	for i := range all {
		reasons[i].Code = "None"
		if e := all[i].refusal; e != nil {
			reasons[i] = reasonOf(e)
		}
	}
	return canceled(reasons)
}

func refuseTwice(all []transactWrite) error {
	for i := range all {
		for j := range i {
			if all[i].write.Key != nil && all[i].d.ID == all[j].d.ID && bytes.Equal(all[i].write.Key, all[j].write.Key) {
				return errTwice()
			}
		}
	}
	return nil
}

func errTwice() error {
	return apierr.Invalid("Transaction request cannot include multiple operations on one item")
}

// bind checks an action against its table.
func (a *transactWrite) bind() error {
	w, d := &a.write, a.d
	var err error
	if w.Op == regionnode.PutOp {
		err = a.refuse(firstError(matchItem(d, a.key), checkIndexKeys(d, a.key)))
	} else {
		err = a.refuse(matchKey(d, a.key))
	}
	if err != nil || a.refusal != nil {
		return err
	}
	if err := checkKeyValues(d.Key, a.key); err != nil {
		return err
	}
	if w.Op == regionnode.UpdateOp {
		if err := a.refuse(checkUpdateKeys(d, w.Update)); err != nil || a.refusal != nil {
			return err
		}
	}
	if w.Op == regionnode.PutOp || w.Op == regionnode.UpdateOp {
		w.Item = a.key.Encode()
	}
	w.Key, err = d.Key.Key(nil, a.key)
	return err
}

// refuse books what the table speaks against. An empty index key is the
// request's own fault.
func (a *transactWrite) refuse(err error) error {
	if isEmptyIndexKey(err) {
		return err
	}
	if e := apierr.Of(err); e != nil {
		a.refusal = e
		return nil
	}
	return err
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// matchKey holds the attributes of a Key and their types against the table.
func matchKey(d *table.Descriptor, key item.Item) error {
	if len(key) != len(d.Key.Hash)+len(d.Key.Range) {
		return errKeySchema()
	}
	for _, name := range d.Key.Names() {
		if v, ok := key.Get(name); !ok || v.Kind().String() != d.AttributeType(name) {
			return errKeySchema()
		}
	}
	return nil
}

// matchItem does the same for an item that is to be put; what is wrong with a
// value refuses the request.
func matchItem(d *table.Descriptor, it item.Item) error {
	for _, name := range d.Key.Names() {
		if v, ok := it.Get(name); !ok || v.Kind().String() != d.AttributeType(name) {
			return checkItemKey(d, it, false)
		}
	}
	return nil
}

// actionsDigest is equal for requests whose actions are equal.
func actionsDigest(in *wire.TransactWriteItemsInput) []byte {
	h := sha256.New()
	part := func(b []byte) {
		_, _ = h.Write(binary.AppendUvarint(nil, uint64(len(b)))) // a hash does not fail
		_, _ = h.Write(b)
	}
	action := func(kind, name string, it item.Item, update, condition wire.Opt[string], names wire.Map[string], values item.Item, on wire.Opt[string]) {
		for _, s := range []string{kind, name, update.Value, condition.Value, on.Value} {
			part([]byte(s))
		}
		part(it.Encode())
		part(values.Encode())
		part(binary.AppendUvarint(nil, uint64(len(names))))
		for _, e := range names {
			part([]byte(e.Key))
			part([]byte(e.Value))
		}
	}
	for i := range in.TransactItems {
		switch x := &in.TransactItems[i]; {
		case x.Put != nil:
			a := x.Put
			action("Put", a.TableName.Value, a.Item, wire.Opt[string]{}, a.ConditionExpression,
				a.ExpressionAttributeNames, a.ExpressionAttributeValues, a.ReturnValuesOnConditionCheckFailure)
		case x.Update != nil:
			a := x.Update
			action("Update", a.TableName.Value, a.Key, a.UpdateExpression, a.ConditionExpression,
				a.ExpressionAttributeNames, a.ExpressionAttributeValues, a.ReturnValuesOnConditionCheckFailure)
		case x.Delete != nil:
			a := x.Delete
			action("Delete", a.TableName.Value, a.Key, wire.Opt[string]{}, a.ConditionExpression,
				a.ExpressionAttributeNames, a.ExpressionAttributeValues, a.ReturnValuesOnConditionCheckFailure)
		default:
			a := x.ConditionCheck
			action("ConditionCheck", a.TableName.Value, a.Key, wire.Opt[string]{}, a.ConditionExpression,
				a.ExpressionAttributeNames, a.ExpressionAttributeValues, a.ReturnValuesOnConditionCheckFailure)
		}
	}
	return h.Sum(nil)
}

// answerTransaction writes what was asked for besides success.
func (c *call) answerTransaction(in *wire.TransactWriteItemsInput, all []transactWrite, resp *regionnode.TransactWriteResponse) {
	used := transacted{member: "WriteCapacityUnits"}
	if resp.Replayed {
		used.member = "ReadCapacityUnits"
	}
	var tables []tableWrites
	for i := range all {
		a, u := &all[i], &resp.Usages[i]
		var one capacity
		if resp.Replayed {
			one.table = readUnits(max(u.OldSize, u.NewSize), true)
		} else {
			one.addWrite(a.d, u)
		}
		used.add(a.table, one)
		if len(a.d.Locals) > 0 && a.write.Op != regionnode.CheckOp {
			tables = noteCollection(tables, a, u.Collection)
		}
	}
	w := c.out
	w.BeginObject()
	used.writeMember(w, in.ReturnConsumedCapacity.Value)
	if in.ReturnItemCollectionMetrics.Value == "SIZE" {
		writeCollections(w, tables)
	}
	w.EndObject()
}

// noteCollection remembers the item collection that an action wrote to, once.
func noteCollection(tables []tableWrites, a *transactWrite, size int64) []tableWrites {
	n := 0
	for n < len(tables) && tables[n].name != a.table {
		n++
	}
	if n == len(tables) {
		tables = append(tables, tableWrites{name: a.table, d: a.d})
	}
	key := make(item.Item, 0, len(a.d.Key.Hash))
	for _, name := range a.d.Key.Hash {
		v, _ := a.key.Get(name)
		key = append(key, item.Field{Name: name, Value: v})
	}
	t := &tables[n]
	for i := range t.collections {
		if t.collections[i].key.Equal(key) {
			t.collections[i].size = max(t.collections[i].size, size)
			return tables
		}
	}
	t.collections = append(t.collections, collection{key, size})
	return tables
}
