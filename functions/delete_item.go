package functions

import (
	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
)

func deleteItem(c *call, in *wire.DeleteItemInput) error {
	w := regionnode.Write{Op: regionnode.DeleteOp}
	if err := c.prepareDelete(in, &w); err != nil {
		return c.envelope(err)
	}
	d, err := c.descriptor(in.TableName.Value)
	if err != nil {
		return err
	}
	if err := checkKey(d, in.Key); err != nil {
		return err
	}
	if w.Key, err = d.Key.Key(nil, in.Key); err != nil {
		return err
	}
	return c.write(d, &w, &writeAnswer{
		table:      in.TableName.Value,
		capacity:   in.ReturnConsumedCapacity.Value,
		collection: in.ReturnItemCollectionMetrics.Value,
		key:        in.Key,
	})
}

// prepareDelete checks what needs no table, in DynamoDB's order.
func (c *call) prepareDelete(in *wire.DeleteItemInput, w *regionnode.Write) error {
	modern := []given{{"ConditionExpression", in.ConditionExpression.Set}}
	if err := refuseMixed([]given{{"Expected", in.Expected != nil}, {"ConditionalOperator", in.ConditionalOperator.Set}}, modern); err != nil {
		return err
	}
	s, err := substitutions(in.ExpressionAttributeNames, in.ExpressionAttributeValues, modern)
	if err != nil {
		return err
	}
	switch in.ReturnValues.Value {
	case "", "NONE":
	case "ALL_OLD":
		w.Return = regionnode.ReturnAllOld
	default:
		return apierr.Invalid("ReturnValues can only be ALL_OLD or NONE")
	}
	w.ReturnOnFailure = in.ReturnValuesOnConditionCheckFailure.Value == "ALL_OLD"
	return c.prepareCondition(w, in.ConditionExpression, in.Expected, in.ConditionalOperator, s)
}
