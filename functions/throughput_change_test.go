package functions

import (
	"testing"
	"time"

	"antipode/regionnode/table"
)

// TestDecreases follows what DDB-TABLE-326 recorded: four decreases in a day of
// UTC, one more an hour after the last, and as many again the next day.
func TestDecreases(t *testing.T) {
	units := table.Throughput{Read: 10, Write: 10}
	last := time.Date(2026, 10, 9, 0, 21, 34, 0, time.UTC)
	decrease := func(at time.Time) error {
		return (&call{now: at}).changeThroughput(&units, table.Throughput{Read: units.Read - 1, Write: 10})
	}
	for i := range 4 {
		if err := decrease(last); err != nil {
			t.Fatalf("decrease %d: %v", i+1, err)
		}
	}
	const want = "LimitExceededException: Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. After the first " +
		"4 decreases, each subsequent decrease in the same UTC day can be performed at most once every 3600 seconds. Number of " +
		"decreases today: 4. Last decrease at Friday, October 9, 2026 at 12:21:34 AM Coordinated Universal Time. Next decrease can " +
		"be made at Friday, October 9, 2026 at 1:21:34 AM Coordinated Universal Time"
	if err := decrease(last.Add(3599 * time.Second)); err == nil || err.Error() != want {
		t.Fatalf("a fifth decrease too soon: %v", err)
	}
	if units.Read != 6 || units.DecreasesToday != 4 || units.LastDecrease != last.UnixMilli() {
		t.Errorf("a refused decrease changed %+v", units)
	}
	if err := (&call{now: last}).changeThroughput(&units, table.Throughput{Read: 7, Write: 10}); err != nil {
		t.Errorf("an increase: %v", err)
	}
	if err := decrease(last.Add(time.Hour)); err != nil {
		t.Errorf("a fifth decrease an hour later: %v", err)
	}
	if err := decrease(last.Add(24 * time.Hour)); err != nil || units.DecreasesToday != 1 {
		t.Errorf("a decrease on the next day: %v, %d today", err, units.DecreasesToday)
	}
}
