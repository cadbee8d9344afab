package replication

import (
	"slices"
	"strings"

	"antipode/replication/hlc"
)

// Includes tells whether a write with this context had seen v: the newest time
// it knew of v's region is v's or later. Everything has seen the zero Version.
func (c Context) Includes(v Version) bool {
	if v.IsZero() {
		return true
	}
	i, ok := c.find(v.Region)
	return ok && !c[i].Time.Less(v.Time)
}

// With is c with v seen as well. It never changes c, and is c itself when c
// includes v.
func (c Context) With(v Version) Context {
	if c.Includes(v) {
		return c
	}
	i, ok := c.find(v.Region)
	out := slices.Clone(c)
	if ok {
		out[i].Time = v.Time
		return out
	}
	return slices.Insert(out, i, ContextEntry{v.Region, v.Time})
}

// Merge is what c and o have seen together: for each region the newer time. It
// changes neither.
func (c Context) Merge(o Context) Context {
	out := c
	for _, e := range o {
		out = out.With(Version{Time: e.Time, Region: e.Region})
	}
	return out
}

// Forget is c without the times at or before floor, which count as seen
// anyway. It keeps contexts short once regions have left or fallen silent.
func (c Context) Forget(floor hlc.Timestamp) Context {
	gone := func(e ContextEntry) bool { return !floor.Less(e.Time) }
	if !slices.ContainsFunc(c, gone) {
		return c
	}
	return slices.DeleteFunc(slices.Clone(c), gone)
}

func (c Context) find(r Region) (int, bool) {
	return slices.BinarySearchFunc(c, r, func(e ContextEntry, r Region) int {
		return strings.Compare(string(e.Region), string(r))
	})
}
