package functions

import (
	"antipode/regionnode/expr"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// keyBounds is the interval of keys that a bound key condition selects: low
// included, high excluded, nil for no end.
func keyBounds(k *expr.KeyRange) (low, high []byte) {
	prefix := table.HashPrefix(nil, k.Hash)
	for _, v := range k.RangeEq {
		prefix = item.AppendOrdered(prefix, v)
	}
	switch k.Op {
	case expr.RangeNone:
		return prefix, item.PrefixEnd(prefix)
	case expr.RangeEQ:
		low = with(prefix, k.Low)
		return low, item.PrefixEnd(low)
	case expr.RangeLT:
		return prefix, with(prefix, k.Low)
	case expr.RangeLE:
		return prefix, item.PrefixEnd(with(prefix, k.Low))
	case expr.RangeGT:
		return item.PrefixEnd(with(prefix, k.Low)), item.PrefixEnd(prefix)
	case expr.RangeGE:
		return with(prefix, k.Low), item.PrefixEnd(prefix)
	case expr.RangeBetween:
		return with(prefix, k.Low), item.PrefixEnd(with(prefix, k.High))
	default: // expr.RangeBegins
		low = item.AppendOrderedPrefix(prefix[:len(prefix):len(prefix)], k.Low)
		return low, item.PrefixEnd(low)
	}
}

// with is the prefix followed by one more ordered value, in new memory.
func with(prefix []byte, v item.Value) []byte {
	return item.AppendOrdered(prefix[:len(prefix):len(prefix)], v)
}
