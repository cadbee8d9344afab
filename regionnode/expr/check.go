package expr

import (
	"encoding/base64"

	"antipode/regionnode/item"
)

// checker turns syntax into a tree, and refuses what the grammar allows but
// DynamoDB does not. The order of its checks is DynamoDB's: first over the
// whole expression what needs no placeholder (words), then condition by
// condition placeholders, operand counts and operand types.
type checker struct {
	kind Kind
	subs *Substitutions
}

// words checks function names and places, reserved words and list indexes, in
// the order written. at is what x stands for.
func (c *checker) words(x *syntax, at place) error {
	switch {
	case x.op == opPath:
		return c.pathWords(x)
	case x.op == opValue:
		return nil
	case x.isFunction():
		if err := c.functionPlace(x.text, at); err != nil {
			return err
		}
		if at == asCondition {
			at = asOperand
		}
	case x.op == opAnd || x.op == opOr || x.op == opNot:
		at = asCondition
	case x.op != opPlus && x.op != opMinus:
		at = asOperand
	}
	for _, a := range x.args {
		if err := c.words(a, at); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) functionPlace(name string, at place) error {
	f, ok := lookupFunction(name)
	switch {
	case !ok:
		return c.kind.invalid("Invalid function name; function: %s", name)
	case f.place == at:
		return nil
	case at == inUpdate:
		return c.kind.invalid("The function is not allowed in an update expression; function: %s", name)
	case f.place == inUpdate:
		return c.kind.invalid("The function is not allowed in a condition expression; function: %s", name)
	}
	return c.kind.invalid("The function is not allowed to be used this way in an expression; function: %s", name)
}

func (c *checker) pathWords(x *syntax) error {
	for _, s := range x.parts {
		switch s.kind {
		case tokenIndex:
			if _, ok := s.index(); !ok {
				return c.kind.invalid("List index is not within the allowable range; index: [%s]", s.text)
			}
		case tokenName:
			if isReserved(s.text) {
				return c.kind.invalid("Attribute name is a reserved keyword; reserved keyword: %s", s.text)
			}
		}
	}
	return nil
}

// path resolves a path's #placeholders.
func (c *checker) path(x *syntax) (Path, error) {
	var p Path
	if len(x.parts) > 1 {
		p.Steps = make([]Step, 0, len(x.parts)-1)
	}
	for i, s := range x.parts {
		step := Step{Name: s.text, Index: -1}
		switch s.kind {
		case tokenIndex:
			step.Name = ""
			step.Index, _ = s.index()
		case tokenNameRef:
			name, err := c.subs.name(c.kind, s.text)
			if err != nil {
				return Path{}, err
			}
			step.Name = name
		}
		if i == 0 {
			p.Name = step.Name
			continue
		}
		p.Steps = append(p.Steps, step)
	}
	if len(x.parts) > maxPathLevels {
		return Path{}, c.kind.invalid("The document path has too many nesting levels; nesting levels: %d", len(x.parts))
	}
	return p, nil
}

// resolve makes the tree of x: placeholders resolved in the order written,
// operands not yet looked at.
func (c *checker) resolve(x *syntax) (node, error) {
	var err error
	n := node{op: x.op}
	switch x.op {
	case opPath:
		n.path, err = c.path(x)
		return n, err
	case opValue:
		n.val, err = c.subs.value(c.kind, x.text)
		return n, err
	case opNone:
		f, _ := lookupFunction(x.text)
		n.op = f.op
	}
	n.args = make([]node, len(x.args))
	for i, a := range x.args {
		if n.args[i], err = c.resolve(a); err != nil {
			return node{}, err
		}
	}
	return n, nil
}

// operands checks the operands of n and of the functions below it, innermost
// first.
func (c *checker) operands(n *node) error {
	for i := range n.args {
		if err := c.operands(&n.args[i]); err != nil {
			return err
		}
	}
	f, isFunction := lookupFunction(n.op.String())
	if isFunction && len(n.args) != f.operands {
		return c.kind.invalid("Incorrect number of operands for operator or function; operator or function: %s, number of operands: %d",
			n.op, len(n.args))
	}
	if n.op == opIn && len(n.args)-1 > maxInOperands {
		return c.kind.invalid("The IN operator is provided with too many operands; number of operands: %d", len(n.args)-1)
	}
	if err := c.distinct(n); err != nil {
		return err
	}
	return c.types(n)
}

// maxInOperands is the most operands that IN may look among.
const maxInOperands = 100

// distinct refuses an operator whose first operand is a path that stands among
// the others too.
func (c *checker) distinct(n *node) error {
	if n.op == opPlus || n.op == opMinus || n.op == opListAppend || len(n.args) == 0 || n.args[0].op != opPath {
		return nil
	}
	for i := range n.args[1:] {
		if a := &n.args[1+i]; a.op == opPath && a.path.equal(&n.args[0].path) {
			return c.kind.invalid("The first operand must be distinct from the remaining operands for this operator or function; "+
				"operator: %s, first operand: %s", n.op, a.path.list())
		}
	}
	return nil
}

// types checks the operands whose type is known before there is an item.
func (c *checker) types(n *node) error {
	switch n.op {
	case opLT, opLE, opGT, opGE:
		return c.operandTypes(n, isOrdered)
	case opBetween:
		if err := c.operandTypes(n, isOrdered); err != nil {
			return err
		}
		return c.bounds(&n.args[1], &n.args[2])
	case opBeginsWith:
		return c.operandTypes(n, func(k item.Kind) bool { return k == item.S || k == item.B })
	case opSize:
		return c.operandTypes(n, func(k item.Kind) bool { return k != item.N && k != item.BOOL && k != item.NULL })
	case opPlus, opMinus:
		return c.operandTypes(n, func(k item.Kind) bool { return k == item.N })
	case opListAppend:
		return c.operandTypes(n, func(k item.Kind) bool { return k == item.L })
	case opAttributeExists, opAttributeNotExists, opIfNotExists:
		if n.args[0].op != opPath {
			return c.kind.invalid("Operator or function requires a document path; operator or function: %s", n.op)
		}
	case opAttributeType: // of a path, or of any other operand
		return c.typeName(&n.args[1])
	}
	return nil
}

// isOrdered tells the types whose values have an order.
func isOrdered(k item.Kind) bool { return k == item.S || k == item.N || k == item.B }

// knownType is the type that an operand has whatever the item is; Invalid when
// the item decides.
func (n *node) knownType() item.Kind {
	switch n.op {
	case opValue:
		return n.val.Kind()
	case opSize, opPlus, opMinus:
		return item.N
	case opListAppend:
		return item.L
	}
	return item.Invalid
}

func (c *checker) operandTypes(n *node, allowed func(item.Kind) bool) error {
	for i := range n.args {
		if k := n.args[i].knownType(); k != item.Invalid && !allowed(k) {
			return c.wrongType(n.op, k.String())
		}
	}
	return nil
}

func (c *checker) wrongType(o op, operand string) error {
	return c.kind.invalid("Incorrect operand type for operator or function; operator or function: %s, operand type: %s", o, operand)
}

// bounds checks BETWEEN's bounds when both are known.
func (c *checker) bounds(low, high *node) error {
	if low.op != opValue || high.op != opValue {
		return nil
	}
	fault := ""
	switch {
	case low.val.Kind() != high.val.Kind():
		fault = "same data type for lower and upper bounds"
	case item.Compare(low.val, high.val) > 0:
		fault = "upper bound to be greater than or equal to lower bound"
	default:
		return nil
	}
	return c.kind.invalid("The BETWEEN operator requires %s; lower bound operand: %s, upper bound operand: %s",
		fault, boundText(low.val), boundText(high.val))
}

func boundText(v item.Value) string {
	text := v.Text()
	switch v.Kind() {
	case item.N:
		text = v.Number().String()
	case item.B:
		text = base64.StdEncoding.EncodeToString([]byte(text))
	}
	return "AttributeValue: {" + v.Kind().String() + ":" + text + "}"
}

// typeNames is the set of attribute types as error texts list it. DynamoDB
// lists it in no fixed order.
const typeNames = "{S,SS,N,NS,B,BS,BOOL,NULL,L,M}"

// typeName checks attribute_type's second operand.
func (c *checker) typeName(n *node) error {
	switch k := n.knownType(); {
	case k == item.Invalid:
		return c.wrongType(opAttributeType, typeNames)
	case n.op != opValue || k != item.S:
		return c.wrongType(opAttributeType, k.String())
	}
	if kindNamed(n.val.Text()) == item.Invalid {
		return c.kind.invalid("Invalid attribute type name found; type: %s, valid types: %s", n.val.Text(), typeNames)
	}
	return nil
}

// kindNamed is the attribute type of a name in DynamoDB JSON, Invalid for none.
func kindNamed(name string) item.Kind {
	for k := item.S; k <= item.BS; k++ {
		if k.String() == name {
			return k
		}
	}
	return item.Invalid
}
