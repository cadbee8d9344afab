package functions

import "antipode/functions/wire"

// describeContributorInsights reports that there are none.
func describeContributorInsights(c *call, in *wire.DescribeContributorInsightsInput) error {
	d, err := c.describe(in.TableName.Value)
	if err != nil {
		return err
	}
	c.out.BeginObject().Name("TableName").String(d.Name)
	if in.IndexName.Set {
		c.out.Name("IndexName").String(in.IndexName.Value)
	}
	c.out.Name("ContributorInsightsStatus").String("DISABLED").EndObject()
	return nil
}
