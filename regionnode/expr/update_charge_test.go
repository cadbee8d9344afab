package expr

import (
	"testing"

	"antipode/regionnode/item"
)

// TestCharge holds each kind of clause against what it was measured to cost.
func TestCharge(t *testing.T) {
	ten := item.Str("0123456789")
	s := func(n int) string {
		b := make([]byte, n)
		return string(b)
	}
	values := map[string]item.Value{
		":ten": ten, ":one": item.Num(item.NumberFromInt64(1)), ":list": item.List([]item.Value{ten}),
		":map": item.Map(item.Item{{Name: "a", Value: item.Str(s(100))}}), ":set": item.Set(item.SS, []item.Value{item.Str(s(500))}),
	}
	for src, want := range map[string]int{
		"SET b = :ten":                          19 + 1 + 10,
		"SET b = :ten, cc = :ten":               2*(19+10) + 3,
		"SET c = abcdefghij":                    19 + 1 + 15 + 10,
		"SET c = m.a.z":                         19 + 1 + 1 + 3*15,
		"SET c = l[10]":                         19 + 1 + 1 + 15 + 16,
		"SET d.leaf = :ten":                     19 + 1 + 4 + 4 + 10,
		"SET d[10] = :ten":                      19 + 1 + 4 + 2 + 10,
		"SET n = n + :one":                      19 + 1 + 34 + 16 + 2,
		"SET n = n - :one":                      19 + 1 + 37 + 16 + 2,
		"SET l = list_append(l, :list)":         19 + 1 + 37 + 16 + 14,
		"SET c = if_not_exists(c, :map)":        19 + 1 + 39 + 16 + 105,
		"SET n = if_not_exists(n, :one) + :one": 19 + 1 + 34 + 39 + 16 + 2 + 2,
		"ADD ss :set":                           19 + 2 + 500,
		"ADD n :one":                            19 + 1 + 2,
		"DELETE ss :set":                        1 + 2,
		"REMOVE m.yyyyyyyyyy":                   1 + 1 + 14,
		"REMOVE l[10]":                          1 + 1 + 6,
	} {
		u, err := ParseUpdate(src, NewSubstitutions(nil, values))
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got := u.Charge(); got != want+3 {
			t.Errorf("%s is charged %d, not %d", src, got, want+3)
		}
	}
}
