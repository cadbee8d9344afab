package replication

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The msgpack forms that records use, over byte slices: the library's encoder
// goes through io.Writer and copies, several times the cost for each record.

var errShort = errors.New("ends too early")

func appendArray(dst []byte, n int) []byte {
	switch {
	case n < 16:
		return append(dst, 0x90|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, 0xdc), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, 0xdd), uint32(n))
}

func appendUint(dst []byte, v uint64) []byte {
	switch {
	case v < 128:
		return append(dst, byte(v))
	case v <= math.MaxUint8:
		return append(dst, 0xcc, byte(v))
	case v <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, 0xcd), uint16(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, 0xce), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xcf), v)
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 0xc3)
	}
	return append(dst, 0xc2)
}

func appendString(dst []byte, s string) []byte {
	switch n := len(s); {
	case n < 32:
		dst = append(dst, 0xa0|byte(n))
	case n <= math.MaxUint8:
		dst = append(dst, 0xd9, byte(n))
	case n <= math.MaxUint16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0xda), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, 0xdb), uint32(n))
	}
	return append(dst, s...)
}

// appendBytes writes nil as nil, so that no image and an empty one differ.
func appendBytes(dst, b []byte) []byte {
	switch n := len(b); {
	case b == nil:
		return append(dst, 0xc0)
	case n <= math.MaxUint8:
		dst = append(dst, 0xc4, byte(n))
	case n <= math.MaxUint16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0xc5), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, 0xc6), uint32(n))
	}
	return append(dst, b...)
}

// A reader takes values off b; after an error it answers zeros and keeps err.
type reader struct {
	b   []byte
	err error
	// seen regions: a batch names the same few in every record.
	seen  [4]Region
	known int
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail(errShort)
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) code() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0xc1 // never used by msgpack
}

// number reads size bytes big-endian.
func (r *reader) number(size uint64) uint64 {
	var v uint64
	for _, c := range r.take(size) {
		v = v<<8 | uint64(c)
	}
	return v
}

func (r *reader) wrong(what string, code byte) {
	r.fail(fmt.Errorf("%s expected, msgpack code %#x found", what, code))
}

func (r *reader) uint() uint64 {
	c := r.code()
	switch {
	case c < 0x80:
		return uint64(c)
	case c >= 0xcc && c <= 0xcf:
		return r.number(1 << (c - 0xcc))
	}
	r.wrong("unsigned number", c)
	return 0
}

// small reads a number of at most limit.
func (r *reader) small(what string, limit uint64) uint64 {
	v := r.uint()
	if v > limit {
		r.fail(fmt.Errorf("%s %d out of range", what, v))
		return 0
	}
	return v
}

func (r *reader) bool() bool {
	c := r.code()
	if c != 0xc2 && c != 0xc3 {
		r.wrong("bool", c)
	}
	return c == 0xc3
}

func (r *reader) string() string { return string(r.text()) }

func (r *reader) text() []byte {
	c := r.code()
	switch {
	case c&0xe0 == 0xa0:
		return r.take(uint64(c & 0x1f))
	case c >= 0xd9 && c <= 0xdb:
		return r.take(r.number(1 << (c - 0xd9)))
	}
	r.wrong("string", c)
	return nil
}

func (r *reader) region() Region {
	name := r.text()
	for _, s := range r.seen[:r.known] {
		if string(s) == string(name) {
			return s
		}
	}
	out := Region(name)
	if r.known < len(r.seen) {
		r.seen[r.known] = out
		r.known++
	}
	return out
}

// bytes shares memory with the input.
func (r *reader) bytes() []byte {
	c := r.code()
	switch {
	case c == 0xc0:
		return nil
	case c >= 0xc4 && c <= 0xc6:
		return r.take(r.number(1 << (c - 0xc4)))
	}
	r.wrong("bytes", c)
	return nil
}

// array reads an array's length. An element is at least one byte, so a length
// beyond the input is refused before anything is allocated for it.
func (r *reader) array() int {
	c := r.code()
	var n uint64
	switch {
	case c&0xf0 == 0x90:
		n = uint64(c & 0x0f)
	case c == 0xdc || c == 0xdd:
		n = r.number(2 << (c - 0xdc))
	default:
		r.wrong("array", c)
		return 0
	}
	if n > uint64(len(r.b)) {
		r.fail(errShort)
		return 0
	}
	return int(n)
}

// fields reads an array's length and how many elements beyond known it has;
// fewer than known is an error.
func (r *reader) fields(what string, known int) (extra int) {
	n := r.array()
	if r.err == nil && n < known {
		r.fail(fmt.Errorf("%s of %d elements, want %d", what, n, known))
	}
	return n - known
}

// skip passes over n values of any kind.
func (r *reader) skip(n int) {
	// Counts instead of recursing: nesting may be as deep as the input is long.
	for left := uint64(max(n, 0)); left > 0 && r.err == nil; left-- {
		c := r.code()
		switch {
		case c < 0x80, c >= 0xe0, c == 0xc0, c == 0xc2, c == 0xc3:
		case c&0xf0 == 0x80:
			left += 2 * uint64(c&0x0f)
		case c&0xf0 == 0x90:
			left += uint64(c & 0x0f)
		case c&0xe0 == 0xa0:
			r.take(uint64(c & 0x1f))
		case c >= 0xc4 && c <= 0xc6:
			r.take(r.number(1 << (c - 0xc4)))
		case c >= 0xc7 && c <= 0xc9:
			r.take(r.number(1<<(c-0xc7)) + 1)
		case c == 0xca || c == 0xce || c == 0xd2:
			r.take(4)
		case c == 0xcb || c == 0xcf || c == 0xd3:
			r.take(8)
		case c == 0xcc || c == 0xd0:
			r.take(1)
		case c == 0xcd || c == 0xd1:
			r.take(2)
		case c >= 0xd4 && c <= 0xd8:
			r.take(1<<(c-0xd4) + 1)
		case c >= 0xd9 && c <= 0xdb:
			r.take(r.number(1 << (c - 0xd9)))
		case c == 0xdc || c == 0xdd:
			left += r.number(2 << (c - 0xdc))
		case c == 0xde || c == 0xdf:
			left += 2 * r.number(2<<(c-0xde))
		default:
			r.wrong("value", c)
		}
	}
}
