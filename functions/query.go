package functions

import (
	"bytes"

	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/expr"
	"antipode/regionnode/table"
)

func query(c *call, in *wire.QueryInput) error {
	rd := &read{query: true, table: in.TableName.Value, capacity: in.ReturnConsumedCapacity.Value, r: regionnode.RangeRequest{
		Consistent: in.ConsistentRead.Value,
		Backward:   in.ScanIndexForward.Set && !in.ScanIndexForward.Value,
		Limit:      int(in.Limit.Value),
		CountOnly:  in.Select.Value == selectCount,
	}}
	condition, err := prepareQuery(in, &rd.r)
	if err != nil {
		return c.envelope(err)
	}
	if rd.d, err = c.descriptor(in.TableName.Value); err != nil {
		return err
	}
	if err := rd.findIndex(in.IndexName, in.ExclusiveStartKey); err != nil {
		return err
	}
	if rd.index != nil {
		if err := rd.checkIndexRead(in.Select.Value); err != nil {
			return err
		}
	}
	if err := refuseNestedChoice(rd.d, rd.r.Projection); err != nil {
		return err
	}
	rd.target()
	if err := rd.bind(condition, in); err != nil {
		return err
	}
	return c.answerPages(rd, func() (*page, error) {
		resp, err := c.backend.Range(c.ctx, &rd.r)
		if err != nil {
			return nil, err
		}
		p := new(page)
		p.add(resp)
		return p, nil
	})
}

// prepareQuery checks what needs no table, in DynamoDB's order.
func prepareQuery(in *wire.QueryInput, r *regionnode.RangeRequest) (*expr.KeyCondition, error) {
	modern := []given{
		{"ProjectionExpression", in.ProjectionExpression.Set},
		{"FilterExpression", in.FilterExpression.Set},
		{"KeyConditionExpression", in.KeyConditionExpression.Set},
	}
	if err := refuseMixed([]given{
		{"AttributesToGet", in.AttributesToGet != nil},
		{"QueryFilter", in.QueryFilter != nil},
		{"ConditionalOperator", in.ConditionalOperator.Set},
		// Old key conditions alone may go with new filters and projections.
		{"KeyConditions", in.KeyConditions != nil && in.KeyConditionExpression.Set},
	}, modern); err != nil {
		return nil, err
	}
	s, err := substitutions(in.ExpressionAttributeNames, in.ExpressionAttributeValues, modern)
	if err != nil {
		return nil, err
	}
	if !in.KeyConditionExpression.Set && in.KeyConditions == nil {
		return nil, apierr.Invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	chosen := chooser(in.ProjectionExpression.Set, in.AttributesToGet)
	if err := checkSelect(in.Select.Value, chosen, in.IndexName.Set); err != nil {
		return nil, wire.Count(err) // Scan gives it bare
	}
	var k *expr.KeyCondition
	if in.KeyConditionExpression.Set {
		k, err = expr.ParseKeyCondition(in.KeyConditionExpression.Value, s)
	} else {
		k, err = expr.FromKeyConditions(legacyConditions(in.KeyConditions))
	}
	if err != nil {
		return nil, err
	}
	if r.Filter, err = filter(in.FilterExpression, in.QueryFilter, in.ConditionalOperator, s); err != nil {
		return nil, err
	}
	if r.Projection, err = projection(in.ProjectionExpression, in.AttributesToGet, s); err != nil {
		return nil, err
	}
	return k, refuseUnused(s)
}

// bind turns the key condition into key bounds, and ExclusiveStartKey into the
// key to continue behind.
func (rd *read) bind(condition *expr.KeyCondition, in *wire.QueryInput) error {
	k, err := condition.Bind(rd.schema(), rd.d.AttributeType)
	if err != nil {
		return err
	}
	if err := rd.refuseKeyFilter(in); err != nil {
		return err
	}
	if err := refuseNested(rd.d, rd.r.Filter.NestedAttributes()); err != nil {
		return err
	}
	rd.r.Low, rd.r.High = keyBounds(k)
	if in.ExclusiveStartKey == nil {
		return nil
	}
	if rd.r.After, err = rd.startKey(in.ExclusiveStartKey); err != nil {
		return err
	}
	switch {
	case !bytes.HasPrefix(rd.r.After, table.HashPrefix(nil, k.Hash)):
		return apierr.Invalid("The provided starting key is outside query boundaries based on provided conditions")
	case bytes.Compare(rd.r.After, rd.r.Low) < 0, rd.r.High != nil && bytes.Compare(rd.r.After, rd.r.High) >= 0:
		return apierr.Invalid("The provided starting key does not match the range key predicate")
	}
	return nil
}

// refuseKeyFilter refuses a filter on what the key condition is there for.
func (rd *read) refuseKeyFilter(in *wire.QueryInput) error {
	schema := rd.schema()
	for _, name := range conditionAttributes(rd.r.Filter) {
		if !schema.Has(name) {
			continue
		}
		parameter := "QueryFilter"
		if in.FilterExpression.Set {
			parameter = "Filter Expression"
		}
		return apierr.Invalid("%s can only contain non-primary key attributes: Primary key attribute: %s", parameter, name)
	}
	return nil
}
