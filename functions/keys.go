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
	for _, name := range d.Key.Names() {
		v, ok := key.Get(name)
		if !ok || v.Kind().String() != d.AttributeType(name) {
			return errKeySchema()
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
			return apierr.Invalid("One or more parameter values were invalid: " +
				"Size of hashkey has exceeded the maximum size limit of2048 bytes")
		}
	}
	for _, name := range k.Range {
		v, _ := it.Get(name)
		if err := checkNotEmpty(name, v); err != nil {
			return err
		}
		if keyBytes(v) > table.MaxRangeKeySize {
			return apierr.Invalid("One or more parameter values were invalid: " +
				"Aggregated size of all range keys has exceeded the size limit of 1024 bytes")
		}
	}
	return nil
}

func checkNotEmpty(name string, v item.Value) error {
	if v.Kind() == item.N || v.Text() != "" {
		return nil
	}
	return apierr.Invalid("One or more parameter values are not valid. "+
		"The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", emptyKind(v), name)
}

func emptyKind(v item.Value) string {
	if v.Kind() == item.B {
		return "binary"
	}
	return "string"
}

// keyBytes is the length of a key value. Numbers are never too long.
func keyBytes(v item.Value) int { return len(v.Text()) }

// checkIndexKeys holds an item that is to be put against the keys of the
// table's indexes: an attribute that keys an index must be of the declared type
// and neither empty nor too long; it may be absent.
func checkIndexKeys(d *table.Descriptor, it item.Item) error {
	for i := range d.Locals {
		if err := checkIndexKey(d, &d.Locals[i], it); err != nil {
			return err
		}
	}
	for i := range d.Globals {
		if err := checkIndexKey(d, &d.Globals[i], it); err != nil {
			return err
		}
	}
	return nil
}

func checkIndexKey(d *table.Descriptor, x *table.Index, it item.Item) error {
	for n, names := range [2][]string{x.Key.Hash, x.Key.Range} {
		limit, text := table.MaxHashKeySize, "Size of hashkey has exceeded the maximum size limit of2048 bytes"
		if n == 1 {
			limit, text = table.MaxRangeKeySize, "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
		}
		for _, name := range names {
			v, ok := it.Get(name)
			if !ok {
				continue
			}
			if want := d.AttributeType(name); v.Kind().String() != want {
				return apierr.Invalid("One or more parameter values were invalid: "+
					"Type mismatch for Index Key %s Expected: %s Actual: %s IndexName: %s", name, want, v.Kind(), x.Name)
			}
			if v.Kind() != item.N && v.Text() == "" {
				return apierr.Invalid("One or more parameter values are not valid. "+
					"A value specified for a secondary index key is not supported. "+
					"The AttributeValue for a key attribute cannot contain an empty %s value. IndexName: %s, IndexKey: %s",
					emptyKind(v), x.Name, name)
			}
			if keyBytes(v) > limit {
				return apierr.Invalid("One or more parameter values were invalid: %s", text)
			}
		}
	}
	return nil
}
