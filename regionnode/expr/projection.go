package expr

import (
	"fmt"

	"antipode/regionnode/item"
)

// Projection is a choice of attributes and parts of attributes. It is immutable
// and may be used concurrently.
type Projection struct {
	paths []Path
	tree  pathTree
	// names are the attributes that it reads; nested tells that it takes only
	// parts of some of them.
	names  []string
	nested bool
}

// ParseProjection parses a projection expression.
func ParseProjection(src string, s *Substitutions) (*Projection, error) {
	parser, err := newParser(ProjectionExpression, src)
	if err != nil {
		return nil, err
	}
	written, err := parser.projection()
	if err != nil {
		return nil, err
	}
	c := &checker{kind: ProjectionExpression, subs: s}
	for _, x := range written {
		if err := c.pathWords(x); err != nil {
			return nil, err
		}
	}
	paths := make([]Path, len(written))
	pointers := make([]*Path, len(written))
	for i, x := range written {
		if paths[i], err = c.path(x); err != nil {
			return nil, err
		}
		pointers[i] = &paths[i]
	}
	if err := checkClashes(ProjectionExpression, pointers); err != nil {
		return nil, err
	}
	return newProjection(paths), nil
}

// ProjectAttributes is the projection on whole top-level attributes: what an
// index projects, and what AttributesToGet asks for. A name may be repeated.
func ProjectAttributes(names []string) *Projection {
	paths := make([]Path, len(names))
	for i, n := range names {
		paths[i].Name = n
	}
	return newProjection(paths)
}

func newProjection(paths []Path) *Projection {
	p := &Projection{paths: paths}
	for i := range paths {
		p.tree.insert(&paths[i], i+1)
		p.nested = p.nested || len(paths[i].Steps) > 0
	}
	p.names = p.Attributes()
	return p
}

// Apply returns the chosen part of an item: of an item without any of it an
// Item that is empty but not nil, of no item nil.
func (p *Projection) Apply(it item.Item) item.Item {
	if it == nil {
		return nil
	}
	return p.tree.pick(it)
}

// Append appends the encoded form of what Apply returns for an item, and decodes
// no more of it than it must.
func (p *Projection) Append(dst []byte, e item.Encoded) ([]byte, error) {
	if !p.nested {
		return e.AppendPicked(dst, p.names)
	}
	some, err := e.Borrow(p.names)
	if err != nil {
		return dst, fmt.Errorf("project an item: %w", err)
	}
	return p.tree.pick(some).AppendEncoded(dst), nil
}

// Attributes lists the top-level names that the projection reads, each once, in
// the order in which they appear.
func (p *Projection) Attributes() []string {
	var ns names
	for i := range p.paths {
		ns.add(p.paths[i].Name)
	}
	return ns
}

// NestedAttributes lists those of Attributes of which the projection takes only
// parts; no key attribute may be among them.
func (p *Projection) NestedAttributes() []string {
	var ns names
	for i := range p.paths {
		ns.addNested(&p.paths[i])
	}
	return ns
}
