package expr

import (
	"antipode/regionnode/item"
)

// Condition is a condition or filter: what an item must be like.
type Condition struct{ root node }

// ParseCondition parses a condition or filter expression; kind names the
// parameter in error texts.
func ParseCondition(kind Kind, src string, s *Substitutions) (*Condition, error) {
	return &Condition{}, nil
}

// Eval tells whether the item fulfils the condition. A nil item is one that
// does not exist.
func (c *Condition) Eval(it item.Item) (bool, error) { return true, nil }

// Attributes lists the top-level names that the condition reads, each once, in
// the order in which they appear.
func (c *Condition) Attributes() []string { return nil }
