package functions

import "antipode/functions/wire"

// endpointCacheMinutes is how long AWS lets clients keep an endpoint.
const endpointCacheMinutes = 1440

func describeEndpoints(c *call, _ *wire.DescribeEndpointsInput) error {
	c.out.BeginObject().Name("Endpoints").BeginArray().BeginObject()
	c.out.Name("Address").String("dynamodb." + c.region + ".amazonaws.com")
	c.out.Name("CachePeriodInMinutes").Int(endpointCacheMinutes)
	c.out.EndObject().EndArray().EndObject()
	return nil
}
