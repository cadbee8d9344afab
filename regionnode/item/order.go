package item

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// The first byte of an ordered value. On disk: never change. Numbers have three
// so that the sign orders before the magnitude.
const (
	tagNegative = 0x10
	tagZero     = 0x11
	tagPositive = 0x12
	tagString   = 0x20
	tagBinary   = 0x30
)

// Inside an ordered S or B a zero byte is followed by escapeZero; escapeEnd
// after a zero byte ends the value, so that a prefix sorts first.
const (
	escapeEnd  = 0x01
	escapeZero = 0xff
)

var errOrdered = errors.New("item: bad ordered value")

// AppendOrdered appends v, an S, N or B, so that byte order is Compare's order.
// The form is self-delimiting: concatenations order value by value. Other kinds
// cannot be keys and panic.
//
// An S or B is its tag, its bytes with zeros escaped, and an end mark. An N is
// its tag, the exponent of its first digit plus 130, and its digits in pairs:
// each pair doubled, plus one if more follow. A negative one has all bytes
// behind the tag complemented.
func AppendOrdered(dst []byte, v Value) []byte {
	switch v.kind {
	case S:
		return append(appendEscaped(append(dst, tagString), v.Text()), 0, escapeEnd)
	case B:
		return append(appendEscaped(append(dst, tagBinary), v.Text()), 0, escapeEnd)
	case N:
		return appendOrderedNumber(dst, v.Number())
	}
	panic(fmt.Sprintf("item: a %v has no key form", v.kind))
}

// AppendOrderedPrefix appends what the ordered form of every value that begins
// with v starts with. v is an S or B; others panic.
func AppendOrderedPrefix(dst []byte, v Value) []byte {
	switch v.kind {
	case S:
		return appendEscaped(append(dst, tagString), v.Text())
	case B:
		return appendEscaped(append(dst, tagBinary), v.Text())
	}
	panic(fmt.Sprintf("item: a %v has no prefix form", v.kind))
}

// PrefixEnd is the least byte string above all those that start with b, in new
// memory; nil when there is none.
func PrefixEnd(b []byte) []byte {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] != 0xff {
			end := bytes.Clone(b[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}

func appendEscaped(dst []byte, s string) []byte {
	for {
		i := strings.IndexByte(s, 0)
		if i < 0 {
			return append(dst, s...)
		}
		dst = append(append(dst, s[:i+1]...), escapeZero)
		s = s[i+1:]
	}
}

func appendOrderedNumber(dst []byte, n Number) []byte {
	if n.IsZero() {
		return append(dst, tagZero)
	}
	var buf [maxDigits + 1]byte
	d := n.appendDigits(buf[:0])
	tag, flip := byte(tagPositive), byte(0)
	if n.neg {
		tag, flip = tagNegative, 0xff
	}
	dst = append(dst, tag, byte(int(n.exp)+len(d)-1-minMagnitude)^flip)
	if len(d)%2 != 0 {
		d = append(d, '0')
	}
	for i := 0; i < len(d); i += 2 {
		pair := (d[i]-'0')*20 + (d[i+1]-'0')*2
		if i+2 < len(d) {
			pair++
		}
		dst = append(dst, pair^flip)
	}
	return dst
}

// DecodeOrdered reads one ordered value and returns what follows it. Only what
// AppendOrdered writes is accepted.
func DecodeOrdered(b []byte) (v Value, rest []byte, err error) {
	if len(b) == 0 {
		return Value{}, nil, errOrdered
	}
	switch b[0] {
	case tagString, tagBinary:
		text, rest, err := unescape(b[1:])
		if err != nil {
			return Value{}, nil, err
		}
		if b[0] == tagString {
			return Str(text), rest, nil
		}
		return Bin(text), rest, nil
	case tagZero:
		return Num(Number{}), b[1:], nil
	case tagPositive:
		return decodeOrderedNumber(b[1:], false)
	case tagNegative:
		return decodeOrderedNumber(b[1:], true)
	}
	return Value{}, nil, errOrdered
}

func unescape(b []byte) (text string, rest []byte, err error) {
	i := bytes.IndexByte(b, 0)
	if i >= 0 && i+1 < len(b) && b[i+1] == escapeEnd {
		return string(b[:i]), b[i+2:], nil
	}
	var out []byte
	for {
		i := bytes.IndexByte(b, 0)
		if i < 0 || i+1 >= len(b) {
			return "", nil, errOrdered
		}
		switch b[i+1] {
		case escapeEnd:
			return string(append(out, b[:i]...)), b[i+2:], nil
		case escapeZero:
			out = append(out, b[:i+1]...)
			b = b[i+2:]
		default:
			return "", nil, errOrdered
		}
	}
}

func decodeOrderedNumber(b []byte, neg bool) (Value, []byte, error) {
	flip := byte(0)
	if neg {
		flip = 0xff
	}
	if len(b) < 2 {
		return Value{}, nil, errOrdered
	}
	exp := int(b[0]^flip) + minMagnitude // of the first digit
	var n Number
	for i := 1; i < len(b) && i <= maxDigits/2; i++ {
		pair := b[i] ^ flip
		if pair > 199 || i == 1 && pair < 20 {
			break
		}
		digits, more := uint64(pair/2), pair&1 != 0
		if !more && digits%10 == 0 {
			// The last digit of an odd number of digits.
			n.add(10, digits/10)
			exp--
		} else {
			n.add(100, digits)
			exp -= 2
		}
		if more {
			continue
		}
		if digits == 0 {
			break
		}
		n.exp, n.neg = int16(exp+1), neg
		return Num(n), b[i+1:], nil
	}
	return Value{}, nil, errOrdered
}

// add makes the coefficient coefficient×factor + digits.
func (n *Number) add(factor, digits uint64) {
	n.hi, n.lo = mulAdd(n.hi, n.lo, factor, digits)
}
