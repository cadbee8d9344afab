package replication

import (
	"slices"
	"strings"
)

// everywhere stands for all regions in a context: a write where deletions up to
// a floor are forgotten has seen all up to there (I6). It sorts first.
const everywhere Region = ""

// Includes tells whether a write with this context had seen v: the newest time
// it knew of v's region is v's or later. Everything has seen the zero Version.
func (c Context) Includes(v Version) bool {
	if v.Time.IsZero() {
		return true
	}
	if len(c) > 0 && c[0].Region == everywhere && !c[0].Time.Less(v.Time) {
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
	} else {
		out = slices.Insert(out, i, ContextEntry{v.Region, v.Time})
	}
	if v.Region != everywhere {
		return out
	}
	return slices.DeleteFunc(out, func(e ContextEntry) bool { return e.Region != everywhere && !v.Time.Less(e.Time) })
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

func (c Context) find(r Region) (int, bool) {
	return slices.BinarySearchFunc(c, r, func(e ContextEntry, r Region) int {
		return strings.Compare(string(e.Region), string(r))
	})
}
