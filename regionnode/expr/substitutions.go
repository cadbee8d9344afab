package expr

import (
	"slices"
	"strings"
	"unicode/utf16"

	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
)

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

// invalid is the refusal of an expression.
func (k Kind) invalid(format string, args ...any) error {
	return apierr.Invalid("Invalid "+string(k)+": "+format, args...)
}

// Substitutions holds ExpressionAttributeNames and ExpressionAttributeValues,
// and remembers which of them the expressions of one request have used. Names
// and values keep their # and : as in the request.
type Substitutions struct {
	names      map[string]string
	values     map[string]item.Value
	usedNames  map[string]bool
	usedValues map[string]bool
}

// NewSubstitutions takes the two maps of a request; either may be nil. Whether
// they are well formed is the caller's affair.
func NewSubstitutions(names map[string]string, values map[string]item.Value) *Substitutions {
	return &Substitutions{
		names: names, values: values,
		usedNames: make(map[string]bool, len(names)), usedValues: make(map[string]bool, len(values)),
	}
}

// name resolves a #placeholder. The receiver may be nil.
func (s *Substitutions) name(kind Kind, placeholder string) (string, error) {
	if s != nil {
		if n, ok := s.names[placeholder]; ok {
			s.usedNames[placeholder] = true
			return n, nil
		}
	}
	return "", kind.invalid("An expression attribute name used in the document path is not defined; attribute name: %s", placeholder)
}

// value resolves a :placeholder. The receiver may be nil.
func (s *Substitutions) value(kind Kind, placeholder string) (item.Value, error) {
	if s != nil {
		if v, ok := s.values[placeholder]; ok {
			s.usedValues[placeholder] = true
			return v, nil
		}
	}
	return item.Value{}, kind.invalid("An expression attribute value used in expression is not defined; attribute value: %s", placeholder)
}

// Unused is DynamoDB's refusal of a request that defines a name or value which
// no expression of it uses. Ask after all expressions are parsed.
func (s *Substitutions) Unused() error {
	if unused := unusedKeys(s.names, s.usedNames); unused != nil {
		return apierr.Invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}", strings.Join(unused, ", "))
	}
	if unused := unusedKeys(s.values, s.usedValues); unused != nil {
		return apierr.Invalid("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", strings.Join(unused, ", "))
	}
	return nil
}

// unusedKeys lists what is left in the order in which DynamoDB does: that of a
// Java hash set which was made from all keys. Keys that share a bucket come in
// byte order; DynamoDB has them in the order of the request, which a map does
// not keep.
func unusedKeys[V any](given map[string]V, used map[string]bool) []string {
	if len(used) == len(given) {
		return nil
	}
	var keys []string
	for k := range given {
		if !used[k] {
			keys = append(keys, k)
		}
	}
	buckets := uint32(16)
	for float64(len(given))/0.75+1 > float64(buckets) {
		buckets *= 2
	}
	bucket := func(s string) uint32 {
		var h uint32
		for _, unit := range utf16.Encode([]rune(s)) {
			h = 31*h + uint32(unit)
		}
		return (h ^ h>>16) & (buckets - 1)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if x, y := bucket(a), bucket(b); x != y {
			return int(x) - int(y)
		}
		return strings.Compare(a, b)
	})
	return keys
}
