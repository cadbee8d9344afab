package functions

import (
	"antipode/functions/wire"
	"antipode/regionnode"
)

func getItem(c *call, in *wire.GetItemInput) error {
	modern := []given{{"ProjectionExpression", in.ProjectionExpression.Set}}
	if err := refuseMixed([]given{{"AttributesToGet", in.AttributesToGet != nil}}, modern); err != nil {
		return err
	}
	s, err := substitutions(in.ExpressionAttributeNames, nil, modern)
	if err != nil {
		return err
	}
	r := regionnode.GetRequest{Consistent: in.ConsistentRead.Value}
	if r.Projection, err = projection(in.ProjectionExpression, in.AttributesToGet, s); err != nil {
		return err
	}
	if err := refuseUnused(s); err != nil {
		return err
	}
	d, err := c.descriptor(in.TableName.Value)
	if err != nil {
		return err
	}
	if err := checkKey(d, in.Key); err != nil {
		return err
	}
	if err := refuseNestedChoice(d, r.Projection); err != nil {
		return err
	}
	if r.Key, err = d.Key.Key(nil, in.Key); err != nil {
		return err
	}
	r.Target.Table = d.ID
	resp, err := c.backend.Get(c.ctx, &r)
	if err != nil {
		return err
	}
	c.out.BeginObject()
	if resp.Item != nil {
		c.out.Name("Item").Item(resp.Item)
	}
	if mode := in.ReturnConsumedCapacity.Value; mode == capacityTotal || mode == capacityIndexes {
		used := capacity{table: readUnits(resp.Size, r.Consistent)}
		used.writeMember(c.out, mode, in.TableName.Value)
	}
	c.out.EndObject()
	return nil
}
