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

// statements is what a decoder keeps of a batch of statements.
type statements struct {
	seen   int // statements begun so far
	faults map[int]*apierr.Error
}

// keep books a fault of an attribute value with the statement that is being
// read.
func (s *statements) keep(op Operation, fault *item.ValueError) {
	if s.faults == nil {
		s.faults = make(map[int]*apierr.Error)
	}
	if at := s.seen - 1; s.faults[at] == nil {
		s.faults[at] = op.valueError(fault, "")
	}
}
