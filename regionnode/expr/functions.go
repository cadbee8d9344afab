package expr

// function is what the language knows of one of its functions.
type function struct {
	op       op
	operands int
	place    place
}

// place is where a function may stand.
type place uint8

const (
	asCondition place = iota // for a whole condition
	asOperand                // for an operand of one
	inUpdate                 // in the value of a SET
)

// lookupFunction finds a function by name, which is case-sensitive.
func lookupFunction(name string) (function, bool) {
	switch name {
	case "attribute_exists":
		return function{opAttributeExists, 1, asCondition}, true
	case "attribute_not_exists":
		return function{opAttributeNotExists, 1, asCondition}, true
	case "attribute_type":
		return function{opAttributeType, 2, asCondition}, true
	case "begins_with":
		return function{opBeginsWith, 2, asCondition}, true
	case "contains":
		return function{opContains, 2, asCondition}, true
	case "size":
		return function{opSize, 1, asOperand}, true
	case "if_not_exists":
		return function{opIfNotExists, 2, inUpdate}, true
	case "list_append":
		return function{opListAppend, 2, inUpdate}, true
	}
	return function{}, false
}
