package item

import "math"

// ParseNumber reads a number as DynamoDB takes it: an optional sign, digits
// with an optional point, an optional exponent; nothing around it. The error is
// a *ValueError.
func ParseNumber(s string) (Number, error) {
	// Most numbers are short and plain.
	if len(s) > 0 && len(s) <= 19 {
		if n, ok := parseShort(s); ok {
			return n, nil
		}
	}
	p, ok := scanNumber(s)
	if !ok {
		return Number{}, &ValueError{Fault: NotNumeric, Text: s}
	}
	return p.number(s)
}

func parseShort(s string) (Number, bool) {
	neg := s[0] == '-'
	digits := s
	if neg {
		digits = s[1:]
	}
	if len(digits) == 0 || len(digits) > 18 {
		return Number{}, false
	}
	var u uint64
	for i := 0; i < len(digits); i++ {
		c := digits[i] - '0'
		if c > 9 {
			return Number{}, false
		}
		u = u*10 + uint64(c)
	}
	return normal(neg && u != 0, 0, u, 0), true
}

// parts is a number's text taken apart.
type parts struct {
	neg             bool
	whole, fraction string
	exp             int64 // as written
}

// scanNumber takes a number's text apart; false when it is none, or when its
// exponent does not fit 64 bits (which DynamoDB cannot convert either).
func scanNumber(s string) (p parts, ok bool) {
	i := 0
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		p.neg = s[i] == '-'
		i++
	}
	start := i
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	p.whole = s[start:i]
	if i < len(s) && s[i] == '.' {
		i++
		start = i
		for i < len(s) && isDigit(s[i]) {
			i++
		}
		p.fraction = s[start:i]
	}
	if len(p.whole)+len(p.fraction) == 0 {
		return p, false
	}
	if i == len(s) {
		return p, true
	}
	if s[i] != 'e' && s[i] != 'E' {
		return p, false
	}
	p.exp, ok = scanExponent(s[i+1:])
	return p, ok
}

func scanExponent(s string) (int64, bool) {
	neg := false
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		neg = s[0] == '-'
		s = s[1:]
	}
	if len(s) == 0 {
		return 0, false
	}
	var u uint64
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return 0, false
		}
		if u > math.MaxInt64/10 {
			return 0, false
		}
		u = u*10 + uint64(s[i]-'0')
	}
	if neg {
		if u > 1<<63 {
			return 0, false
		}
		return -int64(u), true
	}
	return int64(u), u <= math.MaxInt64
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// number checks the range and the precision and puts the number together; text
// is the original for errors.
func (p parts) number(text string) (Number, error) {
	var hi, lo uint64
	significant, pending := 0, 0 // digits folded in; zeros behind them
	fold := func(digits string) {
		for i := 0; i < len(digits); i++ {
			c := digits[i]
			if c == '0' {
				if significant > 0 {
					pending++
				}
				continue
			}
			if significant += pending + 1; significant <= maxDigits {
				hi, lo = scale(hi, lo, pending)
				hi, lo = mulAdd(hi, lo, 10, uint64(c-'0'))
			}
			pending = 0
		}
	}
	fold(p.whole)
	fold(p.fraction)

	// Keep the sums below from overflowing; a value this far out is refused anyway.
	exp := max(min(p.exp, math.MaxInt64/2), math.MinInt64/2) - int64(len(p.fraction))
	magnitude := exp // zero is judged by the exponent it is written with
	if significant > 0 {
		exp += int64(pending)
		magnitude = exp + int64(significant) - 1
	}
	switch {
	case magnitude > maxMagnitude:
		return Number{}, &ValueError{Fault: Overflow, Text: text}
	case magnitude < minMagnitude:
		return Number{}, &ValueError{Fault: Underflow, Text: text}
	case significant > maxDigits:
		return Number{}, &ValueError{Fault: Precision, Text: text}
	case significant == 0:
		return Number{}, nil
	}
	return Number{hi: hi, lo: lo, exp: int16(exp), neg: p.neg}, nil
}
