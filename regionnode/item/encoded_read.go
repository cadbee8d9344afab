package item

import (
	"encoding/binary"
	"unsafe"
)

// maxEncodedDepth bounds recursion on bytes that were not checked yet; items
// nest at most MaxDepth deep.
const maxEncodedDepth = 2 * MaxDepth

// MaxDepth is how many levels deep a value may nest, the attribute itself
// counted as the first.
const MaxDepth = 32

// reader walks an encoded item. What it returns shares the memory of rest.
type reader struct{ rest string }

func (r *reader) uvarint() (uint64, error) {
	if len(r.rest) > 0 && r.rest[0] < 0x80 {
		u := uint64(r.rest[0])
		r.rest = r.rest[1:]
		return u, nil
	}
	u, n := binary.Uvarint(unsafe.Slice(unsafe.StringData(r.rest), len(r.rest)))
	if n <= 0 {
		return 0, errEncoded
	}
	r.rest = r.rest[n:]
	return u, nil
}

// header reads the version and the size.
func (r *reader) header() (size int, err error) {
	if len(r.rest) == 0 || r.rest[0] != encodedVersion {
		return 0, errEncoded
	}
	r.rest = r.rest[1:]
	u, err := r.uvarint()
	if err != nil || u > 1<<40 {
		return 0, errEncoded
	}
	return int(u), nil
}

// count reads a number of entries; each takes at least a byte.
func (r *reader) count() (int, error) {
	u, err := r.uvarint()
	if err != nil || u > uint64(len(r.rest)) {
		return 0, errEncoded
	}
	return int(u), nil
}

// text reads a length and as many bytes.
func (r *reader) text() (string, error) {
	u, err := r.uvarint()
	if err != nil || u > uint64(len(r.rest)) {
		return "", errEncoded
	}
	s := r.rest[:u]
	r.rest = r.rest[u:]
	return s, nil
}

// kind reads a value's first byte.
func (r *reader) kind() (k Kind, isTrue bool, err error) {
	if r.rest == "" {
		return Invalid, false, errEncoded
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	if b == encodedTrue {
		return BOOL, true, nil
	}
	if b > byte(BS) {
		return Invalid, false, errEncoded
	}
	return Kind(b), false, nil
}

// skip passes a value by and returns its bytes.
func (r *reader) skip() (string, error) {
	start := r.rest
	k, _, err := r.kind()
	if err != nil {
		return "", err
	}
	if k != BOOL && k != NULL && k != Invalid {
		if _, err := r.text(); err != nil {
			return "", err
		}
	}
	return start[:len(start)-len(r.rest)], nil
}

// find returns the bytes of the named attribute's value; it starts at the
// version.
func (r *reader) find(name string) (string, bool, error) {
	if r.rest == "" {
		return "", false, nil
	}
	if _, err := r.header(); err != nil {
		return "", false, err
	}
	n, err := r.count()
	if err != nil {
		return "", false, err
	}
	for ; n > 0; n-- {
		at, err := r.text()
		if err != nil {
			return "", false, err
		}
		if at > name {
			return "", false, nil
		}
		raw, err := r.skip()
		if err != nil {
			return "", false, err
		}
		if at == name {
			return raw, true, nil
		}
	}
	return "", false, nil
}

func (r *reader) fields(depth int) (Item, error) {
	n, err := r.count()
	if err != nil || depth > maxEncodedDepth {
		return nil, errEncoded
	}
	if n == 0 {
		return nil, nil
	}
	it := make(Item, n)
	for i := range it {
		f := &it[i]
		if f.Name, err = r.text(); err != nil {
			return nil, err
		}
		if i > 0 && f.Name <= it[i-1].Name {
			return nil, errEncoded
		}
		if f.Value, err = r.value(depth + 1); err != nil {
			return nil, err
		}
	}
	return it, nil
}

func (r *reader) value(depth int) (Value, error) {
	k, isTrue, err := r.kind()
	if err != nil {
		return Value{}, err
	}
	switch k {
	case BOOL:
		return Bool(isTrue), nil
	case NULL, Invalid:
		return Value{kind: k}, nil
	}
	s, err := r.text()
	if err != nil {
		return Value{}, err
	}
	switch k {
	case S, B:
		return text(k, s), nil
	case N:
		n, err := decodeNumber(s)
		return Num(n), err
	}
	inner := reader{rest: s}
	var v Value
	if k == M {
		var fields Item
		fields, err = inner.fields(depth)
		v = Map(fields)
	} else {
		v, err = inner.elems(k, depth)
	}
	if err == nil && inner.rest != "" {
		err = errEncoded
	}
	return v, err
}

func (r *reader) elems(k Kind, depth int) (Value, error) {
	n, err := r.count()
	if err != nil || depth > maxEncodedDepth {
		return Value{}, errEncoded
	}
	vs := make([]Value, n)
	for i := range vs {
		switch k {
		case L:
			vs[i], err = r.value(depth + 1)
		default:
			vs[i], err = r.elem(k)
		}
		if err != nil {
			return Value{}, err
		}
	}
	return list(k, vs), nil
}

// elem reads one element of a set of kind k.
func (r *reader) elem(k Kind) (Value, error) {
	s, err := r.text()
	if err != nil {
		return Value{}, err
	}
	switch k {
	case NS:
		n, err := decodeNumber(s)
		return Num(n), err
	case BS:
		return Bin(s), nil
	}
	return Str(s), nil
}
