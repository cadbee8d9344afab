package expr

import "antipode/regionnode/item"

// Projection is a choice of attributes and parts of attributes.
type Projection struct{ paths []Path }

// ParseProjection parses a projection expression.
func ParseProjection(src string, s *Substitutions) (*Projection, error) { return &Projection{}, nil }

// ProjectAttributes is the projection on whole top-level attributes: what an
// index projects, and what AttributesToGet asks for.
func ProjectAttributes(names []string) *Projection { return &Projection{} }

// Apply returns the chosen part of an item.
func (p *Projection) Apply(it item.Item) item.Item { return it }

// Attributes lists the top-level names that the projection reads.
func (p *Projection) Attributes() []string { return nil }
