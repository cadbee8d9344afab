package partiql

import (
	"antipode/regionnode/apierr"
	"antipode/regionnode/expr"
	"antipode/regionnode/item"
)

// condOp is how a condition is made of others.
type condOp uint8

const (
	condLeaf condOp = iota
	condAnd
	condOr
	condNot
)

// cond is a condition of a WHERE clause with its values in place, still in a
// form in which conditions on keys can be told from others.
type cond struct {
	op   condOp
	args []*cond
	tree expr.Tree // of a leaf
	// test is what a leaf says of a top-level attribute; nil when no key could
	// make use of it.
	test *test
}

// testOp is a comparison of an attribute with constants.
type testOp uint8

const (
	testEqual testOp = iota
	testUnequal
	testLess
	testLessEqual
	testGreater
	testGreaterEqual
	testBetween
	testBegins
	testIn
)

// test compares a top-level attribute with constants.
type test struct {
	name   string
	op     testOp
	values []item.Value
}

var testOps = map[string]testOp{
	"=": testEqual, "<>": testUnequal, "<": testLess, "<=": testLessEqual, ">": testGreater, ">=": testGreaterEqual,
	"BETWEEN": testBetween, "begins_with": testBegins, "IN": testIn,
}

// mirrored are the comparisons as they read with their operands exchanged.
var mirrored = [...]testOp{testEqual: testEqual, testUnequal: testUnequal, testLess: testGreater,
	testLessEqual: testGreaterEqual, testGreater: testLess, testGreaterEqual: testLessEqual}

// compile makes the tree that is evaluated on items.
func (c *cond) compile() expr.Tree {
	if c == nil {
		return expr.Tree{}
	}
	trees := make([]expr.Tree, len(c.args))
	for i, a := range c.args {
		trees[i] = a.compile()
	}
	switch c.op {
	case condAnd:
		return expr.All(trees...)
	case condOr:
		return expr.Any(trees...)
	case condNot:
		return expr.Not(trees[0])
	}
	return c.tree
}

func allOf(args ...*cond) *cond { return &cond{op: condAnd, args: args} }
func anyOf(args ...*cond) *cond { return &cond{op: condOr, args: args} }
func not(c *cond) *cond         { return &cond{op: condNot, args: []*cond{c}} }

// constantly is the condition that always or never holds.
func constantly(holds bool) *cond {
	if holds {
		return &cond{}
	}
	return not(&cond{})
}

// operand is one side of a comparison: a path, a constant, a size, or a
// condition, which counts as true or false.
type operand struct {
	tree    expr.Tree
	cond    *cond
	value   item.Value
	isValue bool
	name    string // of a top-level attribute
}

// condition translates a condition.
func (b *binding) condition(n *node) (*cond, error) {
	switch {
	case n.kind == nodeBool:
		return constantly(n.text == "true"), nil
	case n.kind == nodeIs:
		return b.typeTest(n)
	case n.kind == nodeCall:
		return b.call(n)
	case n.kind != nodeOperation:
		return nil, apierr.Invalid("Unsupported operation: %s", operationName(n))
	}
	switch n.text {
	case "and", "or", "not":
		args := make([]*cond, len(n.args))
		for i, a := range n.args {
			var err error
			if args[i], err = b.condition(a); err != nil {
				return nil, err
			}
		}
		return &cond{op: map[string]condOp{"and": condAnd, "or": condOr, "not": condNot}[n.text], args: args}, nil
	case "=", "<>", "<", "<=", ">", ">=":
		return b.comparison(n)
	case "between":
		operands, err := b.operands(n.args)
		if err != nil {
			return nil, err
		}
		return leaf("BETWEEN", operands)
	case "in":
		return b.in(n)
	}
	return nil, errOperator(n)
}

// errOperator refuses an operator that conditions do not have.
func errOperator(n *node) error {
	if len(n.args) == 1 {
		return apierr.Invalid("Incorrect number of operands for operator or function; operator or function: %s, number of operands: 1", n.text)
	}
	return apierr.Invalid("Unsupported operator in Condition Expression. Operator: %s", n.text)
}

// isCondition tells what holds or does not, rather than having a value.
func isCondition(n *node) bool {
	switch n.kind {
	case nodeIs:
		return true
	case nodeCall:
		return n.text != "size"
	case nodeOperation:
		switch n.text {
		case "and", "or", "not", "=", "<>", "<", "<=", ">", ">=", "between", "in":
			return true
		}
	}
	return false
}

func (b *binding) operand(n *node) (o operand, err error) {
	if isCondition(n) {
		o.cond, err = b.condition(n)
		return o, err
	}
	if o.value, o.isValue, err = b.constant(n); err != nil || o.isValue {
		o.tree = expr.ValueTree(o.value)
		return o, err
	}
	p, ok, err := path(n)
	switch {
	case err != nil:
		return o, err
	case ok:
		o.tree = expr.PathTree(p)
		if len(p.Steps) == 0 {
			o.name = p.Name
		}
		return o, nil
	case n.kind == nodeCall: // size
		args, err := b.operands(n.args)
		if err != nil {
			return o, err
		}
		o.tree, err = apply("size", args)
		return o, err
	case n.kind == nodeOperation:
		return o, errOperator(n)
	}
	return o, apierr.Invalid("Unsupported operation: %s", operationName(n))
}

func (b *binding) operands(nodes []*node) ([]operand, error) {
	operands := make([]operand, len(nodes))
	for i, n := range nodes {
		var err error
		if operands[i], err = b.operand(n); err != nil {
			return nil, err
		}
	}
	return operands, nil
}

// apply applies a comparison or function to operands that have values.
func apply(name string, operands []operand) (expr.Tree, error) {
	trees := make([]expr.Tree, len(operands))
	for i := range operands {
		if operands[i].cond != nil {
			return expr.Tree{}, errBoolean(name)
		}
		trees[i] = operands[i].tree
	}
	return expr.Operation(name, trees...)
}

// errBoolean refuses a condition as an operand of what knows only values.
func errBoolean(name string) error {
	return apierr.Invalid("Incorrect operand type for operator or function; operator or function: %s, operand type: BOOL", name)
}

// leaf makes a comparison or function of operands, and finds out what it says
// of an attribute.
func leaf(name string, operands []operand) (*cond, error) {
	tree, err := apply(name, operands)
	if err != nil {
		return nil, err
	}
	c := &cond{tree: tree}
	op, ok := testOps[name]
	if !ok {
		return c, nil
	}
	first, rest := operands[0], operands[1:]
	if op <= testGreaterEqual && first.isValue {
		first, rest, op = operands[1], operands[:1], mirrored[op]
	}
	if first.name == "" {
		return c, nil
	}
	t := &test{name: first.name, op: op}
	for i := range rest {
		if !rest[i].isValue {
			return c, nil
		}
		t.values = append(t.values, rest[i].value)
	}
	c.test = t
	return c, nil
}

// comparison translates a binary comparison. Conditions may be compared with
// each other and with values.
func (b *binding) comparison(n *node) (*cond, error) {
	operands, err := b.operands(n.args)
	if err != nil {
		return nil, err
	}
	left, right := operands[0], operands[1]
	switch {
	case left.cond == nil && right.cond == nil:
		return leaf(n.text, operands)
	case n.text != "=" && n.text != "<>":
		return nil, errBoolean(n.text)
	}
	if left.cond == nil {
		left, right = right, left
	}
	c, err := equals(left.cond, right)
	if err == nil && n.text == "<>" {
		c = not(c)
	}
	return c, err
}

// equals holds a condition against an operand.
func equals(c *cond, o operand) (*cond, error) {
	switch {
	case o.cond != nil:
		return anyOf(allOf(c, o.cond), allOf(not(c), not(o.cond))), nil
	case !o.isValue:
		isTrue, err := leaf("=", []operand{o, constant(item.Bool(true))})
		if err != nil {
			return nil, err
		}
		isFalse, err := leaf("=", []operand{o, constant(item.Bool(false))})
		if err != nil {
			return nil, err
		}
		return anyOf(allOf(c, isTrue), allOf(not(c), isFalse)), nil
	case o.value.Kind() != item.BOOL:
		return constantly(false), nil
	case o.value.Bool():
		return c, nil
	}
	return not(c), nil
}

func constant(v item.Value) operand {
	return operand{tree: expr.ValueTree(v), value: v, isValue: true}
}

// in translates IN, which looks among the elements of a literal list, or of a
// parameter that is one.
func (b *binding) in(n *node) (*cond, error) {
	list := n.args[1]
	var members []operand
	var err error
	switch list.kind {
	case nodeList, nodeBag:
		members, err = b.operands(list.args)
	case nodeParameter:
		var v item.Value
		if v, _, err = b.constant(list); v.Kind() == item.L {
			for _, e := range v.Elems() {
				members = append(members, constant(e))
			}
		}
	}
	if err != nil {
		return nil, err
	}
	if len(members) == 0 {
		return nil, apierr.Invalid("Incorrect number of operands for operator or function; operator or function: IN, number of operands: 1")
	}
	first, err := b.operand(n.args[0])
	if err != nil {
		return nil, err
	}
	if first.cond == nil {
		return leaf("IN", append([]operand{first}, members...))
	}
	c := anyOf()
	for _, m := range members {
		e, err := equals(first.cond, m)
		if err != nil {
			return nil, err
		}
		c.args = append(c.args, e)
	}
	return c, nil
}

// attributeTypes are the attribute types of the types that IS may ask for.
var attributeTypes = map[string]item.Kind{
	"null": item.NULL, "boolean": item.BOOL, "blob": item.B, "string": item.S, "numeric": item.N,
	"struct": item.M, "tuple": item.M, "list": item.L,
}

func (b *binding) typeTest(n *node) (*cond, error) {
	operands, err := b.operands(n.args)
	if err != nil {
		return nil, err
	}
	if n.text == "missing" {
		return leaf("attribute_not_exists", operands)
	}
	kind, ok := attributeTypes[n.text]
	if !ok {
		return nil, apierr.Invalid("Unsupported operation: IsType")
	}
	return leaf("attribute_type", append(operands, constant(item.Str(kind.String()))))
}

// call translates a function that is a condition.
func (b *binding) call(n *node) (*cond, error) {
	switch n.text {
	case "attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains":
	default:
		return nil, apierr.Invalid("Unrecognized function: %s%s", n.text, n.pos)
	}
	operands, err := b.operands(n.args)
	if err != nil {
		return nil, err
	}
	return leaf(n.text, operands)
}
