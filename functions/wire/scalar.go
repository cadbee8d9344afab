package wire

import (
	"math"
	"strconv"
	"strings"
	"time"

	"antipode/regionnode/item/jsonscan"
)

// mismatch refuses a value that cannot become the Java type.
func (d *decoder) mismatch(javaType string) {
	switch d.s.Peek() {
	case jsonscan.Object:
		d.refuse(unexpectedStart)
	case jsonscan.Array:
		d.refuse(unrecognized + "class java.lang." + javaType)
	case jsonscan.String:
		d.refuse("STRING_VALUE cannot be converted to " + javaType)
	case jsonscan.True:
		d.refuse("TRUE_VALUE cannot be converted to " + javaType)
	case jsonscan.False:
		d.refuse("FALSE_VALUE cannot be converted to " + javaType)
	case jsonscan.Number:
		n, err := d.s.Number()
		if err != nil {
			d.fail(err)
			return
		}
		kind := "NUMBER_VALUE"
		if strings.ContainsAny(n, ".eE") {
			kind = "DECIMAL_VALUE"
		}
		d.refuse(kind + " cannot be converted to " + javaType)
	default:
		d.skip() // no JSON: Skip says so
	}
}

// str reads a string element; null is the empty string.
func (d *decoder) str() string {
	if d.null() {
		return ""
	}
	if d.s.Peek() != jsonscan.String {
		d.mismatch("String")
		return ""
	}
	s, err := d.s.String()
	d.fail(err)
	return s
}

func (d *decoder) text(dst *Opt[string]) {
	if !d.null() {
		*dst = Opt[string]{d.str(), true}
	}
}

// boolean reads true or false, also the strings that DynamoDB takes for them.
func (d *decoder) boolean(dst *Opt[bool]) {
	if d.null() {
		return
	}
	switch d.s.Peek() {
	case jsonscan.True, jsonscan.False:
		b, err := d.s.Bool()
		d.fail(err)
		*dst = Opt[bool]{b, true}
	case jsonscan.String:
		switch strings.ToUpper(d.str()) {
		case "TRUE", "1", "YES":
			*dst = Opt[bool]{true, true}
		case "FALSE", "0", "NO":
			*dst = Opt[bool]{false, true}
		default:
			d.refuse(unexpectedToken)
		}
	default:
		d.mismatch("Boolean")
	}
}

func (d *decoder) integer(dst *Opt[int64]) {
	d.whole(dst, "Integer", math.MinInt32, math.MaxInt32)
}

func (d *decoder) long(dst *Opt[int64]) { d.whole(dst, "Long", math.MinInt64, math.MaxInt64) }

// whole reads a number, dropping a fraction and clamping it to the type.
func (d *decoder) whole(dst *Opt[int64], javaType string, low, high int64) {
	if d.null() {
		return
	}
	if d.s.Peek() != jsonscan.Number {
		d.mismatch(javaType)
		return
	}
	text, err := d.s.Number()
	if err != nil {
		d.fail(err)
		return
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		f, _ := strconv.ParseFloat(text, 64) // ±Inf out of range
		switch f = math.Floor(f); {
		case f >= float64(high):
			n = high
		case f <= float64(low):
			n = low
		default:
			n = int64(f)
		}
	}
	*dst = Opt[int64]{min(max(n, low), high), true}
}

func (d *decoder) double(dst *Opt[float64]) { *dst = d.float("Double") }

// timestamp reads seconds since the epoch, with a fraction.
func (d *decoder) timestamp(dst *Opt[time.Time]) {
	f := d.float("Date")
	if !f.Set {
		return
	}
	// Beyond the years 0 to 9999 the value has no meaning; clamp it.
	sec := min(max(f.Value, -62167219200), 253402300799)
	whole := math.Floor(sec)
	*dst = Opt[time.Time]{time.Unix(int64(whole), int64(math.Round((sec-whole)*1e3))*1e6).UTC(), true}
}

func (d *decoder) float(javaType string) Opt[float64] {
	if d.null() {
		return Opt[float64]{}
	}
	if d.s.Peek() != jsonscan.Number {
		d.mismatch(javaType)
		return Opt[float64]{}
	}
	text, err := d.s.Number()
	if err != nil {
		d.fail(err)
		return Opt[float64]{}
	}
	f, _ := strconv.ParseFloat(text, 64)
	return Opt[float64]{min(max(f, -math.MaxFloat64), math.MaxFloat64), true}
}
