package functions

import (
	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/expr"
	"antipode/regionnode/table"
)

func putItem(c *call, in *wire.PutItemInput) error {
	w := regionnode.Write{Op: regionnode.PutOp}
	if err := c.preparePut(in, &w); err != nil {
		return c.envelope(err)
	}
	d, err := c.descriptor(in.TableName.Value)
	if err != nil {
		return err
	}
	if err := checkItemKey(d, in.Item, false); err != nil {
		return err
	}
	if err := checkIndexKeys(d, in.Item); err != nil {
		return err
	}
	w.Key, err = d.Key.Key(nil, in.Item)
	if err != nil {
		return err
	}
	w.Item = in.Item.Encode()
	return c.write(d, &w, &writeAnswer{
		table:      in.TableName.Value,
		capacity:   in.ReturnConsumedCapacity.Value,
		collection: in.ReturnItemCollectionMetrics.Value,
		key:        in.Item,
	})
}

// preparePut checks what needs no table, in DynamoDB's order.
func (c *call) preparePut(in *wire.PutItemInput, w *regionnode.Write) error {
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
	if in.Item.Size() > table.MaxItemSize {
		return errItemTooLarge()
	}
	w.ReturnOnFailure = in.ReturnValuesOnConditionCheckFailure.Value == "ALL_OLD"
	return c.prepareCondition(w, in.ConditionExpression, in.Expected, in.ConditionalOperator, s)
}

func errItemTooLarge() error {
	return apierr.Invalid("Item size has exceeded the maximum allowed size")
}

// prepareCondition parses a write's condition and refuses placeholders that no
// expression used: it comes last of a write's expressions.
func (c *call) prepareCondition(w *regionnode.Write, src wire.Opt[string], expected wire.Map[wire.ExpectedAttributeValue],
	operator wire.Opt[string], s *expr.Substitutions) (err error) {
	if w.Condition, err = condition(src, expected, operator, s); err != nil {
		return err
	}
	return refuseUnused(s)
}
