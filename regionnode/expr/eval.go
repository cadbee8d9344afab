package expr

import (
	"strings"
	"unicode/utf8"

	"antipode/regionnode/item"
)

// holds evaluates a condition's node.
func (n *node) holds(it item.Item) bool {
	switch n.op {
	case opNone:
		return true
	case opAnd:
		for i := range n.args {
			if !n.args[i].holds(it) {
				return false
			}
		}
		return true
	case opOr:
		for i := range n.args {
			if n.args[i].holds(it) {
				return true
			}
		}
		return false
	case opNot:
		return !n.args[0].holds(it)
	}
	v, ok := n.args[0].operand(it)
	switch n.op {
	case opAttributeExists:
		return ok
	case opAttributeNotExists:
		return !ok
	case opIn:
		return ok && n.in(v, it)
	case opBetween:
		return ok && n.between(v, it)
	}
	w, both := n.args[1].operand(it)
	if both = both && ok; !both {
		return n.op == opNE
	}
	return compare(n.op, v, w)
}

func (n *node) in(v item.Value, it item.Item) bool {
	for i := range n.args[1:] {
		if w, ok := n.args[1+i].operand(it); ok && item.Equal(v, w) {
			return true
		}
	}
	return false
}

func (n *node) between(v item.Value, it item.Item) bool {
	low, ok := n.args[1].operand(it)
	if !ok || !ordered(v, low) || item.Compare(low, v) > 0 {
		return false
	}
	high, ok := n.args[2].operand(it)
	return ok && ordered(v, high) && item.Compare(v, high) <= 0
}

// ordered tells whether two values can be compared by order.
func ordered(v, w item.Value) bool { return v.Kind() == w.Kind() && isOrdered(v.Kind()) }

// compare applies an operator or function of two values that exist.
func compare(o op, v, w item.Value) bool {
	switch o {
	case opEQ:
		return item.Equal(v, w)
	case opNE:
		return !item.Equal(v, w)
	case opLT:
		return ordered(v, w) && item.Compare(v, w) < 0
	case opLE:
		return ordered(v, w) && item.Compare(v, w) <= 0
	case opGT:
		return ordered(v, w) && item.Compare(v, w) > 0
	case opGE:
		return ordered(v, w) && item.Compare(v, w) >= 0
	case opAttributeType:
		return w.Kind() == item.S && v.Kind().String() == w.Text()
	case opBeginsWith:
		return v.Kind() == w.Kind() && (v.Kind() == item.S || v.Kind() == item.B) && strings.HasPrefix(v.Text(), w.Text())
	case opContains:
		return contains(v, w)
	}
	return false
}

// contains looks for a substring, for a set's element or for a list's.
func contains(v, w item.Value) bool {
	switch v.Kind() {
	case item.S, item.B:
		return v.Kind() == w.Kind() && strings.Contains(v.Text(), w.Text())
	case item.L, item.SS, item.NS, item.BS:
		for _, e := range v.Elems() {
			if item.Equal(e, w) {
				return true
			}
		}
	}
	return false
}

// operand evaluates an operand of a condition; ok is false when it has no
// value.
func (n *node) operand(it item.Item) (v item.Value, ok bool) {
	switch n.op {
	case opValue:
		return n.val, true
	case opPath:
		return n.path.lookup(it)
	case opSize:
		if v, ok = n.args[0].operand(it); ok {
			return size(v)
		}
	}
	return item.Value{}, false
}

// size is the function size: what N, BOOL and NULL do not have.
func size(v item.Value) (item.Value, bool) {
	var n int
	switch k := v.Kind(); k {
	case item.S:
		n = utf16Length(v.Text())
	case item.B:
		n = len(v.Text())
	case item.M:
		n = len(v.Fields())
	case item.L, item.SS, item.NS, item.BS:
		n = len(v.Elems())
	default:
		return item.Value{}, false
	}
	return item.Num(item.NumberFromInt64(int64(n))), true
}

// utf16Length counts UTF-16 code units, which DynamoDB takes for characters.
func utf16Length(s string) int {
	n := utf8.RuneCountInString(s)
	for i := range len(s) {
		if s[i] >= 0xF0 {
			n++ // a code point that needs two units
		}
	}
	return n
}
