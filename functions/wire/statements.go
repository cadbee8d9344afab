package wire

import (
	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
)

// BatchStatements is the input of BatchExecuteStatement. A fault in a
// statement's parameters is that statement's own: the others run.
type BatchStatements struct {
	*BatchExecuteStatementInput
	// Faults holds the first fault of each statement that has one, by its place.
	Faults map[int]*apierr.Error
}

// TransactActions is the input of TransactWriteItems. The actions are checked
// one after the other, so a fault in an action's values comes after all that is
// wrong with the actions before it.
type TransactActions struct {
	*TransactWriteItemsInput
	// Faults holds the first fault of each action that has one, by its place.
	Faults map[int]*apierr.Error
	// Late are the actions whose expressions are checked before the fault: those
	// with a value in the abyss (item.ValueError).
	Late map[int]bool
}

// statements is what a decoder keeps of the statements or actions of one
// request.
type statements struct {
	seen   int // begun so far
	faults map[int]*apierr.Error
	late   map[int]bool
}

// keep books a fault of an attribute value with the statement or action that is
// being read.
func (s *statements) keep(op Operation, fault *item.ValueError) {
	if s.faults == nil {
		s.faults = make(map[int]*apierr.Error)
	}
	at := s.seen - 1
	if s.faults[at] == nil {
		s.faults[at] = op.valueError(fault, "")
	}
	if fault.Abyss {
		if s.late == nil {
			s.late = make(map[int]bool)
		}
		s.late[at] = true
	}
}
