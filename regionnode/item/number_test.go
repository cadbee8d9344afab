package item

import (
	"bytes"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The sizes were measured on AWS, each by an item at and one byte above the
// limit of 400 KB.
func TestNumberSize(t *testing.T) {
	for text, want := range map[string]int{
		"0": 1, "1": 2, "12": 2, "123": 3, "1234": 3,
		"12345678901234567890123456789012345678": 20,
		"0042":                                   2, "100": 2, "1010": 3, "0.0000001": 2, "1E125": 2, "1E-100": 2,
		"1.5": 3, "15": 2, "1.2": 3, "1.200": 3, "1.234": 4, "3.14159": 5,
		"123456": 4, "100.5": 4, "0.15": 2, "-42": 3, "-0": 1,
	} {
		if got := parse(t, text).Size(); got != want {
			t.Errorf("%s costs %d, want %d", text, got, want)
		}
	}
}

func TestNumberText(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "-0": "0", "0e125": "0", "0.000": "0", "00042": "42", "+7": "7", "1.0": "1", "3.1400": "3.14",
		"1.5E2": "150", "1e2": "100", "100": "100", "0042.1200": "42.12", "-.5": "-0.5", "5.": "5",
		"1E125":  "1" + strings.Repeat("0", 125),
		"1e-130": "0." + strings.Repeat("0", 129) + "1",
		"9.9999999999999999999999999999999999999E+125":   strings.Repeat("9", 38) + strings.Repeat("0", 88),
		"-12345678901234567890123456789012345678":        "-12345678901234567890123456789012345678",
		"10000000000000000000000000000000000001":         "10000000000000000000000000000000000001",
		"12345678900000000000000000000000000000000e-20":  "123456789000000000000",
		"0.00000000000000000000000000000000000000000123": "0.00000000000000000000000000000000000000000123",
	} {
		if got := parse(t, text).String(); got != want {
			t.Errorf("%s is returned as %s, want %s", text, got, want)
		}
	}
}

func TestNumberFaults(t *testing.T) {
	for text, want := range map[string]Fault{
		"1e99999999999": Overflow, "-1e99999999999": Overflow, "1e-99999999999": Underflow, "1e2147483648": Overflow,
		"1e2147483647": Overflow, "1e-2147483648": Underflow, "1e126": Overflow, "-1E+126": Overflow, "1e-131": Underflow,
		"0e126": Overflow, "0e-131": Underflow, "1e9223372036854775807": Overflow, "1e-9223372036854775808": Underflow,
		"1e9223372036854775808": NotNumeric, "1e-9223372036854775809": NotNumeric, "1e99999999999999999999": NotNumeric,
		"abc": NotNumeric, "1.2.3": NotNumeric, "": NotNumeric, " 1": NotNumeric, "1 ": NotNumeric, "0x10": NotNumeric,
		"1e": NotNumeric, "1e+": NotNumeric, "e1": NotNumeric, ".": NotNumeric, "-": NotNumeric, "+-1": NotNumeric,
		"NaN": NotNumeric, "Infinity": NotNumeric, "1_0": NotNumeric,
		"1234567890123456789012345678901234567890":  Precision,
		"-1.23456789012345678901234567890123456789": Precision,
	} {
		n, err := ParseNumber(text)
		var fault *ValueError
		if !errors.As(err, &fault) || fault.Fault != want || fault.Text != text {
			t.Errorf("%q: %v, %#v, want fault %d", text, n, err, want)
		}
	}
}

func parse(t interface{ Fatalf(string, ...any) }, text string) Number {
	n, err := ParseNumber(text)
	if err != nil {
		t.Fatalf("parse %q: %v", text, err)
	}
	return n
}

// numbers draws numbers over the whole range, often close to one another and
// to the ends.
func numbers() *rapid.Generator[Number] {
	return rapid.Custom(func(t *rapid.T) Number {
		digits := rapid.OneOf(
			rapid.StringMatching(`[0-9]{1,3}`),
			rapid.StringMatching(`[0-9]{1,38}`),
			rapid.StringMatching(`1?9{1,37}`),
			rapid.StringMatching(`10{0,36}1?`),
		).Draw(t, "digits")
		significant := strings.TrimRight(strings.TrimLeft(digits, "0"), "0")
		if significant == "" {
			return Number{}
		}
		exp := rapid.OneOf(
			rapid.IntRange(-5, 5),
			rapid.IntRange(minMagnitude, maxMagnitude),
			rapid.SampledFrom([]int{minMagnitude, maxMagnitude, -38, 37, 38}),
		).Draw(t, "magnitude")
		sign := rapid.SampledFrom([]string{"", "-"}).Draw(t, "sign")
		return parse(t, sign+significant[:1]+"."+significant[1:]+"e"+NumberFromInt64(int64(exp)).String())
	})
}

func rat(n Number) *big.Rat {
	r, ok := new(big.Rat).SetString(n.String())
	if !ok {
		panic("not a number: " + n.String())
	}
	return r
}

func TestNumberProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := numbers().Draw(t, "a"), numbers().Draw(t, "b")
		if back := parse(t, a.String()); back != a {
			t.Fatalf("%v read back is %v", a, back)
		}
		want := rat(a).Cmp(rat(b))
		if got := a.Compare(b); got != want {
			t.Fatalf("%v compares to %v as %d, want %d", a, b, got, want)
		}
		if (a == b) != (want == 0) {
			t.Fatalf("%v == %v is %v", a, b, a == b)
		}
		x, y := AppendOrdered(nil, Num(a)), AppendOrdered(nil, Num(b))
		if got := bytes.Compare(x, y); got != want {
			t.Fatalf("%v and %v order as %d in bytes %x and %x, want %d", a, b, got, x, y, want)
		}
		if got := a.Neg().Compare(b.Neg()); got != -want {
			t.Fatalf("-%v compares to -%v as %d, want %d", a, b, got, -want)
		}
		raw, _ := a.MarshalBinary()
		var back Number
		if err := back.UnmarshalBinary(raw); err != nil || back != a {
			t.Fatalf("%v through %x is %v, %v", a, raw, back, err)
		}
	})
}

func TestNumberSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := numbers().Draw(t, "a"), numbers().Draw(t, "b")
		checkSum(t, "+", new(big.Rat).Add(rat(a), rat(b)), a, b, Number.Add)
		checkSum(t, "-", new(big.Rat).Sub(rat(a), rat(b)), a, b, Number.Sub)
	})
}

// checkSum compares with exact arithmetic: the parser decides what is in range.
func checkSum(t *rapid.T, op string, exact *big.Rat, a, b Number, f func(a, b Number) (Number, error)) {
	text := "0"
	if exact.Sign() != 0 {
		text = exact.FloatString(-minMagnitude + maxDigits)
	}
	want, wantErr := ParseNumber(text)
	got, err := f(a, b)
	if (err == nil) != (wantErr == nil) || got != want {
		t.Fatalf("%v %s %v = %v, %v, want %v, %v", a, op, b, got, err, want, wantErr)
	}
	var x, y *ValueError
	if errors.As(err, &x) && errors.As(wantErr, &y) && x.Fault != y.Fault {
		t.Fatalf("%v %s %v fails with %v, want %v", a, op, b, err, wantErr)
	}
}

func TestInt64(t *testing.T) {
	for _, n := range []int64{0, 1, -1, 10, 1000, 1e18, -1e18, math.MaxInt64, math.MinInt64, math.MaxInt64 - 7, 123456789} {
		if got, ok := NumberFromInt64(n).Int64(); !ok || got != n {
			t.Errorf("%d comes back as %d, %v", n, got, ok)
		}
		if got := parse(t, NumberFromInt64(n).String()); got != NumberFromInt64(n) {
			t.Errorf("%d parses as %v", n, got)
		}
	}
	for _, text := range []string{"9223372036854775808", "-9223372036854775809", "0.5", "1e19", "1e125", "12345678901234567890123"} {
		if got, ok := parse(t, text).Int64(); ok {
			t.Errorf("%s fits an int64 as %d", text, got)
		}
	}
}

func FuzzNumber(f *testing.F) {
	for _, seed := range [][2]string{{"1", "2"}, {"-1e-130", "0"}, {"9.9999999999999999999999999999999999999E+125", "1e125"}, {"123.456", "123.4560001"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, s, u string) {
		a, err := ParseNumber(s)
		if err != nil {
			return
		}
		if exact, ok := new(big.Rat).SetString(s); !ok || exact.Cmp(rat(a)) != 0 {
			t.Fatalf("%q is read as %v", s, a)
		}
		b, err := ParseNumber(u)
		if err != nil {
			return
		}
		want := rat(a).Cmp(rat(b))
		if got := bytes.Compare(AppendOrdered(nil, Num(a)), AppendOrdered(nil, Num(b))); got != want {
			t.Fatalf("%v and %v order as %d, want %d", a, b, got, want)
		}
	})
}
