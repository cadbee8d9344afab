package item

import (
	"math"
	"strconv"
	"strings"

	"antipode/regionnode/apierr"
)

// Fault is what is wrong with a value that a client sent.
type Fault uint8

// The faults of values.
const (
	NotNumeric       Fault = iota + 1 // not a number, or its exponent does not fit 64 bits
	Overflow                          // magnitude above 9.99…E+125
	Underflow                         // magnitude below 1E-130
	Precision                         // more than 38 significant digits
	NoType                            // no datatype set
	ManyTypes                         // more than one datatype set
	FalseNull                         // NULL that is not true
	EmptySet                          // an SS, NS or BS without elements
	DuplicateElement                  // an SS, NS or BS that names an element twice
	TooDeep                           // nested deeper than 32 levels
	NullElement                       // a list or set with a null in it
	EmptyName                         // an attribute or map entry without a name
	LongName                          // a name of more than MaxNameSize bytes
)

// MaxNameSize bounds the name of an attribute or map entry, in bytes.
const MaxNameSize = 65535

// CheckName refuses a name that no attribute can have: with a *ValueError.
func CheckName(name string) error {
	switch {
	case name == "":
		return &ValueError{Fault: EmptyName}
	case len(name) > MaxNameSize:
		return &ValueError{Fault: LongName}
	}
	return nil
}

// ValueError refuses a value: a ValidationException. DynamoDB checks values in
// one of two layers, and words some faults differently in each: PutItem,
// UpdateItem, DeleteItem, GetItem, BatchGetItem and Query use the current one;
// BatchWriteItem, TransactWriteItems, TransactGetItems and Scan the older one.
// Whether a prefix such as "1 validation error detected: " goes in front is the
// operation's affair.
type ValueError struct {
	Fault Fault
	// Text is the number as sent.
	Text string
	// Set and Elems are the set's type and its elements as sent (base64 for a
	// BS), for EmptySet and DuplicateElement.
	Set   Kind
	Elems []string

	// Abyss: beside the fault, or as it, something nests deeper than 63 levels.
	// There DynamoDB's single-item writes fall back to an older reading of the
	// request.
	Abyss bool

	nested bool // below the first level
}

// The messages that do not vary, in AWS's spelling.
const (
	msgNotNumeric = "The parameter cannot be converted to a numeric value"
	msgOverflow   = "Number overflow. Attempting to store a number with magnitude larger than supported range"
	msgUnderflow  = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
	msgPrecision  = "Attempting to store more than 38 significant digits in a Number"
	msgNoType     = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
	msgManyTypes  = "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
	msgInvalid    = "One or more parameter values were invalid: "
	msgFalseNull  = msgInvalid + "Null attribute value types must have the value of true"
	msgEmptySS    = msgInvalid + "An string set  may not be empty"
	msgEmptyNS    = msgInvalid + "An number set  may not be empty"
	msgEmptyBS    = msgInvalid + "Binary sets should not be empty"
	msgNullInSet  = msgInvalid + "An string set may not have a null string as a member"
	msgEmptyName  = "Empty attribute name"
	msgLongName   = msgInvalid + "Attribute name is too large, must be less than 65536 bytes"
	msgTooDeep    = "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
)

// Error is the current wording behind the code.
func (e *ValueError) Error() string { return string(apierr.Validation) + ": " + e.Current() }

// Unwrap is the error as a client sees it, in the current wording.
func (e *ValueError) Unwrap() error { return apierr.New(apierr.Validation, e.Current()) }

// Current is the current layer's message.
func (e *ValueError) Current() string {
	switch e.Fault {
	case NotNumeric:
		return msgNotNumeric + ": " + e.Text
	case DuplicateElement:
		return e.duplicateCurrent()
	}
	return e.message()
}

// Older is the older layer's message. That layer reads numbers as Java's
// BigDecimal does, whose exponent has 32 bits.
func (e *ValueError) Older() string {
	switch e.Fault {
	case NotNumeric:
		if e.Text == "" {
			return msgNotNumeric
		}
		return msgNotNumeric + ": " + e.Text
	case Overflow, Underflow:
		p, _ := scanNumber(e.Text)
		switch {
		case p.exp > math.MaxInt32 || p.exp <= math.MinInt32: // the scale, -exp, has 32 bits too
			return msgNotNumeric + ": " + e.Text
		case p.exp == math.MaxInt32:
			return msgUnderflow
		}
	case DuplicateElement:
		return e.duplicateOlder()
	}
	return e.message()
}

// message is the wording that both layers share.
func (e *ValueError) message() string {
	switch e.Fault {
	case Overflow:
		return msgOverflow
	case Underflow:
		return msgUnderflow
	case Precision:
		return msgPrecision
	case NoType:
		return msgNoType
	case ManyTypes:
		return msgManyTypes
	case FalseNull:
		return msgFalseNull
	case TooDeep:
		return msgTooDeep
	case EmptyName:
		return msgEmptyName
	case LongName:
		return msgLongName
	case NullElement:
		if e.Set == SS {
			return msgNullInSet
		}
		return msgNoType
	case EmptySet:
		switch e.Set {
		case SS:
			return msgEmptySS
		case NS:
			return msgEmptyNS
		}
		return msgEmptyBS
	}
	return "item: fault " + strconv.Itoa(int(e.Fault))
}

// duplicateCurrent lists the elements in byte order up to the first repeat,
// then the repeat, then the rest as sent; a number set's elements stay unnamed.
func (e *ValueError) duplicateCurrent() string {
	if e.Set == NS {
		return msgInvalid + "Input collection contains duplicates."
	}
	var b strings.Builder
	b.WriteString(msgInvalid + "Input collection [")
	separator, of := ", ", ""
	if e.Set == BS {
		separator, of = ",", "of type BS"
	}
	for i, s := range sortedToRepeat(e.Elems, e.Set) {
		if i > 0 {
			b.WriteString(separator)
		}
		b.WriteString(`"` + s + `"`)
	}
	b.WriteString("]" + of + " contains duplicates.")
	return b.String()
}

func (e *ValueError) duplicateOlder() string {
	switch e.Set {
	case NS:
		return "Input collection contains duplicates"
	case BS:
		return msgInvalid + "Input collection [" + strings.Join(e.Elems, ", ") + "]of type BS contains duplicates."
	}
	return msgInvalid + "Input collection [" + strings.Join(e.Elems, ", ") + "] contains duplicates."
}
