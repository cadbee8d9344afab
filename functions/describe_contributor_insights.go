package functions

import "antipode/functions/wire"

// describeContributorInsights reports that there are none.
func describeContributorInsights(c *call, in *wire.DescribeContributorInsightsInput) error {
	name := tableName(in.TableName.Value)
	if _, err := c.backend.DescribeTable(c.ctx, name); err != nil {
		return err
	}
	c.out.BeginObject().Name("TableName").String(name)
	if in.IndexName.Set {
		c.out.Name("IndexName").String(in.IndexName.Value)
	}
	c.out.Name("ContributorInsightsStatus").String("DISABLED").EndObject()
	return nil
}
