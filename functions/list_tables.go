package functions

import "antipode/functions/wire"

const maxListedTables = 100

func listTables(c *call, in *wire.ListTablesInput) error {
	limit := int(in.Limit.Or(maxListedTables))
	names, more, err := c.backend.ListTables(c.ctx, in.ExclusiveStartTableName.Value, limit)
	if err != nil {
		return err
	}
	c.out.BeginObject()
	if more && len(names) > 0 {
		c.out.Name("LastEvaluatedTableName").String(names[len(names)-1])
	}
	c.out.Name("TableNames").BeginArray()
	for _, name := range names {
		c.out.String(name)
	}
	c.out.EndArray().EndObject()
	return nil
}
