package functions

import "antipode/functions/wire"

func describeTable(c *call, in *wire.DescribeTableInput) error {
	d, err := c.describe(in.TableName.Value)
	if err != nil {
		return err
	}
	c.answerTable("Table", d)
	return nil
}
