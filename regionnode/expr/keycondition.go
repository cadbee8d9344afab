package expr

import (
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// KeyCondition is a key condition that is parsed but not yet held against a
// key schema.
type KeyCondition struct{ terms []node }

// ParseKeyCondition parses a key-condition expression.
func ParseKeyCondition(src string, s *Substitutions) (*KeyCondition, error) {
	return &KeyCondition{}, nil
}

// RangeOp is the comparison on the last constrained range attribute.
type RangeOp uint8

// The comparisons that a key condition may make on a range attribute.
const (
	RangeNone RangeOp = iota
	RangeEQ
	RangeLT
	RangeLE
	RangeGT
	RangeGE
	RangeBetween
	RangeBegins
)

// KeyRange is a key condition bound to a key schema: one item collection and
// an interval in it.
type KeyRange struct {
	// Hash has a value for each hash attribute of the schema.
	Hash []item.Value
	// RangeEq has the values of the leading range attributes that are held
	// equal ahead of the one that Op compares.
	RangeEq []item.Value
	Op      RangeOp
	// Low is Op's operand; High is the upper bound of RangeBetween only.
	Low, High item.Value
}

// Bind holds the condition against a key schema. attrType gives a key
// attribute's declared type: "S", "N" or "B".
func (k *KeyCondition) Bind(schema table.KeySchema, attrType func(name string) string) (*KeyRange, error) {
	return &KeyRange{}, nil
}
