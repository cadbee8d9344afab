package functions

import (
	"time"

	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// AWS lets units be decreased so often in a day of UTC, and once in an hour from
// then on (DDB-TABLE-184, 326). A table and each of its indexes count for
// themselves (DDB-TABLE-157).
const (
	decreasesADay      = 4
	secondsOfADecrease = 3600
)

// changeThroughput is setThroughput but for a decrease too many, which it
// refuses.
func (c *call) changeThroughput(old *table.Throughput, t table.Throughput) error {
	today, next := decreasesToday(old, c.now), old.LastDecrease+secondsOfADecrease*1000
	if (t.Read < old.Read || t.Write < old.Write) && today >= decreasesADay && c.now.UnixMilli() < next {
		return apierr.Newf(apierr.LimitExceeded, "Subscriber limit exceeded: Provisioned throughput decreases are limited within "+
			"a given UTC day. After the first %d decreases, each subsequent decrease in the same UTC day can be performed at most "+
			"once every %d seconds. Number of decreases today: %d. Last decrease at %s. Next decrease can be made at %s",
			decreasesADay, secondsOfADecrease, today, longTime(old.LastDecrease), longTime(next))
	}
	c.setThroughput(old, t)
	return nil
}

// setThroughput takes new units over and notes the times of the change.
func (c *call) setThroughput(old *table.Throughput, t table.Throughput) {
	now := c.now.UnixMilli()
	if t.Read > old.Read || t.Write > old.Write {
		old.LastIncrease = now
	}
	if t.Read < old.Read || t.Write < old.Write {
		old.DecreasesToday = decreasesToday(old, c.now) + 1
		old.LastDecrease = now
	}
	old.Read, old.Write = t.Read, t.Write
}

// decreasesToday counts the decreases of now's day of UTC.
func decreasesToday(t *table.Throughput, now time.Time) int64 {
	const day = 24 * 60 * 60 * 1000
	if t.LastDecrease/day != now.UnixMilli()/day {
		return 0
	}
	return t.DecreasesToday
}

// longTime is a time in milliseconds since 1970 as AWS's texts of quotas print it.
func longTime(millis int64) string {
	return time.UnixMilli(millis).UTC().Format("Monday, January 2, 2006 at 3:04:05 PM") + " Coordinated Universal Time"
}
