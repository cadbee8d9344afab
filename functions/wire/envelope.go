package wire

import (
	"errors"

	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
)

const envelope = "1 validation error detected: "

// Envelope words a ValidationException found before the table was looked at as
// the operation does: PutItem, UpdateItem and DeleteItem count it ("1 validation
// error detected: …"), the others give it bare. It also words an
// *item.ValueError. Other errors pass unchanged. It must not see an error twice.
func (op Operation) Envelope(err error) error {
	var fault *item.ValueError
	if errors.As(err, &fault) {
		return op.valueError(fault, "")
	}
	if !op.enveloped() {
		return err
	}
	return Count(err)
}

// Count words a ValidationException as one that is counted, for operations that
// count some of their errors only.
func Count(err error) error {
	e := apierr.Of(err)
	if e == nil || e.Code != apierr.Validation {
		return err
	}
	return apierr.New(apierr.Validation, envelope+e.Message)
}

func (op Operation) enveloped() bool {
	return op == PutItem || op == UpdateItem || op == DeleteItem
}

// older tells the operations that check values in the older layer.
func (op Operation) older() bool {
	switch op {
	case BatchWriteItem, Scan, ExecuteStatement, BatchExecuteStatement, ExecuteTransaction:
		return true
	}
	return false
}

// valueError words a fault of an attribute value. key is the placeholder in
// ExpressionAttributeValues that holds it, or empty.
func (op Operation) valueError(fault *item.ValueError, key string) *apierr.Error {
	switch {
	case op.enveloped():
		return apierr.New(apierr.Validation, envelope+fault.Current())
	case !op.older():
		return apierr.New(apierr.Validation, fault.Current())
	case key != "":
		return apierr.Invalid("ExpressionAttributeValues contains invalid value: %s for key %s", fault.Older(), key)
	}
	return apierr.New(apierr.Validation, fault.Older())
}
