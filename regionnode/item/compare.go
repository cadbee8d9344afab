package item

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strings"
)

// Compare orders values: of one kind, S and B by bytes and N by value, as
// DynamoDB sorts; BOOL false first. Other kinds compare equal to their like, and
// kinds among one another in the order of Kind; use Equal for documents.
func Compare(a, b Value) int {
	if a.kind != b.kind {
		return cmp.Compare(a.kind, b.kind)
	}
	switch a.kind {
	case S, B:
		return strings.Compare(a.Text(), b.Text())
	case N:
		return a.Number().Compare(b.Number())
	case BOOL:
		switch {
		case a.flag == b.flag:
			return 0
		case b.flag:
			return -1
		}
		return 1
	}
	return 0
}

// Equal compares deeply: sets without regard to order, numbers by value.
func Equal(a, b Value) bool {
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case S, B, N, BOOL:
		return Compare(a, b) == 0
	case M:
		return a.Fields().Equal(b.Fields())
	case L:
		return slices.EqualFunc(a.Elems(), b.Elems(), Equal)
	case SS, NS, BS:
		x, y := a.Elems(), b.Elems()
		if len(x) != len(y) {
			return false
		}
		if slices.EqualFunc(x, y, Equal) {
			return true
		}
		return slices.EqualFunc(slices.SortedFunc(slices.Values(x), Compare), slices.SortedFunc(slices.Values(y), Compare), Equal)
	}
	return true
}

// Equal compares deeply, as the function does.
func (v Value) Equal(u Value) bool { return Equal(v, u) }

// Equal tells whether both have the same attributes with equal values.
func (it Item) Equal(other Item) bool {
	return slices.EqualFunc(it, other, func(a, b Field) bool {
		return a.Name == b.Name && Equal(a.Value, b.Value)
	})
}

// sortedToRepeat lists a set's elements in byte order up to the first that
// repeats one of them, then the repeat, then the rest as sent.
func sortedToRepeat(elems []string, set Kind) []string {
	seen := make(map[string]bool, len(elems))
	i := 0
	for i < len(elems) && !seen[elems[i]] {
		seen[elems[i]] = true
		i++
	}
	out := slices.Clone(elems)
	slices.SortFunc(out[:i], func(a, b string) int {
		if set == BS {
			x, _ := base64.StdEncoding.DecodeString(a)
			y, _ := base64.StdEncoding.DecodeString(b)
			return slices.Compare(x, y)
		}
		return strings.Compare(a, b)
	})
	return out
}
