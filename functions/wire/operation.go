package wire

// Operation names one API operation of either service. The zero Operation is
// none.
type Operation uint8

// String is the operation's name, as after the dot in X-Amz-Target.
func (op Operation) String() string {
	if op < operationCount {
		return operationNames[op]
	}
	return ""
}

// ParseTarget finds the operation that the X-Amz-Target header names.
func ParseTarget(header string) (Operation, bool) {
	op, ok := targets[header]
	return op, ok
}

// trait is how an operation's shape violations are worded.
type trait struct {
	// limitsFirst: bounds are checked before everything else, and the first
	// violation is the answer.
	limitsFirst bool
	// controlPlane: a missing TableName has a sentence of its own.
	controlPlane bool
}

// Input is an operation's decoded request: a pointer to the struct that is
// named after the operation, such as *PutItemInput.
type Input interface {
	decode(*decoder)
	check(*validator)
}
