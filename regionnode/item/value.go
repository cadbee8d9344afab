package item

import "sort"

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
type Value struct {
	kind Kind
	flag bool    // BOOL
	str  string  // S; B as raw bytes
	num  Number  // N
	list []Value // L; SS, NS, BS in the order given (the encoder sorts none)
	m    Item    // M
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
func Str(s string) Value { return Value{kind: S, str: s} }

// Num makes an N.
func Num(n Number) Value { return Value{kind: N, num: n} }

// Bin makes a B; the string holds the raw bytes.
func Bin(b string) Value { return Value{kind: B, str: b} }

// Bool makes a BOOL.
func Bool(b bool) Value { return Value{kind: BOOL, flag: b} }

// Null makes a NULL.
func Null() Value { return Value{kind: NULL} }

// Map makes an M; fields must be sorted and unique as in every Item.
func Map(fields Item) Value { return Value{kind: M, m: fields} }

// List makes an L.
func List(vs []Value) Value { return Value{kind: L, list: vs} }

// Set makes an SS, NS or BS of elements that are all S, N or B.
func Set(kind Kind, elems []Value) Value { return Value{kind: kind, list: elems} }

// Kind is the value's type.
func (v Value) Kind() Kind { return v.kind }

// Text is the content of an S, or the raw bytes of a B.
func (v Value) Text() string { return v.str }

// Number is the content of an N.
func (v Value) Number() Number { return v.num }

// Bool is the content of a BOOL.
func (v Value) Bool() bool { return v.flag }

// Elems are the elements of an L, SS, NS or BS; the caller must not change them.
func (v Value) Elems() []Value { return v.list }

// Fields are the entries of an M; the caller must not change them.
func (v Value) Fields() Item { return v.m }

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
func Make(fields []Field) Item {
	sort.SliceStable(fields, func(i, j int) bool { return fields[i].Name < fields[j].Name })
	out := fields[:0]
	for _, f := range fields {
		if n := len(out); n > 0 && out[n-1].Name == f.Name {
			out[n-1] = f
			continue
		}
		out = append(out, f)
	}
	return Item(out)
}
