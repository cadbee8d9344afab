package functions

import "antipode/functions/wire"

// The quotas that AWS gives a new account in most regions. antipode enforces
// none of them.
const (
	accountMaxUnits = 80000
	tableMaxUnits   = 40000
)

func describeLimits(c *call, _ *wire.DescribeLimitsInput) error {
	c.out.BeginObject()
	c.out.Name("AccountMaxReadCapacityUnits").Int(accountMaxUnits)
	c.out.Name("AccountMaxWriteCapacityUnits").Int(accountMaxUnits)
	c.out.Name("TableMaxReadCapacityUnits").Int(tableMaxUnits)
	c.out.Name("TableMaxWriteCapacityUnits").Int(tableMaxUnits)
	c.out.EndObject()
	return nil
}
