package expr

import (
	"strconv"
	"strings"

	"antipode/regionnode/item"
)

// printer writes trees as expressions. How names and values look is up to its
// functions.
type printer struct {
	strings.Builder
	name  func(string) string
	value func(item.Value) string
}

// readable prints for people: names as they are, in quotes where an expression
// would need a placeholder, and values in DynamoDB JSON.
func readable() *printer {
	return &printer{
		name: func(s string) string {
			if s != "" && isLetter(s[0]) && wordEnd(s, 0) == len(s) && !isReserved(s) {
				return s
			}
			return strconv.Quote(s)
		},
		value: item.Value.String,
	}
}

// String is the condition as an expression, with its values in place.
func (c *Condition) String() string {
	p := readable()
	if c.root.op != opNone {
		p.node(&c.root)
	}
	return p.String()
}

// String is the update as an expression, with its values in place.
func (u *Update) String() string {
	p := readable()
	p.update(u)
	return p.String()
}

// String is the projection as an expression.
func (p *Projection) String() string {
	w := readable()
	w.projection(p)
	return w.String()
}

func (p *printer) path(path *Path) {
	p.WriteString(p.name(path.Name))
	for _, s := range path.Steps {
		if s.Index >= 0 {
			p.WriteString("[" + strconv.Itoa(s.Index) + "]")
		} else {
			p.WriteString("." + p.name(s.Name))
		}
	}
}

func (p *printer) node(n *node) {
	switch {
	case n.op == opPath:
		p.path(&n.path)
	case n.op == opValue:
		p.WriteString(p.value(n.val))
	case n.op == opAnd || n.op == opOr:
		p.list(n.args, " "+n.op.String()+" ", func(m *node) bool { return n.op == opAnd && m.op == opOr })
	case n.op == opNot:
		p.WriteString("NOT ")
		p.wrapped(&n.args[0], n.args[0].op == opAnd || n.args[0].op == opOr)
	case n.op.isComparator() || n.op == opPlus || n.op == opMinus:
		p.list(n.args, " "+n.op.String()+" ", nil)
	case n.op == opBetween:
		p.node(&n.args[0])
		p.WriteString(" BETWEEN ")
		p.list(n.args[1:], " AND ", nil)
	case n.op == opIn:
		p.node(&n.args[0])
		p.WriteString(" IN (")
		p.list(n.args[1:], ", ", nil)
		p.WriteByte(')')
	default:
		p.WriteString(n.op.String() + "(")
		p.list(n.args, ", ", nil)
		p.WriteByte(')')
	}
}

// list prints nodes, those that wrap tells in parentheses.
func (p *printer) list(nodes []node, separator string, wrap func(*node) bool) {
	for i := range nodes {
		if i > 0 {
			p.WriteString(separator)
		}
		p.wrapped(&nodes[i], wrap != nil && wrap(&nodes[i]))
	}
}

func (p *printer) wrapped(n *node, parens bool) {
	if !parens {
		p.node(n)
		return
	}
	p.WriteByte('(')
	p.node(n)
	p.WriteByte(')')
}

func (p *printer) update(u *Update) {
	for i := range u.actions {
		a := &u.actions[i]
		switch {
		case i == 0:
			p.WriteString(a.op.String() + " ")
		case u.actions[i-1].op.String() == a.op.String():
			p.WriteString(", ")
		default:
			p.WriteString(" " + a.op.String() + " ")
		}
		p.path(&a.path)
		if a.op == opSet {
			p.WriteString(" =")
		}
		for i := range a.args {
			p.WriteByte(' ')
			p.node(&a.args[i])
		}
	}
}

func (p *printer) projection(projection *Projection) {
	for i := range projection.paths {
		if i > 0 {
			p.WriteString(", ")
		}
		p.path(&projection.paths[i])
	}
}
