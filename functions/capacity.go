package functions

import (
	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/table"
)

// What ReturnConsumedCapacity asks for.
const (
	capacityNone    = "NONE"
	capacityTotal   = "TOTAL"
	capacityIndexes = "INDEXES"
)

// capacity is what one request has consumed on one table. Units are fractions
// because an eventually consistent read costs half of one.
type capacity struct {
	table   float64
	indexes []indexCapacity // in the order in which they were first charged
}

type indexCapacity struct {
	name  string
	local bool
	units float64
}

func (c *capacity) total() float64 {
	sum := c.table
	for i := range c.indexes {
		sum += c.indexes[i].units
	}
	return sum
}

// addIndex charges an index. An index charged with nothing stays unlisted.
func (c *capacity) addIndex(name string, local bool, units float64) {
	if units == 0 {
		return
	}
	for i := range c.indexes {
		if c.indexes[i].name == name {
			c.indexes[i].units += units
			return
		}
	}
	c.indexes = append(c.indexes, indexCapacity{name, local, units})
}

// addWrite charges one write by the sizes that the partition reports: the
// larger image of the item, and for each index its entry, twice when the entry
// moved because that is a delete and a put.
func (c *capacity) addWrite(d *table.Descriptor, u *regionnode.Usage) {
	c.table += writeUnits(max(u.OldSize, u.NewSize))
	for i := range u.Indexes {
		x := &u.Indexes[i]
		var units float64
		switch {
		case x.OldSize == 0 && x.NewSize == 0:
		case x.Moved:
			units = writeUnits(x.OldSize) + writeUnits(x.NewSize)
		default:
			units = writeUnits(max(x.OldSize, x.NewSize))
		}
		index := d.Index(x.Name)
		c.addIndex(x.Name, index != nil && index.IsLocal(), units)
	}
}

// writeUnits is the cost of writing size bytes: a unit for each started 1 KB,
// and one unit at least.
func writeUnits(size int) float64 {
	return float64(max(1, (size+table.WriteUnitSize-1)/table.WriteUnitSize))
}

// readUnits is the cost of reading size bytes: a unit for each started 4 KB, one
// at least, and half of that when the read may be stale.
func readUnits(size int, consistent bool) float64 {
	units := float64(max(1, (size+table.ReadUnitSize-1)/table.ReadUnitSize))
	if !consistent {
		units /= 2
	}
	return units
}

// writeMember writes the ConsumedCapacity member of an answer when the request
// asked for it. name is the table as the request named it: a name or an ARN.
func (c *capacity) writeMember(w *wire.Writer, mode, name string) {
	if mode == capacityTotal || mode == capacityIndexes {
		w.Name("ConsumedCapacity")
		c.write(w, mode, name)
	}
}

func (c *capacity) write(w *wire.Writer, mode, name string) {
	w.BeginObject()
	w.Name("TableName").String(name)
	w.Name("CapacityUnits").Float(c.total())
	if mode == capacityIndexes {
		w.Name("Table").BeginObject().Name("CapacityUnits").Float(c.table).EndObject()
		c.writeIndexes(w, "LocalSecondaryIndexes", true)
		c.writeIndexes(w, "GlobalSecondaryIndexes", false)
	}
	w.EndObject()
}

func (c *capacity) writeIndexes(w *wire.Writer, member string, local bool) {
	open := false
	for i := range c.indexes {
		x := &c.indexes[i]
		if x.local != local {
			continue
		}
		if !open {
			w.Name(member).BeginObject()
			open = true
		}
		w.Name(x.name).BeginObject().Name("CapacityUnits").Float(x.units).EndObject()
	}
	if open {
		w.EndObject()
	}
}
