package expr

import "antipode/regionnode/item"

// KeyCondition is a key condition that is parsed but not yet held against a
// key schema.
type KeyCondition struct {
	terms []keyTerm
	fault error // what no key condition may say
}

// keyTerm is the condition on one attribute.
type keyTerm struct {
	name string
	// op is RangeNone for a comparison that no key condition may make; only the
	// older KeyConditions gets that far with one.
	op        RangeOp
	low, high item.Value
}

// RangeOp is the comparison on the last constrained range attribute.
type RangeOp uint8

// The comparisons that a key condition may make on a range attribute.
const (
	RangeNone RangeOp = iota
	RangeEQ
	RangeLT
	RangeLE
	RangeGT
	RangeGE
	RangeBetween
	RangeBegins
)

// ParseKeyCondition parses a key-condition expression as any condition. What a
// key condition may not say at all is Fault's to tell; what the key schema
// decides, Bind's.
func ParseKeyCondition(src string, s *Substitutions) (*KeyCondition, error) {
	root, err := parseCondition(KeyConditionExpression, src, s)
	if err != nil {
		return nil, err
	}
	k := &KeyCondition{}
	if root.op != opAnd {
		k.fault = k.addTerm(&root)
		return k, nil
	}
	for i := 0; i < len(root.args) && k.fault == nil; i++ {
		k.fault = k.addTerm(&root.args[i])
	}
	return k, nil
}

// Fault is what makes the condition none that a Query can follow, nil for
// nothing. DynamoDB looks for it when all expressions have been parsed.
func (k *KeyCondition) Fault() error { return k.fault }

// addTerm makes a term of a comparison.
func (k *KeyCondition) addTerm(n *node) error {
	invalid := KeyConditionExpression.invalid
	op, ok := rangeOps[n.op]
	if !ok {
		return invalid("Invalid operator used in KeyConditionExpression: %s", n.op)
	}
	if (n.op == opBetween || n.op == opBeginsWith) && n.args[0].op != opPath {
		return invalid("Invalid condition in KeyConditionExpression: %s operator must have the key attribute as its first operand", n.op)
	}
	at := -1
	for i := range n.args {
		switch a := &n.args[i]; a.op {
		case opPath:
			if at >= 0 {
				return invalid("Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition")
			}
			if len(a.path.Steps) > 0 {
				return invalid("KeyConditionExpressions cannot have conditions on nested attributes")
			}
			at = i
		case opValue:
		default:
			return invalid("KeyConditionExpressions cannot contain nested operations")
		}
	}
	if at < 0 {
		return invalid("Invalid condition in KeyConditionExpression: No key attribute specified")
	}
	t := keyTerm{name: n.args[at].path.Name, op: op}
	for i := range k.terms {
		if k.terms[i].name == t.name {
			return invalid("KeyConditionExpressions must only contain one condition per key")
		}
	}
	if at == 0 {
		t.low = n.args[1].val
	} else {
		t.op, t.low = mirrored[op], n.args[0].val
	}
	if op == RangeBetween {
		t.high = n.args[2].val
	}
	k.terms = append(k.terms, t)
	return nil
}

var rangeOps = map[op]RangeOp{
	opEQ: RangeEQ, opLT: RangeLT, opLE: RangeLE, opGT: RangeGT, opGE: RangeGE,
	opBetween: RangeBetween, opBeginsWith: RangeBegins,
}

// mirrored are the comparisons as they read with their operands exchanged.
var mirrored = [...]RangeOp{RangeEQ: RangeEQ, RangeLT: RangeGT, RangeLE: RangeGE, RangeGT: RangeLT, RangeGE: RangeLE}

// Attributes lists the names that the condition constrains, in the order
// written.
func (k *KeyCondition) Attributes() []string {
	out := make([]string, len(k.terms))
	for i := range k.terms {
		out[i] = k.terms[i].name
	}
	return out
}
