package expr

import (
	"antipode/regionnode/item"
)

// Condition is a condition or filter: what an item must be like. A nil or zero
// Condition always holds. It is immutable and may be used concurrently.
type Condition struct{ root node }

// ParseCondition parses a condition or filter expression; kind names the
// parameter in error texts.
func ParseCondition(kind Kind, src string, s *Substitutions) (*Condition, error) {
	root, err := parseCondition(kind, src, s)
	if err != nil {
		return nil, err
	}
	return &Condition{root: root}, nil
}

func parseCondition(kind Kind, src string, s *Substitutions) (node, error) {
	p, err := newParser(kind, src)
	if err != nil {
		return node{}, err
	}
	x, err := p.condition()
	if err != nil {
		return node{}, err
	}
	c := &checker{kind: kind, subs: s}
	if err := c.words(x, asCondition); err != nil {
		return node{}, err
	}
	return c.condition(x)
}

// condition makes the tree of a condition: each comparison is finished before
// the next is looked at.
func (c *checker) condition(x *syntax) (node, error) {
	if x.op != opAnd && x.op != opOr && x.op != opNot {
		n, err := c.resolve(x)
		if err != nil {
			return node{}, err
		}
		return n, c.operands(&n)
	}
	n := node{op: x.op, args: make([]node, 0, len(x.args))}
	for _, a := range x.args {
		m, err := c.condition(a)
		if err != nil {
			return node{}, err
		}
		if m.op == n.op && n.op != opNot {
			n.args = append(n.args, m.args...) // AND and OR are associative
			continue
		}
		n.args = append(n.args, m)
	}
	return n, nil
}

// Eval tells whether the item fulfils the condition. A nil item is one that
// does not exist: no attribute of it does. Every condition that parsed can be
// evaluated; the error is for what a later version may add.
func (c *Condition) Eval(it item.Item) (bool, error) {
	return c == nil || c.root.holds(it), nil
}

// Attributes lists the top-level names that the condition reads, each once, in
// the order in which they appear.
func (c *Condition) Attributes() []string {
	var ns names
	if c != nil {
		c.root.eachPath(func(p *Path) { ns.add(p.Name) })
	}
	return ns
}

// NestedAttributes lists those of Attributes that the condition looks into with
// '.' or '[]'; no key attribute may be among them.
func (c *Condition) NestedAttributes() []string {
	var ns names
	if c != nil {
		c.root.eachPath(ns.addNested)
	}
	return ns
}

func (ns *names) addNested(p *Path) {
	if len(p.Steps) > 0 {
		ns.add(p.Name)
	}
}
