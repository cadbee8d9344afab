package expr

import "antipode/regionnode/item"

// LegacyCondition is one entry of KeyConditions, QueryFilter or ScanFilter.
type LegacyCondition struct {
	Operator string
	Values   []item.Value
}

// LegacyExpected is one entry of Expected. It either compares with Operator
// and Values, or in the oldest form states with Exists and Value that the
// attribute is absent or has a value.
type LegacyExpected struct {
	Operator string
	Values   []item.Value
	HasList  bool       // AttributeValueList was given, be it empty
	Value    item.Value // Kind Invalid when not given
	Exists   *bool
}

// LegacyUpdate is one entry of AttributeUpdates. An empty Action is PUT; a
// Value of Kind Invalid was not given.
type LegacyUpdate struct {
	Action string
	Value  item.Value
}

// FromExpected translates Expected. operator is ConditionalOperator: "AND",
// "OR" or "" when not given.
func FromExpected(expected map[string]LegacyExpected, operator string) (*Condition, error) {
	return &Condition{}, nil
}

// FromFilter translates QueryFilter or ScanFilter.
func FromFilter(filter map[string]LegacyCondition, operator string) (*Condition, error) {
	return &Condition{}, nil
}

// FromKeyConditions translates KeyConditions.
func FromKeyConditions(conditions map[string]LegacyCondition) (*KeyCondition, error) {
	return &KeyCondition{}, nil
}

// FromAttributeUpdates translates AttributeUpdates.
func FromAttributeUpdates(updates map[string]LegacyUpdate) (*Update, error) { return &Update{}, nil }
