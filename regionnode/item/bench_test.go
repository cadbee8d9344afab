package item

import (
	"strings"
	"testing"

	"antipode/regionnode/item/jsonscan"
)

// typical is about 1 KB in ten attributes.
var typical = `{"pk":{"S":"customer#0123456789"},"sk":{"S":"order#2026-01-02T03:04:05Z"},"status":{"S":"SHIPPED"},"total":{"N":"12345.67"},"count":{"N":"3"},` +
	`"note":{"S":"` + strings.Repeat("lorem ipsum dolor ", 40) + `"},"paid":{"BOOL":true},"tags":{"SS":["red","green","blue"]},` +
	`"address":{"M":{"city":{"S":"Dublin"},"zip":{"S":"D02"}}},"lines":{"L":[{"N":"1"},{"N":"2"},{"S":"three"}]}}`

func typicalItem(t testing.TB) Item {
	var s jsonscan.Scanner
	s.Init([]byte(typical))
	it, err := DecodeItem(&s)
	if err != nil {
		t.Fatal(err)
	}
	return it
}

func BenchmarkDecodeItem(b *testing.B) {
	data := []byte(typical)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	var s jsonscan.Scanner
	for b.Loop() {
		s.Init(data)
		if _, err := DecodeItem(&s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendEncoded(b *testing.B) {
	it := typicalItem(b)
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		dst = it.AppendEncoded(dst[:0])
	}
}

func BenchmarkEncodedDecode(b *testing.B) {
	e := typicalItem(b).Encode()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Decode(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodedGet(b *testing.B) {
	e := typicalItem(b).Encode()
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, err := e.Get("sk"); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkEncodedAppendJSON(b *testing.B) {
	e := typicalItem(b).Encode()
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		dst = e.AppendJSON(dst[:0])
	}
}

func BenchmarkParseNumber(b *testing.B) {
	for _, text := range []string{"3", "12345.67", "12345678901234567890123456789012345678"} {
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseNumber(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendOrdered(b *testing.B) {
	v := Str("customer#0123456789")
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		dst = AppendOrdered(dst[:0], v)
	}
}
