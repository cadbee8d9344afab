package item

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestGoldenOrdered holds the key form still: these bytes are on disks.
func TestGoldenOrdered(t *testing.T) {
	for _, c := range []struct {
		v    Value
		want string
	}{
		{Str(""), "200001"},
		{Str("a\x00b"), "206100ff620001"},
		{Bin("\xff\x00"), "30ff00ff0001"},
		{Num(Number{}), "11"},
		{Num(parse(t, "1")), "128214"},
		{Num(parse(t, "10")), "128314"},
		{Num(parse(t, "1234.5")), "1285194564"},
		{Num(parse(t, "-1234.5")), "107ae6ba9b"},
		{Num(parse(t, "1e-130")), "120014"},
		{Num(parse(t, "9.9999999999999999999999999999999999999E+125")), "12ff" + strings.Repeat("c7", 18) + "c6"},
	} {
		b := AppendOrdered(nil, c.v)
		if got := hex.EncodeToString(b); got != c.want {
			t.Errorf("%s is %s, want %s", c.v.AppendJSON(nil), got, c.want)
		}
		v, rest, err := DecodeOrdered(append(b, 1, 2))
		if err != nil || len(rest) != 2 || !Equal(v, c.v) {
			t.Errorf("%x is read as %s, %x, %v", b, v.AppendJSON(nil), rest, err)
		}
	}
}

// TestOrderedConcatenations: byte order of two-value keys is the order of their
// first values, then of their second.
func TestOrderedConcatenations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a1, b1 := keyValues().Draw(t, "a1"), keyValues().Draw(t, "b1")
		if rapid.Bool().Draw(t, "same first") {
			b1 = a1
		}
		a2, b2 := keyValues().Draw(t, "a2"), keyValues().Draw(t, "b2")
		a := AppendOrdered(AppendOrdered(nil, a1), a2)
		b := AppendOrdered(AppendOrdered(nil, b1), b2)
		want := cmp.Or(compareKeys(a1, b1), compareKeys(a2, b2))
		if got := bytes.Compare(a, b); got != want {
			t.Fatalf("%x orders before %x as %d, want %d", a, b, got, want)
		}
		v, rest, err := DecodeOrdered(a)
		if err != nil || !Equal(v, a1) {
			t.Fatalf("%x is read as %v, %v", a, v, err)
		}
		if v, rest, err = DecodeOrdered(rest); err != nil || !Equal(v, a2) || len(rest) != 0 {
			t.Fatalf("the second value of %x is read as %v, %x, %v", a, v, rest, err)
		}
	})
}

// compareKeys orders kinds as their tags do: N, S, B.
func compareKeys(a, b Value) int {
	rank := map[Kind]int{N: 0, S: 1, B: 2}
	if a.kind != b.kind {
		return cmp.Compare(rank[a.kind], rank[b.kind])
	}
	return Compare(a, b)
}

// TestOrderedPrefix: exactly the values that begin with p lie between p's prefix
// form and its end.
func TestOrderedPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole, p := binaries().Draw(t, "whole"), binaries().Draw(t, "prefix")
		if rapid.Bool().Draw(t, "cut") {
			p = whole[:rapid.IntRange(0, len(whole)).Draw(t, "length")]
		}
		for _, kind := range []func(string) Value{Str, Bin} {
			key := AppendOrdered(nil, kind(whole))
			low := AppendOrderedPrefix(nil, kind(p))
			high := PrefixEnd(low)
			inside := bytes.Compare(key, low) >= 0 && bytes.Compare(key, high) < 0
			if inside != strings.HasPrefix(whole, p) || inside != bytes.HasPrefix(key, low) {
				t.Fatalf("%q begins with %q, but %x in [%x, %x) is %v", whole, p, key, low, high, inside)
			}
		}
	})
}

func TestPrefixEnd(t *testing.T) {
	for in, want := range map[string]string{"a": "b", "a\xff\xff": "b", "\x00": "\x01", "": "", "\xff": ""} {
		got := PrefixEnd([]byte(in))
		if string(got) != want || (want == "") != (got == nil) {
			t.Errorf("PrefixEnd(%x) = %x, want %x", in, got, want)
		}
	}
}

func FuzzDecodeOrdered(f *testing.F) {
	f.Add([]byte("\x20a\x00\xffb\x00\x01"))
	f.Add([]byte("\x12\x85\x19\x45\x64"))
	f.Add([]byte("\x10\x7a\xe6\xba\x9b"))
	f.Add([]byte{0x11})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, rest, err := DecodeOrdered(b)
		if err != nil {
			return
		}
		if got := AppendOrdered(nil, v); !bytes.Equal(got, b[:len(b)-len(rest)]) {
			t.Fatalf("%x is read as %s, which is %x", b, v.AppendJSON(nil), got)
		}
	})
}
