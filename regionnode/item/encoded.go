package item

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"unsafe"
)

// Encoded is an item in its compact form: on disk, in the log and on every
// wire. A nil or empty Encoded stands for "no item".
//
//	item   = version size count field*      size is Item.Size
//	field  = length name value              in name order
//	value  = kind [length payload]          BOOL and NULL have neither
//	payload of S, B  the bytes
//	           N     Number's form, below
//	           M     count field*
//	           L     count value*
//	           SS BS count (length bytes)*, NS count (length number)*
//
// Lengths, counts and sizes are unsigned varints, lengths in bytes, so that a
// reader skips what it does not need.
type Encoded []byte

// encodedVersion is the first byte of an Encoded and of an encoded Value.
const encodedVersion = 1

// Kinds on disk are the Kind itself; a BOOL that is true has a byte of its own.
const encodedTrue = 0x20

var errEncoded = errors.New("item: bad encoding")

// AppendEncoded appends the item's compact form.
func (it Item) AppendEncoded(dst []byte) []byte {
	dst = append(dst, encodedVersion)
	dst = binary.AppendUvarint(dst, uint64(it.Size()))
	return appendFields(dst, it)
}

// Encode is AppendEncoded into new memory.
func (it Item) Encode() Encoded { return it.AppendEncoded(nil) }

func appendFields(dst []byte, it Item) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(it)))
	for _, f := range it {
		dst = appendString(dst, f.Name)
		dst = appendValue(dst, f.Value)
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendValue(dst []byte, v Value) []byte {
	switch v.kind {
	case S, B:
		return appendString(append(dst, byte(v.kind)), v.Text())
	case N:
		return appendNumber(append(dst, byte(N)), v.Number())
	case BOOL:
		if v.flag {
			return append(dst, encodedTrue)
		}
		return append(dst, byte(BOOL))
	case M, L, SS, NS, BS:
		dst = append(dst, byte(v.kind), 0)
		start := len(dst)
		return prefixLength(appendPayload(dst, v), start)
	}
	return append(dst, byte(v.kind))
}

func appendPayload(dst []byte, v Value) []byte {
	if v.kind == M {
		return appendFields(dst, v.Fields())
	}
	elems := v.Elems()
	dst = binary.AppendUvarint(dst, uint64(len(elems)))
	for _, e := range elems {
		switch v.kind {
		case L:
			dst = appendValue(dst, e)
		case NS:
			dst = appendNumber(dst, e.Number())
		default:
			dst = appendString(dst, e.Text())
		}
	}
	return dst
}

// prefixLength writes the length of dst[start:] before it: one byte is kept
// free for it, and longer payloads, which are few, move up.
func prefixLength(dst []byte, start int) []byte {
	n := len(dst) - start
	if n < 0x80 {
		dst[start-1] = byte(n)
		return dst
	}
	var length [binary.MaxVarintLen64]byte
	width := binary.PutUvarint(length[:], uint64(n))
	dst = append(dst, length[:width-1]...)
	copy(dst[start-1+width:], dst[start:start+n])
	copy(dst[start-1:], length[:width])
	return dst
}

// The exponent's bias in a number's form.
const encodedBias = 256

// appendNumber writes the length and the form of a number: nothing for 0, else
// two bytes big-endian with the sign on top and the exponent plus 256, then the
// coefficient big-endian without leading zeros.
func appendNumber(dst []byte, n Number) []byte {
	if n.IsZero() {
		return append(dst, 0)
	}
	head := uint16(int(n.exp) + encodedBias)
	if n.neg {
		head |= 0x8000
	}
	if n.hi == 0 {
		width := (bits.Len64(n.lo) + 7) / 8
		dst = append(dst, byte(2+width), byte(head>>8), byte(head))
		return appendBig(dst, n.lo, width)
	}
	width := (bits.Len64(n.hi) + 7) / 8
	dst = append(dst, byte(2+width+8), byte(head>>8), byte(head))
	return appendBig(appendBig(dst, n.hi, width), n.lo, 8)
}

func appendBig(dst []byte, u uint64, width int) []byte {
	for width--; width >= 0; width-- {
		dst = append(dst, byte(u>>(8*width)))
	}
	return dst
}

// decodeNumber reads a number's form; it accepts only what appendNumber writes.
func decodeNumber(b string) (Number, error) {
	if len(b) == 0 {
		return Number{}, nil
	}
	if len(b) < 3 || len(b) > 18 || b[2] == 0 {
		return Number{}, errEncoded
	}
	head := uint16(b[0])<<8 | uint16(b[1])
	n := Number{exp: int16(int(head&0x7fff) - encodedBias), neg: head&0x8000 != 0}
	for i := 2; i < len(b); i++ {
		n.hi = n.hi<<8 | n.lo>>56
		n.lo = n.lo<<8 | uint64(b[i])
	}
	if d := n.digits(); d > maxDigits || int(n.exp)+d-1 > maxMagnitude || int(n.exp)+d-1 < minMagnitude {
		return Number{}, errEncoded
	}
	if normal(n.neg, n.hi, n.lo, int(n.exp)) != n {
		return Number{}, errEncoded
	}
	return n, nil
}

// Size is the item's size as DynamoDB counts it, from the header; 0 for no item
// or a broken header.
func (e Encoded) Size() int {
	r := reader{rest: view(e)}
	size, err := r.header()
	if err != nil {
		return 0
	}
	return size
}

// Len is the number of attributes; 0 for no item or a broken header.
func (e Encoded) Len() int {
	r := reader{rest: view(e)}
	if _, err := r.header(); err != nil {
		return 0
	}
	n, _ := r.count()
	return n
}

// Get decodes one attribute and skips the others.
func (e Encoded) Get(name string) (Value, bool, error) {
	r := reader{rest: view(e)}
	raw, ok, err := r.find(name)
	if !ok || err != nil {
		return Value{}, false, err
	}
	v := reader{rest: strings.Clone(raw)}
	value, err := v.value(0)
	return value, err == nil, err
}

// AppendOrdered appends the key form (AppendOrdered) of one attribute and tells
// its kind: Invalid when it is absent. What is no S, N or B appends nothing.
func (e Encoded) AppendOrdered(dst []byte, name string) ([]byte, Kind, error) {
	r := reader{rest: view(e)}
	raw, ok, err := r.find(name)
	if !ok || err != nil {
		return dst, Invalid, err
	}
	inner := reader{rest: raw}
	k, _, err := inner.kind()
	if err != nil || k != S && k != N && k != B {
		return dst, k, err
	}
	v, err := (&reader{rest: raw}).value(0)
	if err != nil {
		return dst, Invalid, err
	}
	return AppendOrdered(dst, v), k, nil
}

// Decode makes the tree; nil for no item.
func (e Encoded) Decode() (Item, error) {
	if len(e) == 0 {
		return nil, nil
	}
	// One copy that all names and strings of the tree share.
	r := reader{rest: string(e)}
	size, err := r.header()
	if err != nil {
		return nil, fmt.Errorf("decode item: %w", err)
	}
	it, err := r.fields(0)
	if err != nil {
		return nil, fmt.Errorf("decode item: %w", err)
	}
	if r.rest != "" || it.Size() != size {
		return nil, fmt.Errorf("decode item: %w", errEncoded)
	}
	return it, nil
}

// view reads e as a string without copying; the result must not outlive e.
func view(e []byte) string { return unsafe.String(unsafe.SliceData(e), len(e)) }

// Validate checks bytes that come from a disk or a network: that Decode would
// succeed and that encoding the result gives the same bytes.
func (e Encoded) Validate() error {
	it, err := e.Decode()
	if err != nil {
		return err
	}
	if string(it.AppendEncoded(make([]byte, 0, len(e)))) != string(e) {
		return fmt.Errorf("validate item: %w", errEncoded)
	}
	return nil
}
