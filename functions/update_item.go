package functions

import (
	"slices"

	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/expr"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

func updateItem(c *call, in *wire.UpdateItemInput) error {
	w := regionnode.Write{Op: regionnode.UpdateOp}
	if err := c.prepareUpdate(in, &w); err != nil {
		return c.envelope(err)
	}
	d, err := c.descriptor(in.TableName.Value)
	if err != nil {
		return err
	}
	if err := checkKey(d, in.Key); err != nil {
		return err
	}
	if err := checkUpdateKeys(d, w.Update); err != nil {
		return err
	}
	if in.UpdateExpression.Set && w.Update.Charge() > table.MaxItemSize {
		return apierr.Invalid("Item size to update has exceeded the maximum allowed size")
	}
	if w.Key, err = d.Key.Key(nil, in.Key); err != nil {
		return err
	}
	w.Item = in.Key.Encode()
	return c.write(d, &w, &writeAnswer{
		table:      in.TableName.Value,
		capacity:   in.ReturnConsumedCapacity.Value,
		collection: in.ReturnItemCollectionMetrics.Value,
		key:        in.Key,
	})
}

var returnValues = map[string]regionnode.Return{
	"":            regionnode.ReturnNone,
	"NONE":        regionnode.ReturnNone,
	"ALL_OLD":     regionnode.ReturnAllOld,
	"UPDATED_OLD": regionnode.ReturnUpdatedOld,
	"ALL_NEW":     regionnode.ReturnAllNew,
	"UPDATED_NEW": regionnode.ReturnUpdatedNew,
}

// prepareUpdate checks what needs no table, in DynamoDB's order.
func (c *call) prepareUpdate(in *wire.UpdateItemInput, w *regionnode.Write) error {
	modern := []given{
		{"UpdateExpression", in.UpdateExpression.Set},
		{"ConditionExpression", in.ConditionExpression.Set},
	}
	if err := refuseMixed([]given{
		{"AttributeUpdates", in.AttributeUpdates != nil},
		{"Expected", in.Expected != nil},
		{"ConditionalOperator", in.ConditionalOperator.Set},
	}, modern); err != nil {
		return err
	}
	s, err := substitutions(in.ExpressionAttributeNames, in.ExpressionAttributeValues, modern)
	if err != nil {
		return err
	}
	w.Return = returnValues[in.ReturnValues.Value]
	w.ReturnOnFailure = in.ReturnValuesOnConditionCheckFailure.Value == "ALL_OLD"
	if w.Update, err = update(in, s); err != nil {
		return err
	}
	return c.prepareCondition(w, in.ConditionExpression, in.Expected, in.ConditionalOperator, s)
}

// update parses the update, in either language; nil for an UpdateItem that only
// makes sure that the item exists.
func update(in *wire.UpdateItemInput, s *expr.Substitutions) (*expr.Update, error) {
	if in.UpdateExpression.Set {
		return expr.ParseUpdate(in.UpdateExpression.Value, s)
	}
	if len(in.AttributeUpdates) == 0 {
		return nil, nil
	}
	m := make(map[string]expr.LegacyUpdate, len(in.AttributeUpdates))
	for _, e := range in.AttributeUpdates {
		if err := item.CheckName(e.Key); err != nil {
			return nil, err
		}
		m[e.Key] = expr.LegacyUpdate{Action: e.Value.Action.Value, Value: e.Value.Value}
	}
	return expr.FromAttributeUpdates(m)
}

// checkUpdateKeys holds an update against the keys of the table and its indexes.
func checkUpdateKeys(d *table.Descriptor, u *expr.Update) error {
	if u == nil {
		return nil
	}
	if err := refuseKeyUpdate(d, u); err != nil {
		return err
	}
	if err := checkIndexUpdate(d, u); err != nil {
		return err
	}
	return refuseNested(d, u.NestedAttributes())
}

// refuseKeyUpdate refuses an update of a key attribute.
func refuseKeyUpdate(d *table.Descriptor, u *expr.Update) error {
	for _, name := range u.Attributes() {
		if slices.Contains(d.Key.Hash, name) || slices.Contains(d.Key.Range, name) {
			return apierr.Invalid("One or more parameter values were invalid: "+
				"Cannot update attribute %s. This attribute is part of the key", name)
		}
	}
	return nil
}
