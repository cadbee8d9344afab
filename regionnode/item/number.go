package item

import (
	"math/bits"
	"strconv"
)

// Number is a DynamoDB number: up to 38 significant decimal digits, zero or a
// magnitude from 1E-130 to 9.9999999999999999999999999999999999999E+125. Each
// value has one representation, so == compares by value; the zero Number is 0.
type Number struct {
	// The coefficient, below 10^38 and no multiple of ten; the value is
	// ±coefficient × 10^exp.
	hi, lo uint64
	exp    int16
	neg    bool
}

const (
	maxDigits    = 38
	maxMagnitude = 125  // decimal exponent of the first digit
	minMagnitude = -130 // likewise
	e19          = 1e19 // the largest power of ten in a uint64

	// 10^38 in two halves.
	e38hi = 5421010862427522170
	e38lo = 687399551400673280
)

var pow10 = [20]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

// NumberFromInt64 makes a Number of n.
func NumberFromInt64(n int64) Number {
	u := uint64(n)
	if n < 0 {
		u = -u
	}
	return normal(n < 0, 0, u, 0)
}

// IsZero tells whether n is 0.
func (n Number) IsZero() bool { return n.hi|n.lo == 0 }

// Sign is -1, 0 or +1.
func (n Number) Sign() int {
	switch {
	case n.IsZero():
		return 0
	case n.neg:
		return -1
	}
	return 1
}

// Neg is -n.
func (n Number) Neg() Number {
	if !n.IsZero() {
		n.neg = !n.neg
	}
	return n
}

// Int64 is n as an int64; false when n has a fraction or does not fit.
func (n Number) Int64() (int64, bool) {
	if n.hi != 0 || n.exp < 0 || n.exp > 18 {
		return 0, false
	}
	over, u := bits.Mul64(n.lo, pow10[n.exp])
	switch {
	case over != 0:
		return 0, false
	case n.neg && u <= 1<<63:
		return -int64(u), true
	case !n.neg && u < 1<<63:
		return int64(u), true
	}
	return 0, false
}

// Compare orders by value: -1, 0 or +1.
func (n Number) Compare(m Number) int {
	sn, sm := n.Sign(), m.Sign()
	switch {
	case sn < sm:
		return -1
	case sn > sm:
		return 1
	case sn == 0:
		return 0
	}
	return sn * compareMagnitude(n, m)
}

func compareMagnitude(n, m Number) int {
	if a, b := n.magnitude(), m.magnitude(); a != b {
		return cmpInt(a, b)
	}
	// Equal magnitudes: after scaling to the smaller exponent both have the
	// same number of digits, at most 38.
	nh, nl, mh, ml := n.hi, n.lo, m.hi, m.lo
	if n.exp > m.exp {
		nh, nl = scale(nh, nl, int(n.exp-m.exp))
	} else {
		mh, ml = scale(mh, ml, int(m.exp-n.exp))
	}
	if nh != mh {
		return cmpUint(nh, mh)
	}
	return cmpUint(nl, ml)
}

func cmpInt(a, b int) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

func cmpUint(a, b uint64) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// magnitude is the decimal exponent of the first digit; 0 for zero.
func (n Number) magnitude() int {
	if n.IsZero() {
		return 0
	}
	return int(n.exp) + n.digits() - 1
}

// digits counts the coefficient's decimal digits; 0 for zero.
func (n Number) digits() int {
	switch {
	case n.hi == 0:
		return digits64(n.lo)
	case n.hi > e38hi || n.hi == e38hi && n.lo >= e38lo:
		return maxDigits + 1 // a sum that is not checked yet
	}
	q, _ := bits.Div64(n.hi, n.lo, e19)
	return 19 + digits64(q)
}

func digits64(u uint64) int {
	if u == 0 {
		return 0
	}
	// 1233/4096 is just above log10(2).
	d := bits.Len64(u) * 1233 >> 12
	if u >= pow10[d] {
		d++
	}
	return d
}

// scale multiplies a coefficient by 10^k; the result must fit 128 bits.
func scale(hi, lo uint64, k int) (uint64, uint64) {
	for k > 0 {
		step := min(k, 19)
		h, l := bits.Mul64(lo, pow10[step])
		hi, lo = hi*pow10[step]+h, l
		k -= step
	}
	return hi, lo
}

// mulAdd is coefficient×factor + d; the result must fit 128 bits.
func mulAdd(hi, lo, factor, d uint64) (uint64, uint64) {
	h, l := bits.Mul64(lo, factor)
	l, carry := bits.Add64(l, d, 0)
	return hi*factor + h + carry, l
}

// normal makes a Number of a coefficient that may end in zeros; the value must
// be in range.
func normal(neg bool, hi, lo uint64, exp int) Number {
	for hi != 0 {
		qh := hi / 10
		ql, r := bits.Div64(hi%10, lo, 10)
		if r != 0 {
			return Number{hi: hi, lo: lo, exp: int16(exp), neg: neg}
		}
		hi, lo, exp = qh, ql, exp+1
	}
	if lo == 0 {
		return Number{}
	}
	for lo%1e4 == 0 {
		lo, exp = lo/1e4, exp+4
	}
	for lo%10 == 0 {
		lo, exp = lo/10, exp+1
	}
	return Number{lo: lo, exp: int16(exp), neg: neg}
}

// appendDigits appends the coefficient's digits.
func (n Number) appendDigits(dst []byte) []byte {
	if n.hi == 0 {
		return strconv.AppendUint(dst, n.lo, 10)
	}
	q, r := bits.Div64(n.hi, n.lo, e19)
	dst = strconv.AppendUint(dst, q, 10)
	dst = appendZeros(dst, 19-max(1, digits64(r)))
	return strconv.AppendUint(dst, r, 10)
}

// Append appends the text that DynamoDB returns: the plain decimal expansion,
// never an exponent, no needless zeros. At most 169 bytes.
func (n Number) Append(dst []byte) []byte {
	if n.IsZero() {
		return append(dst, '0')
	}
	if n.neg {
		dst = append(dst, '-')
	}
	if n.exp >= 0 {
		dst = n.appendDigits(dst)
		return appendZeros(dst, int(n.exp))
	}
	var buf [maxDigits]byte
	d := n.appendDigits(buf[:0])
	point := len(d) + int(n.exp)
	if point <= 0 {
		dst = appendZeros(append(dst, '0', '.'), -point)
		return append(dst, d...)
	}
	dst = append(dst, d[:point]...)
	dst = append(dst, '.')
	return append(dst, d[point:]...)
}

const zeros = "00000000000000000000000000000000"

func appendZeros(dst []byte, n int) []byte {
	for n > len(zeros) {
		dst, n = append(dst, zeros...), n-len(zeros)
	}
	return append(dst, zeros[:n]...)
}

// String is the text that DynamoDB returns.
func (n Number) String() string {
	var buf [192]byte
	return string(n.Append(buf[:0]))
}

// Size is what the number costs in an item, in DynamoDB's bytes: one, plus one
// for each two digits before the decimal point and each two after it, rounded
// up apart, plus one when negative; outer zeros are free and 0 costs 1. As
// measured on AWS; the developer guide's rule differs.
func (n Number) Size() int {
	if n.IsZero() {
		return 1
	}
	whole, fraction := n.digits(), 0
	if n.exp < 0 {
		if point := whole + int(n.exp); point > 0 {
			whole, fraction = point, -int(n.exp)
		} else {
			whole, fraction = 0, whole
		}
	}
	size := 1 + (whole+1)/2 + (fraction+1)/2
	if n.neg {
		size++
	}
	return size
}
