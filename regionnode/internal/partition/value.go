package partition

import (
	"encoding/binary"

	"antipode/regionnode/item"
	"antipode/replication"
)

// The first byte of what a data key holds.
const (
	// itemFormat: flags, time, region, context, item.
	itemFormat byte = 1
	// indexFormat: the projected item alone.
	indexFormat byte = 2
)

// tombstoneFlag marks the value of a deleted key that is kept for its version.
const tombstoneFlag byte = 1

// stampOffset is where a stored value's time lies.
const stampOffset = 2

// stored is a decoded value of the item span. The zero stored is an absent key.
type stored struct {
	Version   replication.Version
	Context   replication.Context
	Tombstone bool
	// Item aliases the bytes it was decoded from; nil for a tombstone.
	Item item.Encoded
}

// live tells whether there is an item.
func (s *stored) live() bool { return len(s.Item) > 0 }

// appendStored appends the form that the item span holds. An item must not be
// empty; nil makes a tombstone.
func appendStored(dst []byte, v replication.Version, c replication.Context, it item.Encoded) []byte {
	flags := byte(0)
	if len(it) == 0 {
		flags = tombstoneFlag
	}
	dst = append(dst, itemFormat, flags)
	dst = appendTime(dst, v.Time)
	dst = binary.AppendUvarint(dst, uint64(len(v.Region)))
	dst = append(dst, v.Region...)
	dst = appendContext(dst, c)
	return append(dst, it...)
}

// decodeStored reads a value whole; the item aliases b.
func decodeStored(b []byte) (stored, error) {
	d := decoder{b: b}
	if d.byte() != itemFormat {
		return stored{}, errBroken
	}
	var s stored
	s.Tombstone = d.byte()&tombstoneFlag != 0
	s.Version.Time = d.time()
	s.Version.Region = replication.Region(d.bytes())
	s.Context = d.context()
	if d.bad || (len(d.b) == 0) != s.Tombstone {
		return stored{}, errBroken
	}
	s.Item = item.Encoded(d.b)
	return s, nil
}

// storedItem is the item in a value, without decoding the rest; nil for a
// tombstone. It aliases b.
func storedItem(b []byte) (item.Encoded, error) {
	d := decoder{b: b}
	switch d.byte() {
	case indexFormat:
		return item.Encoded(d.b), nil
	case itemFormat:
	default:
		return nil, errBroken
	}
	d.take(1 + stampLen)
	d.bytes()
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		d.bytes()
		d.take(stampLen)
	}
	return item.Encoded(d.b), d.err()
}

// appendIndexed appends the form that a local index span holds.
func appendIndexed(dst []byte, it item.Encoded) []byte {
	return append(append(dst, indexFormat), it...)
}
