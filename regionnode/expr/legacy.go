package expr

import (
	"maps"
	"slices"

	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
)

// LegacyCondition is one entry of KeyConditions, QueryFilter or ScanFilter.
type LegacyCondition struct {
	Operator string // ComparisonOperator
	Values   []item.Value
}

// invalidParameter is the usual refusal of an older parameter.
func invalidParameter(format string, args ...any) error {
	return apierr.Invalid("One or more parameter values were invalid: "+format, args...)
}

// legacyOperator is what an older comparison becomes and what it takes.
type legacyOperator struct {
	op       op
	negate   bool
	min, max int // operands
	types    func(item.Kind) bool
}

func anyType(item.Kind) bool { return true }

func notNested(k item.Kind) bool { return k != item.L && k != item.M && !k.IsSet() }

func textual(k item.Kind) bool { return k == item.S || k == item.B }

// legacyOperators are the comparison operators. IN takes as many operands as
// there are.
var legacyOperators = map[string]legacyOperator{
	"EQ":           {op: opEQ, min: 1, max: 1, types: anyType},
	"NE":           {op: opNE, min: 1, max: 1, types: anyType},
	"LT":           {op: opLT, min: 1, max: 1, types: isOrdered},
	"LE":           {op: opLE, min: 1, max: 1, types: isOrdered},
	"GT":           {op: opGT, min: 1, max: 1, types: isOrdered},
	"GE":           {op: opGE, min: 1, max: 1, types: isOrdered},
	"IN":           {op: opIn, min: 1, max: 1 << 30, types: isOrdered},
	"BETWEEN":      {op: opBetween, min: 2, max: 2, types: isOrdered},
	"BEGINS_WITH":  {op: opBeginsWith, min: 1, max: 1, types: textual},
	"CONTAINS":     {op: opContains, min: 1, max: 1, types: notNested},
	"NOT_CONTAINS": {op: opContains, negate: true, min: 1, max: 1, types: notNested},
	"NULL":         {op: opAttributeNotExists},
	"NOT_NULL":     {op: opAttributeExists},
}

// legacyComparison checks one comparison and makes its node.
func legacyComparison(name, operator string, values []item.Value) (node, error) {
	o, ok := legacyOperators[operator]
	if !ok || len(values) < o.min || len(values) > o.max {
		return node{}, invalidParameter("Invalid number of argument(s) for the %s ComparisonOperator", operator)
	}
	for _, v := range values {
		if v.Kind() != values[0].Kind() {
			return node{}, invalidParameter("AttributeValues inside AttributeValueList must be of same type")
		}
	}
	for _, v := range values {
		if !o.types(v.Kind()) {
			return node{}, invalidParameter("ComparisonOperator %s is not valid for %s AttributeValue type", operator, v.Kind())
		}
	}
	if o.op == opBetween && item.Compare(values[0], values[1]) > 0 {
		return node{}, apierr.Invalid("The BETWEEN condition was provided a range where the lower bound is greater than the upper bound")
	}
	n := node{op: o.op, args: make([]node, 0, len(values)+1)}
	n.args = append(n.args, node{op: opPath, path: Path{Name: name}})
	for _, v := range values {
		n.args = append(n.args, node{op: opValue, val: v})
	}
	if o.negate {
		// An attribute that is missing neither contains nor lacks anything.
		path := node{op: opPath, path: Path{Name: name}}
		n = node{op: opAnd, args: []node{
			{op: opAttributeExists, args: []node{path}}, {op: opNot, args: []node{n}},
		}}
	}
	return n, nil
}

// joinLegacy makes a condition of all comparisons. operator is
// ConditionalOperator: "AND", "OR", or "" when not given.
func joinLegacy(comparisons []node, operator string) *Condition {
	switch {
	case len(comparisons) == 0:
		return &Condition{}
	case len(comparisons) == 1:
		return &Condition{root: comparisons[0]}
	case operator == "OR":
		return &Condition{root: node{op: opOr, args: comparisons}}
	}
	return &Condition{root: node{op: opAnd, args: comparisons}}
}

// checkConditionalOperator refuses a ConditionalOperator that has nothing to
// join.
func checkConditionalOperator(operator string, conditions int) error {
	switch {
	case operator == "" || conditions > 1:
		return nil
	case conditions == 0:
		return apierr.Invalid("ConditionalOperator cannot be used without Filter or Expected")
	}
	return apierr.Invalid("ConditionalOperator can only be used when Filter or Expected has two or more elements")
}

// FromFilter translates QueryFilter or ScanFilter. operator is
// ConditionalOperator: "AND", "OR" or "" when not given.
func FromFilter(filter map[string]LegacyCondition, operator string) (*Condition, error) {
	if err := checkConditionalOperator(operator, len(filter)); err != nil {
		return nil, err
	}
	comparisons := make([]node, 0, len(filter))
	for _, name := range slices.Sorted(maps.Keys(filter)) {
		n, err := legacyComparison(name, filter[name].Operator, filter[name].Values)
		if err != nil {
			return nil, err
		}
		comparisons = append(comparisons, n)
	}
	return joinLegacy(comparisons, operator), nil
}

// FromKeyConditions translates KeyConditions.
func FromKeyConditions(conditions map[string]LegacyCondition) (*KeyCondition, error) {
	k := &KeyCondition{terms: make([]keyTerm, 0, len(conditions))}
	for _, name := range slices.Sorted(maps.Keys(conditions)) {
		c := conditions[name]
		n, err := legacyComparison(name, c.Operator, c.Values)
		if err != nil {
			return nil, err
		}
		t := keyTerm{name: name, op: rangeOps[n.op]}
		if t.op != RangeNone {
			t.low = c.Values[0]
		}
		if t.op == RangeBetween {
			t.high = c.Values[1]
		}
		k.terms = append(k.terms, t)
	}
	if len(k.terms) == 0 {
		return nil, apierr.Invalid("Conditions can be of length 1 or 2 only")
	}
	return k, nil
}
