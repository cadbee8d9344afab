package functions

import (
	"testing"

	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/table"
)

func TestUnits(t *testing.T) {
	for _, c := range []struct {
		size          int
		strong, stale float64
		write         float64
	}{
		{0, 1, 0.5, 1},
		{1, 1, 0.5, 1},
		{1024, 1, 0.5, 1},
		{1025, 1, 0.5, 2},
		{4096, 1, 0.5, 4},
		{4097, 2, 1, 5},
		{409600, 100, 50, 400},
	} {
		if got := readUnits(c.size, true); got != c.strong {
			t.Errorf("strong read of %d: %v, want %v", c.size, got, c.strong)
		}
		if got := readUnits(c.size, false); got != c.stale {
			t.Errorf("stale read of %d: %v, want %v", c.size, got, c.stale)
		}
		if got := writeUnits(c.size); got != c.write {
			t.Errorf("write of %d: %v, want %v", c.size, got, c.write)
		}
	}
}

func TestConsumedCapacity(t *testing.T) {
	d := &table.Descriptor{
		Locals:  []table.Index{{Name: "l", Local: 1}},
		Globals: []table.Index{{Name: "g"}, {Name: "untouched"}},
	}
	var c capacity
	c.addWrite(d, &regionnode.Usage{OldSize: 3000, NewSize: 100, Indexes: []regionnode.IndexUsage{
		{Name: "l", OldSize: 2000, NewSize: 100},
		{Name: "g", OldSize: 2000, NewSize: 100, Moved: true},
		{Name: "untouched"},
	}})
	for mode, want := range map[string]string{
		capacityNone:  `{}`,
		"":            `{}`,
		capacityTotal: `{"ConsumedCapacity":{"TableName":"t","CapacityUnits":8.0}}`,
		capacityIndexes: `{"ConsumedCapacity":{"TableName":"t","CapacityUnits":8.0,"Table":{"CapacityUnits":3.0},` +
			`"LocalSecondaryIndexes":{"l":{"CapacityUnits":2.0}},"GlobalSecondaryIndexes":{"g":{"CapacityUnits":3.0}}}}`,
	} {
		w := wire.NewWriter()
		w.BeginObject()
		c.writeMember(w, mode, "t")
		w.EndObject()
		if got := string(w.Bytes()); got != want {
			t.Errorf("mode %q:\ngot  %s\nwant %s", mode, got, want)
		}
		w.Free()
	}
}
