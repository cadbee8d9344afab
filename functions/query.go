package functions

import (
	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/expr"
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
	if err := rd.findIndex(in.IndexName); err != nil {
		return err
	}
	if err := rd.bind(condition, in); err != nil {
		return err
	}
	rd.target()
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
	chosen := chooser(in.ProjectionExpression.Set, in.AttributesToGet)
	if err := checkSelect(in.Select.Value, chosen, in.IndexName.Set); err != nil {
		return nil, wire.Count(err) // Scan gives it bare
	}
	k, err := parseQuery(in, r, s)
	if err != nil {
		return nil, err
	}
	if err := refuseUnused(s); err != nil {
		return nil, err
	}
	return k, k.Fault()
}

// parseQuery parses the expressions, or what stands in for them.
func parseQuery(in *wire.QueryInput, r *regionnode.RangeRequest, s *expr.Substitutions) (k *expr.KeyCondition, err error) {
	if in.KeyConditionExpression.Set {
		if k, err = expr.ParseKeyCondition(in.KeyConditionExpression.Value, s); err != nil {
			return nil, err
		}
	}
	if r.Filter, err = filter(in.FilterExpression, in.QueryFilter, in.ConditionalOperator, s); err != nil {
		return nil, err
	}
	if r.Projection, err = projection(in.ProjectionExpression, in.AttributesToGet, s); err != nil || k != nil {
		return k, err
	}
	if in.KeyConditions == nil {
		return nil, apierr.Invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	return expr.FromKeyConditions(legacyConditions(in.KeyConditions))
}

// bind turns the key condition into key bounds, and ExclusiveStartKey into the
// key to continue behind; what else depends on the table is checked after them.
func (rd *read) bind(condition *expr.KeyCondition, in *wire.QueryInput) error {
	if err := rd.checkStart(in.ExclusiveStartKey); err != nil {
		return err
	}
	k, err := condition.Bind(rd.schema(), rd.d.AttributeType)
	if err != nil {
		return err
	}
	rd.r.Low, rd.r.High = keyBounds(k)
	if in.ExclusiveStartKey != nil {
		if err := rd.startBehind(in.ExclusiveStartKey, k); err != nil {
			return err
		}
	}
	if err := refuseNestedChoice(rd.d, rd.r.Projection); err != nil {
		return err
	}
	if err := rd.refuseKeyFilter(in); err != nil {
		return err
	}
	if err := rd.checkIndexRead(in.Select.Value); err != nil {
		return err
	}
	return refuseNested(rd.d, rd.r.Filter.NestedAttributes())
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
