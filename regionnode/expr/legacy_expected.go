package expr

import (
	"maps"
	"slices"

	"antipode/regionnode/item"
)

// LegacyExpected is one entry of Expected. It either compares with Operator
// and Values, or in the oldest form states with Exists and Value that the
// attribute is absent or has a value.
type LegacyExpected struct {
	Operator string // ComparisonOperator; "" when not given
	Values   []item.Value
	HasList  bool       // AttributeValueList was given, be it empty
	Value    item.Value // Kind Invalid when not given
	Exists   *bool
}

// FromExpected translates Expected. operator is ConditionalOperator: "AND",
// "OR" or "" when not given.
func FromExpected(expected map[string]LegacyExpected, operator string) (*Condition, error) {
	if err := checkConditionalOperator(operator, len(expected)); err != nil {
		return nil, err
	}
	comparisons := make([]node, 0, len(expected))
	for _, name := range slices.Sorted(maps.Keys(expected)) {
		e := expected[name]
		n, err := e.comparison(name)
		if err != nil {
			return nil, err
		}
		comparisons = append(comparisons, n)
	}
	return joinLegacy(comparisons, operator), nil
}

func (e *LegacyExpected) comparison(name string) (node, error) {
	hasValue := e.Value.Kind() != item.Invalid
	if e.HasList && hasValue {
		return node{}, invalidParameter("Value and AttributeValueList cannot be used together for Attribute: %s", name)
	}
	if e.Operator == "" {
		return e.existence(name, hasValue)
	}
	if e.Exists != nil {
		return node{}, invalidParameter("Exists and ComparisonOperator cannot be used together for Attribute: %s", name)
	}
	if e.Operator != "NULL" && e.Operator != "NOT_NULL" && !e.HasList && !hasValue {
		return node{}, invalidParameter("Value or AttributeValueList must be used with ComparisonOperator: %s for Attribute: %s", e.Operator, name)
	}
	values := e.Values
	if hasValue {
		values = []item.Value{e.Value}
	}
	return legacyComparison(name, e.Operator, values)
}

// existence is the oldest form.
func (e *LegacyExpected) existence(name string, hasValue bool) (node, error) {
	if e.HasList {
		return node{}, invalidParameter("AttributeValueList can only be used with a ComparisonOperator for Attribute: %s", name)
	}
	switch {
	case e.Exists == nil && !hasValue:
		return node{}, invalidParameter("Value must be provided when Exists is null for Attribute: %s", name)
	case (e.Exists == nil || *e.Exists) && !hasValue:
		return node{}, invalidParameter("Value must be provided when Exists is true for Attribute: %s", name)
	case e.Exists != nil && !*e.Exists && hasValue:
		return node{}, invalidParameter("Value cannot be used when Exists is false for Attribute: %s", name)
	case !hasValue:
		return legacyComparison(name, "NULL", nil)
	}
	return legacyComparison(name, "EQ", []item.Value{e.Value})
}
