package functions

import (
	"strings"

	"antipode/functions/wire"
	"antipode/regionnode/apierr"
	"antipode/regionnode/expr"
	"antipode/regionnode/item"
)

// given is one optional parameter of a request: its name and whether the
// request has it.
type given struct {
	name string
	set  bool
}

// refuseMixed is DynamoDB's refusal of a request that speaks both the old and
// the new language.
func refuseMixed(old, modern []given) error {
	o, m := namesOf(old), namesOf(modern)
	if len(o) == 0 || len(m) == 0 {
		return nil
	}
	return apierr.Invalid("Can not use both expression and non-expression parameters in the same request: "+
		"Non-expression parameters: {%s} Expression parameters: {%s}", strings.Join(o, ", "), strings.Join(m, ", "))
}

func namesOf(params []given) []string {
	var names []string
	for _, p := range params {
		if p.set {
			names = append(names, p.name)
		}
	}
	return names
}

// substitutions checks ExpressionAttributeNames and ExpressionAttributeValues
// as far as that needs no expression, and makes the table that expressions look
// them up in. modern lists the operation's expression parameters; those but
// ProjectionExpression may use values. The table is nil when the request has
// neither.
func substitutions(names wire.Map[string], values item.Item, modern []given) (*expr.Substitutions, error) {
	if names == nil && values == nil {
		return nil, nil
	}
	used := len(namesOf(modern)) > 0
	var n map[string]string
	if names != nil {
		if !used {
			return nil, apierr.Invalid("ExpressionAttributeNames can only be specified when using expressions")
		}
		if len(names) == 0 {
			return nil, apierr.Invalid("ExpressionAttributeNames must not be empty")
		}
		n = make(map[string]string, len(names))
		for _, e := range names {
			if !isPlaceholder(e.Key, '#') {
				return nil, apierr.Invalid("ExpressionAttributeNames contains invalid key: Syntax error; key: %q", e.Key)
			}
			if err := item.CheckName(e.Value); err != nil {
				return nil, err
			}
			n[e.Key] = e.Value
		}
	}
	var v map[string]item.Value
	if values != nil {
		if !takesValues(modern) {
			return nil, apierr.Invalid("ExpressionAttributeValues can only be specified when using expressions")
		}
		if len(values) == 0 {
			return nil, apierr.Invalid("ExpressionAttributeValues must not be empty")
		}
		v = make(map[string]item.Value, len(values))
		for _, f := range values {
			if !isPlaceholder(f.Name, ':') {
				return nil, apierr.Invalid("ExpressionAttributeValues contains invalid key: Syntax error; key: %q", f.Name)
			}
			v[f.Name] = f.Value
		}
	}
	return expr.NewSubstitutions(n, v), nil
}

// refuseUnused refuses placeholders that no expression has used.
func refuseUnused(s *expr.Substitutions) error {
	if s == nil {
		return nil
	}
	return s.Unused()
}

func takesValues(modern []given) bool {
	for _, p := range modern {
		if p.set && p.name != string(expr.ProjectionExpression) {
			return true
		}
	}
	return false
}

// isPlaceholder tells #name and :name: the mark and then letters, digits and
// underscores.
func isPlaceholder(s string, mark byte) bool {
	if len(s) < 2 || s[0] != mark {
		return false
	}
	for i := 1; i < len(s); i++ {
		c := s[i]
		if !(c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return false
		}
	}
	return true
}

// condition parses the condition of a write, in either language; nil when there
// is none.
func condition(src wire.Opt[string], expected wire.Map[wire.ExpectedAttributeValue], operator wire.Opt[string],
	s *expr.Substitutions) (*expr.Condition, error) {
	if src.Set {
		return expr.ParseCondition(expr.ConditionExpression, src.Value, s)
	}
	if len(expected) == 0 && !operator.Set {
		return nil, nil
	}
	m := make(map[string]expr.LegacyExpected, len(expected))
	for _, e := range expected {
		l := expr.LegacyExpected{
			Operator: e.Value.ComparisonOperator.Value,
			Values:   e.Value.AttributeValueList,
			HasList:  e.Value.AttributeValueList != nil,
			Value:    e.Value.Value,
		}
		if e.Value.Exists.Set {
			exists := e.Value.Exists.Value
			l.Exists = &exists
		}
		m[e.Key] = l
	}
	return expr.FromExpected(m, operator.Value)
}

// filter parses the filter of a read, in either language; nil when there is
// none.
func filter(src wire.Opt[string], conditions wire.Map[wire.Condition], operator wire.Opt[string],
	s *expr.Substitutions) (*expr.Condition, error) {
	if src.Set {
		return expr.ParseCondition(expr.FilterExpression, src.Value, s)
	}
	if len(conditions) == 0 && !operator.Set {
		return nil, nil
	}
	return expr.FromFilter(legacyConditions(conditions), operator.Value)
}

func legacyConditions(conditions wire.Map[wire.Condition]) map[string]expr.LegacyCondition {
	m := make(map[string]expr.LegacyCondition, len(conditions))
	for _, e := range conditions {
		m[e.Key] = expr.LegacyCondition{Operator: e.Value.ComparisonOperator.Value, Values: e.Value.AttributeValueList}
	}
	return m
}

// projection parses the choice of attributes, in either language; nil when
// there is none.
func projection(src wire.Opt[string], attributes []string, s *expr.Substitutions) (*expr.Projection, error) {
	switch {
	case src.Set:
		return expr.ParseProjection(src.Value, s)
	case attributes != nil:
		for i, name := range attributes {
			if err := item.CheckName(name); err != nil {
				return nil, err
			}
			for _, earlier := range attributes[:i] {
				if earlier == name {
					return nil, apierr.Invalid("One or more parameter values were invalid: Duplicate value in attribute name: %s", name)
				}
			}
		}
		return expr.ProjectAttributes(attributes), nil
	}
	return nil, nil
}
