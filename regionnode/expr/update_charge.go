package expr

import "strconv"

// What an UpdateItem's statement is charged, in bytes, beside the names and
// values in it. AWS publishes none of these; they were measured at the 400 KB
// bound (Europe (London), autumn 2026).
const (
	chargeUpdate      = 3 // once
	chargeAssign      = 19
	chargeDrop        = 1
	chargeTargetStep  = 4
	chargeOperand     = 1
	chargeOperandStep = 14
	chargePlus        = 34
	chargeMinus       = 37
	chargeListAppend  = 37
	chargeIfNotExists = 39
)

// Charge is what an update expression weighs against the bound on an item's
// size, in bytes: what it writes from the request and a fixed cost for each
// clause. UpdateItem refuses a statement above the bound whatever the item is;
// AttributeUpdates and PartiQL have no such charge.
func (u *Update) Charge() int {
	total := chargeUpdate
	for i := range u.actions {
		a := &u.actions[i]
		target := len(a.path.Name)
		for _, s := range a.path.Steps {
			target += chargeTargetStep + s.length()
		}
		switch a.op {
		case opRemove, opDelete:
			total += chargeDrop + target
		default:
			total += chargeAssign + target + a.args[0].charge()
		}
	}
	return total
}

// charge is what an operand of SET or ADD is charged: a value its size, a path
// its elements but not what it leads to.
func (n *node) charge() int {
	total := 0
	switch n.op {
	case opValue:
		return n.val.Size()
	case opPath:
		total = chargeOperand + chargeOperandStep + len(n.path.Name)
		for _, s := range n.path.Steps {
			total += chargeOperandStep + s.length()
		}
		return total
	case opPlus:
		total = chargePlus
	case opMinus:
		total = chargeMinus
	case opListAppend:
		total = chargeListAppend
	case opIfNotExists:
		total = chargeIfNotExists
	}
	for i := range n.args {
		total += n.args[i].charge()
	}
	return total
}

// length is how many bytes the step has: a name's, or an index's digits.
func (s *Step) length() int {
	if s.Index >= 0 {
		return len(strconv.Itoa(s.Index))
	}
	return len(s.Name)
}
