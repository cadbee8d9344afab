package expr

import (
	"slices"
	"strings"

	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
)

// Tree is a piece of a condition, or of what a SET assigns, that is put
// together from its parts rather than parsed: for languages that say the same
// things in other words. The zero Tree is the condition that always holds.
type Tree struct{ n node }

// PathTree is the operand that a document path leads to.
func PathTree(p Path) Tree { return Tree{node{op: opPath, path: p}} }

// ValueTree is a constant operand.
func ValueTree(v item.Value) Tree { return Tree{node{op: opValue, val: v}} }

// builtOps are the operators and functions that Operation makes, by the text
// that expressions write them with.
var builtOps = func() map[string]op {
	m := make(map[string]op, opMinus)
	for o := opEQ; o <= opMinus; o++ {
		m[o.String()] = o
	}
	return m
}()

// statement is the kind of trees that came in no parameter of their own: their
// errors name none.
const statement Kind = ""

// Operation applies a comparison ("=", "BETWEEN", "IN"), a function ("size",
// "list_append") or "+" and "-" to operands, and checks the operands as those of
// a written expression are checked; errors do not name a parameter. Operands
// must be paths, constants, size, or what SET may assign.
func Operation(name string, args ...Tree) (Tree, error) {
	o, ok := builtOps[name]
	if !ok {
		return Tree{}, apierr.Invalid("Invalid function name; function: %s", name)
	}
	n := node{op: o, args: nodes(args)}
	c := checker{kind: statement}
	if err := bare(c.operands(&n)); err != nil {
		return Tree{}, err
	}
	return Tree{n}, nil
}

// bare drops from an error what names the parameter.
func bare(err error) error {
	if e := apierr.Of(err); e != nil {
		return apierr.New(e.Code, strings.TrimPrefix(e.Message, "Invalid "+string(statement)+": "))
	}
	return err
}

func nodes(trees []Tree) []node {
	ns := make([]node, len(trees))
	for i := range trees {
		ns[i] = trees[i].n
	}
	return ns
}

// All is the condition that all the conditions hold; of none, that always does.
func All(conditions ...Tree) Tree { return join(opAnd, conditions) }

// Any is the condition that one of one or more conditions holds.
func Any(conditions ...Tree) Tree { return join(opOr, conditions) }

func join(o op, conditions []Tree) Tree {
	n := node{op: o}
	for i := range conditions {
		switch m := conditions[i].n; {
		case m.op == o:
			n.args = append(n.args, m.args...)
		case m.op == opNone && o == opAnd:
		default:
			n.args = append(n.args, m)
		}
	}
	switch len(n.args) {
	case 0:
		return Tree{}
	case 1:
		return Tree{n.args[0]}
	}
	return Tree{n}
}

// Not is the opposite of a condition.
func Not(condition Tree) Tree { return Tree{node{op: opNot, args: []node{condition.n}}} }

// Condition makes a condition or filter of a tree of comparisons; nil of the
// zero Tree.
func (t Tree) Condition() *Condition {
	if t.n.op == opNone {
		return nil
	}
	return &Condition{root: t.n}
}

// Attributes lists the top-level names that the tree reads, each once, in the
// order in which they appear.
func (t Tree) Attributes() []string {
	var ns names
	t.n.eachPath(func(p *Path) { ns.add(p.Name) })
	return ns
}

// Action is one change that an update makes at a path.
type Action struct{ n node }

// Set assigns a value: a path, a constant, "+", "-" or a function of SET.
func Set(p Path, value Tree) Action {
	return Action{node{op: opSet, path: p, args: []node{value.n}}}
}

// Remove drops what is at the path.
func Remove(p Path) Action { return Action{node{op: opRemove, path: p}} }

// AddElements adds elements to a set, or makes it of them.
func AddElements(p Path, set item.Value) Action {
	return Action{node{op: opAdd, path: p, args: []node{{op: opValue, val: set}}}}
}

// DeleteElements takes elements out of a set, and drops it when none is left.
func DeleteElements(p Path, set item.Value) Action {
	return Action{node{op: opDelete, path: p, args: []node{{op: opValue, val: set}}}}
}

// NewUpdate makes an update of actions in any order. It refuses paths that
// stand in each other's way.
func NewUpdate(actions []Action) (*Update, error) {
	ns := make([]node, len(actions))
	paths := make([]*Path, len(actions))
	for i := range actions {
		ns[i] = actions[i].n
		paths[i] = &ns[i].path
	}
	if err := bare(checkClashes(statement, paths)); err != nil {
		return nil, err
	}
	// Updates come in sections, and the order of those decides which error wins.
	slices.SortStableFunc(ns, func(a, b node) int { return int(a.op) - int(b.op) })
	return newUpdate(ns), nil
}

// Lookup finds what the path leads to in an item.
func (p *Path) Lookup(it item.Item) (item.Value, bool) { return p.lookup(it) }
