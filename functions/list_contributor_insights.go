package functions

import "antipode/functions/wire"

func listContributorInsights(c *call, _ *wire.ListContributorInsightsInput) error {
	c.emptyList("ContributorInsightsSummaries")
	return nil
}
