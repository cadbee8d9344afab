package functions

import (
	"bytes"

	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

func transactGetItems(c *call, in *wire.TransactGetItemsInput) error {
	backend, ok := c.backend.(regionnode.Transactions)
	if !ok {
		return absent(c.op)
	}
	r := regionnode.TransactGetRequest{Reads: make([]regionnode.TableRead, len(in.TransactItems))}
	for i := range in.TransactItems {
		if err := prepareRead(in.TransactItems[i].Get, &r.Reads[i]); err != nil {
			return c.envelope(err)
		}
	}
	if err := c.bindTransactReads(in, r.Reads); err != nil {
		return err
	}
	resp, err := backend.TransactGet(c.ctx, &r)
	if err != nil {
		return err
	}
	used := transacted{member: "ReadCapacityUnits"}
	w := c.out
	w.BeginObject().Name("Responses").BeginArray()
	for i := range resp.Items {
		got := &resp.Items[i]
		w.BeginObject()
		if got.Item != nil {
			w.Name("Item").Item(got.Item)
		}
		w.EndObject()
		used.add(in.TransactItems[i].Get.TableName.Value, capacity{table: readUnits(got.Size, true)})
	}
	w.EndArray()
	used.writeMember(w, in.ReturnConsumedCapacity.Value)
	w.EndObject()
	return nil
}

// prepareRead checks of one read what needs no table.
func prepareRead(in *wire.Get, out *regionnode.TableRead) error {
	s, err := substitutions(in.ExpressionAttributeNames, nil, []given{{"ProjectionExpression", in.ProjectionExpression.Set}})
	if err != nil {
		return err
	}
	if out.Projection, err = projection(in.ProjectionExpression, nil, s); err != nil {
		return err
	}
	return refuseUnused(s)
}

// bindTransactReads looks the tables up and turns keys into key bytes. A key
// that is not of its table cancels the transaction.
func (c *call) bindTransactReads(in *wire.TransactGetItemsInput, reads []regionnode.TableRead) error {
	reasons := make([]apierr.Reason, len(reads))
	refused := false
	descriptors := make([]*table.Descriptor, len(reads))
	for i := range reads {
		d, err := c.descriptor(in.TransactItems[i].Get.TableName.Value)
		if err != nil {
			return err
		}
		descriptors[i], reads[i].Table = d, d.ID
	}
	for i, d := range descriptors {
		key := in.TransactItems[i].Get.Key
		reasons[i].Code = "None"
		if e := apierr.Of(matchKey(d, key)); e != nil {
			reasons[i], refused = reasonOf(e), true
			continue
		}
		if err := checkKeyValues(d.Key, key); err != nil {
			return err
		}
		var err error
		if reads[i].Key, err = d.Key.Key(nil, key); err != nil {
			return err
		}
	}
	for i := range reads {
		for j := range i {
			if reads[i].Key != nil && reads[i].Table == reads[j].Table && bytes.Equal(reads[i].Key, reads[j].Key) {
				return errTwice()
			}
		}
	}
	if refused {
		return canceled(reasons)
	}
	return nil
}
