package replication

import "antipode/replication/hlc"

// Region is an AWS region name. Regions order by name.
type Region string

// Version decides last-writer-wins: clock first, then the region's name, so
// that any two versions compare the same way everywhere. An equal version is
// the same write. The zero Version is older than every write.
type Version struct {
	Time   hlc.Timestamp
	Region Region
}

// Compare is -1, 0 or +1 as v is older than, the same write as, or newer than o.
func (v Version) Compare(o Version) int {
	if c := v.Time.Compare(o.Time); c != 0 {
		return c
	}
	switch {
	case v.Region < o.Region:
		return -1
	case v.Region > o.Region:
		return 1
	}
	return 0
}

// IsZero tells the version of a key that was never written.
func (v Version) IsZero() bool { return v.Time.IsZero() && v.Region == "" }
