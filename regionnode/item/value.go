package item

import (
	"slices"
	"strings"
	"unsafe"
)

// Kind is one of the ten attribute types. On disk and in keys: never reorder.
type Kind uint8

// The kinds, named as DynamoDB JSON names them.
const (
	Invalid Kind = iota // the zero Value: no value at all
	S
	N
	B
	BOOL
	NULL
	M
	L
	SS
	NS
	BS
)

var kindNames = [...]string{"", "S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"}

// String is the type's name in DynamoDB JSON: "S", "N", …
func (k Kind) String() string { return kindNames[k] }

// Value is one attribute value. It is immutable: whoever holds one may share
// it. The zero Value has Kind Invalid and stands for "no value".
//
// Items are slices of values, copied and sorted on every request, so a Value is
// kept at four words: ref and lo are the start and length of a string (S, B), of
// []Value (L and sets) or of []Field (M); for an N, hi, lo and exp are the
// number. Only the constructors and accessors below know that.
type Value struct {
	_      [0]func() // == would compare addresses
	ref    unsafe.Pointer
	hi, lo uint64
	exp    int16
	flag   bool // a BOOL's content, a negative N
	kind   Kind
}

// Field is one named attribute.
type Field struct {
	Name  string
	Value Value
}

// Item is a set of attributes sorted by name (byte order), names unique. It is
// immutable once shared; Set and Remove copy.
type Item []Field

// Str makes an S.
func Str(s string) Value { return text(S, s) }

// Num makes an N.
func Num(n Number) Value {
	return Value{kind: N, hi: n.hi, lo: n.lo, exp: n.exp, flag: n.neg}
}

// Bin makes a B; the string holds the raw bytes.
func Bin(b string) Value { return text(B, b) }

// Bool makes a BOOL.
func Bool(b bool) Value { return Value{kind: BOOL, flag: b} }

// Null makes a NULL.
func Null() Value { return Value{kind: NULL} }

// Map makes an M; fields must be sorted and unique as in every Item. It takes
// the slice over.
func Map(fields Item) Value {
	return Value{kind: M, ref: unsafe.Pointer(unsafe.SliceData(fields)), lo: uint64(len(fields))}
}

// List makes an L. It takes the slice over.
func List(vs []Value) Value { return list(L, vs) }

// Set makes an SS, NS or BS of elements that are all S, N or B, in any order;
// the set has them in Compare's order, in which DynamoDB answers them. It takes
// the slice over.
func Set(kind Kind, elems []Value) Value {
	sortSet(elems)
	return list(kind, elems)
}

func sortSet(elems []Value) {
	if !slices.IsSortedFunc(elems, Compare) {
		slices.SortFunc(elems, Compare)
	}
}

func text(kind Kind, s string) Value {
	return Value{kind: kind, ref: unsafe.Pointer(unsafe.StringData(s)), lo: uint64(len(s))}
}

func list(kind Kind, vs []Value) Value {
	return Value{kind: kind, ref: unsafe.Pointer(unsafe.SliceData(vs)), lo: uint64(len(vs))}
}

// Kind is the value's type.
func (v Value) Kind() Kind { return v.kind }

// Text is the content of an S, or the raw bytes of a B; "" for other kinds.
func (v Value) Text() string {
	if v.kind != S && v.kind != B {
		return ""
	}
	return unsafe.String((*byte)(v.ref), int(v.lo))
}

// Number is the content of an N; 0 for other kinds.
func (v Value) Number() Number {
	if v.kind != N {
		return Number{}
	}
	return Number{hi: v.hi, lo: v.lo, exp: v.exp, neg: v.flag}
}

// Bool is the content of a BOOL; false for other kinds.
func (v Value) Bool() bool { return v.kind == BOOL && v.flag }

// Elems are the elements of an L, SS, NS or BS, nil for other kinds; the caller
// must not change them.
func (v Value) Elems() []Value {
	if v.kind < L {
		return nil
	}
	return unsafe.Slice((*Value)(v.ref), int(v.lo))
}

// Fields are the entries of an M, nil for other kinds; the caller must not
// change them.
func (v Value) Fields() Item {
	if v.kind != M {
		return nil
	}
	return unsafe.Slice((*Field)(v.ref), int(v.lo))
}

// IsSet tells SS, NS and BS.
func (k Kind) IsSet() bool { return k >= SS }

func (it Item) find(name string) (int, bool) {
	// Items are short: a binary search without closures beats a map.
	lo, hi := 0, len(it)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if it[mid].Name < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(it) && it[lo].Name == name
}

// Get returns the named attribute.
func (it Item) Get(name string) (Value, bool) {
	i, ok := it.find(name)
	if !ok {
		return Value{}, false
	}
	return it[i].Value, true
}

// Set returns a copy with the attribute set.
func (it Item) Set(name string, v Value) Item {
	i, ok := it.find(name)
	out := make(Item, 0, len(it)+1)
	out = append(out, it[:i]...)
	out = append(out, Field{name, v})
	if ok {
		i++
	}
	return append(out, it[i:]...)
}

// Remove returns a copy without the attribute, or the item itself if it has none.
func (it Item) Remove(name string) Item {
	i, ok := it.find(name)
	if !ok {
		return it
	}
	out := make(Item, 0, len(it)-1)
	return append(append(out, it[:i]...), it[i+1:]...)
}

// Make sorts fields into an Item. Of fields with one name the last wins. It
// takes the slice over.
func Make(fields []Field) Item { return Item(sortFields(fields)) }

// sortFields sorts in place and drops all but the last field of each name.
func sortFields(fields []Field) []Field {
	if len(fields) > 32 {
		slices.SortStableFunc(fields, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	} else {
		// Most items are short, and fields are long: insert each in one move.
		for i := 1; i < len(fields); i++ {
			j := i
			for j > 0 && fields[j-1].Name > fields[i].Name {
				j--
			}
			if j < i {
				f := fields[i]
				copy(fields[j+1:i+1], fields[j:i])
				fields[j] = f
			}
		}
	}
	out := fields[:0]
	for _, f := range fields {
		if n := len(out); n > 0 && out[n-1].Name == f.Name {
			out[n-1] = f
			continue
		}
		out = append(out, f)
	}
	return out
}
