package functions

import (
	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// errKeySchema refuses a key that is not made of the table's key attributes, of
// their types, and of nothing else.
func errKeySchema() error {
	return apierr.Invalid("The provided key element does not match the schema")
}

// checkKey holds a Key parameter against the table's key schema.
func checkKey(d *table.Descriptor, key item.Item) error {
	if len(key) != len(d.Key.Hash)+len(d.Key.Range) {
		return errKeySchema()
	}
	for _, names := range [2][]string{d.Key.Hash, d.Key.Range} {
		for _, name := range names {
			v, ok := key.Get(name)
			if !ok || v.Kind().String() != d.AttributeType(name) {
				return errKeySchema()
			}
		}
	}
	return checkKeyValues(d.Key, key)
}

// checkItemKey holds an item that is to be put against the table's key schema.
// inBatch is BatchWriteItem, which words every mismatch in one way.
func checkItemKey(d *table.Descriptor, it item.Item, inBatch bool) error {
	for _, name := range d.Key.Names() {
		v, ok := it.Get(name)
		want := d.AttributeType(name)
		switch {
		case ok && v.Kind().String() == want:
		case inBatch:
			return errKeySchema()
		case !ok:
			return apierr.Invalid("One or more parameter values were invalid: Missing the key %s in the item", name)
		default:
			return apierr.Invalid("One or more parameter values were invalid: Type mismatch for key %s expected: %s actual: %s",
				name, want, v.Kind())
		}
	}
	return checkKeyValues(d.Key, it)
}

// checkKeyValues refuses key values that are empty or too long. The item must
// have every key attribute.
func checkKeyValues(k table.KeySchema, it item.Item) error {
	for _, name := range k.Hash {
		v, _ := it.Get(name)
		if err := checkNotEmpty(name, v); err != nil {
			return err
		}
		if keyBytes(v) > table.MaxHashKeySize {
			return errHashTooLong()
		}
	}
	for _, name := range k.Range {
		v, _ := it.Get(name)
		if err := checkNotEmpty(name, v); err != nil {
			return err
		}
		if keyBytes(v) > table.MaxRangeKeySize {
			return errRangeTooLong()
		}
	}
	return nil
}

func checkNotEmpty(name string, v item.Value) error {
	if v.Kind() == item.N || v.Text() != "" {
		return nil
	}
	return apierr.New(apierr.Validation, "One or more parameter values are not valid. "+emptyKey(v)+" Key: "+name)
}

func emptyKind(v item.Value) string {
	if v.Kind() == item.B {
		return "binary"
	}
	return "string"
}

// keyBytes is the length of a key value. Numbers are never too long.
func keyBytes(v item.Value) int { return len(v.Text()) }

func errHashTooLong() error { // the missing space is AWS's
	return apierr.Invalid("One or more parameter values were invalid: " +
		"Size of hashkey has exceeded the maximum size limit of2048 bytes")
}

func errRangeTooLong() error {
	return apierr.Invalid("One or more parameter values were invalid: " +
		"Aggregated size of all range keys has exceeded the size limit of 1024 bytes")
}
