package item

import (
	"math/big"
	"math/bits"
)

// Add is n+m exactly. A result that a Number cannot hold is a *ValueError:
// overflow, underflow, or more than 38 significant digits.
func (n Number) Add(m Number) (Number, error) {
	switch {
	case n.IsZero():
		return m, nil
	case m.IsZero():
		return n, nil
	}
	low := min(n.exp, m.exp)
	if max(n.magnitude(), m.magnitude())-int(low) >= maxDigits {
		return addBig(n, m)
	}
	nh, nl := scale(n.hi, n.lo, int(n.exp-low))
	mh, ml := scale(m.hi, m.lo, int(m.exp-low))
	if n.neg == m.neg {
		lo, carry := bits.Add64(nl, ml, 0)
		hi, _ := bits.Add64(nh, mh, carry)
		return checked(normal(n.neg, hi, lo, int(low)))
	}
	neg := n.neg
	if nh < mh || nh == mh && nl < ml {
		nh, nl, mh, ml, neg = mh, ml, nh, nl, m.neg
	}
	lo, borrow := bits.Sub64(nl, ml, 0)
	hi, _ := bits.Sub64(nh, mh, borrow)
	return checked(normal(neg, hi, lo, int(low)))
}

// Sub is n-m exactly, with Add's errors.
func (n Number) Sub(m Number) (Number, error) { return n.Add(m.Neg()) }

func checked(n Number) (Number, error) {
	switch mag := n.magnitude(); {
	case mag > maxMagnitude:
		return Number{}, &ValueError{Fault: Overflow}
	case mag < minMagnitude:
		return Number{}, &ValueError{Fault: Underflow}
	case n.digits() > maxDigits:
		return Number{}, &ValueError{Fault: Precision}
	}
	return n, nil
}

// addBig adds numbers whose digits lie so far apart that 128 bits do not span
// them.
func addBig(n, m Number) (Number, error) {
	low := min(n.exp, m.exp)
	a, b := n.big(low), m.big(low)
	sum := a.Add(a, b)
	// At most one digit above the larger operand, and exact: the text parser
	// makes the same checks as for a number that a client sends.
	var digits []byte
	digits = sum.Append(digits, 10)
	p := parts{neg: sum.Sign() < 0, whole: string(digits), exp: int64(low)}
	if p.neg {
		p.whole = p.whole[1:]
	}
	return p.number("")
}

// big is n as an integer multiple of 10^exp.
func (n Number) big(exp int16) *big.Int {
	v := new(big.Int).SetUint64(n.hi)
	v.Lsh(v, 64).Or(v, new(big.Int).SetUint64(n.lo))
	v.Mul(v, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n.exp-exp)), nil))
	if n.neg {
		v.Neg(v)
	}
	return v
}
