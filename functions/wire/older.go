package wire

import "antipode/regionnode/apierr"

// readsOlder tells the single-item writes that the service reads in its older
// form, as its answers show: those without an item or key, and those with a
// value in the abyss (item.ValueError).
func readsOlder(in Input, abyss bool) bool {
	switch in := in.(type) {
	case *PutItemInput:
		return abyss || in.Item == nil
	case *UpdateItemInput:
		return abyss || in.Key == nil
	case *DeleteItemInput:
		return abyss || in.Key == nil
	}
	return false
}

// refuseReturn is the older form's check of ReturnValues, which comes before
// values are looked at and stands outside the envelope.
func refuseReturn(in Input) error {
	returns := ""
	switch in := in.(type) {
	case *PutItemInput:
		returns = in.ReturnValues.Value
	case *DeleteItemInput:
		returns = in.ReturnValues.Value
	}
	switch returns {
	case "", "NONE", "ALL_OLD":
		return nil
	}
	return apierr.Invalid("ReturnValues can only be ALL_OLD or NONE")
}
