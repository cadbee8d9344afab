package functions

import "antipode/functions/wire"

func listExports(c *call, _ *wire.ListExportsInput) error {
	c.emptyList("ExportSummaries")
	return nil
}
