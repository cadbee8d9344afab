package functions

import "antipode/functions/wire"

// describeKinesisStreamingDestination reports that there is none.
func describeKinesisStreamingDestination(c *call, in *wire.DescribeKinesisStreamingDestinationInput) error {
	d, err := c.describe(in.TableName.Value)
	if err != nil {
		return err
	}
	c.out.BeginObject().Name("TableName").String(d.Name)
	c.out.Name("KinesisDataStreamDestinations").BeginArray().EndArray().EndObject()
	return nil
}
