package functions

import "antipode/functions/wire"

// describeKinesisStreamingDestination reports that there is none.
func describeKinesisStreamingDestination(c *call, in *wire.DescribeKinesisStreamingDestinationInput) error {
	name := tableName(in.TableName.Value)
	if _, err := c.backend.DescribeTable(c.ctx, name); err != nil {
		return err
	}
	c.out.BeginObject().Name("TableName").String(name)
	c.out.Name("KinesisDataStreamDestinations").BeginArray().EndArray().EndObject()
	return nil
}
