package wire

// ContentType is what DynamoDB answers with, errors included.
const ContentType = "application/x-amz-json-1.0"

// Opt is an optional scalar member. Set is false when the member was absent or
// null; Value is then the zero value.
type Opt[T any] struct {
	Value T
	Set   bool
}

// Or returns the value, or def when the member was absent.
func (o Opt[T]) Or(def T) T {
	if o.Set {
		return o.Value
	}
	return def
}

// Some is a member that is present.
func Some[T any](v T) Opt[T] { return Opt[T]{Value: v, Set: true} }

// Entry is one entry of a Map.
type Entry[T any] struct {
	Key   string
	Value T
}

// Map is a map member in the order in which the request listed its keys. Keys
// are unique: a repeated key keeps its first place and its last value, as in
// the maps DynamoDB decodes into.
type Map[T any] []Entry[T]

// Get looks key up. It is linear: the model bounds every map to at most a
// hundred entries or to the size of an expression.
func (m Map[T]) Get(key string) (T, bool) {
	for i := range m {
		if m[i].Key == key {
			return m[i].Value, true
		}
	}
	var none T
	return none, false
}
