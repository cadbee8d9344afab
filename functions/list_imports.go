package functions

import "antipode/functions/wire"

func listImports(c *call, _ *wire.ListImportsInput) error {
	c.emptyList("ImportSummaryList")
	return nil
}
