package item

// Size is the item's size as DynamoDB counts it, in bytes: each attribute's
// name and value.
func (it Item) Size() int {
	size := 0
	for _, f := range it {
		size += len(f.Name) + f.Value.Size()
	}
	return size
}

// Size is what the value adds to an item's size: an S or B its bytes, an N
// Number.Size, BOOL and NULL 1, a set its elements, an L or M 3 plus 1 for each
// entry plus the entries (names included).
func (v Value) Size() int {
	switch v.kind {
	case S, B:
		return int(v.lo)
	case N:
		return v.Number().Size()
	case BOOL, NULL:
		return 1
	case M:
		return documentSize + v.Fields().Size() + int(v.lo)*entrySize
	case L, SS, NS, BS:
		size := 0
		for _, e := range v.Elems() {
			size += e.Size()
		}
		if v.kind == L {
			size += documentSize + int(v.lo)*entrySize
		}
		return size
	}
	return 0
}

// What DynamoDB adds for an L or M, and for each entry of one.
const (
	documentSize = 3
	entrySize    = 1
)
