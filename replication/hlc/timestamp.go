package hlc

// Timestamp is a reading of a hybrid logical clock: Wall in nanoseconds since
// the Unix epoch, Logical to order readings within one nanosecond.
type Timestamp struct {
	Wall    int64
	Logical uint32
}

// Compare is -1, 0 or +1 as t is before, equal to, or after o.
func (t Timestamp) Compare(o Timestamp) int {
	switch {
	case t.Wall < o.Wall || t.Wall == o.Wall && t.Logical < o.Logical:
		return -1
	case t == o:
		return 0
	}
	return 1
}

// Less tells whether t is before o.
func (t Timestamp) Less(o Timestamp) bool { return t.Compare(o) < 0 }

// IsZero tells the time before all others.
func (t Timestamp) IsZero() bool { return t == Timestamp{} }

// Next is the smallest timestamp after t.
func (t Timestamp) Next() Timestamp {
	if t.Logical == ^uint32(0) {
		return Timestamp{Wall: t.Wall + 1}
	}
	return Timestamp{Wall: t.Wall, Logical: t.Logical + 1}
}
