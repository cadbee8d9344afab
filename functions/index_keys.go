package functions

import (
	"strings"

	"antipode/regionnode/apierr"
	"antipode/regionnode/expr"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// eachIndexKey calls f with every attribute that keys an index. Of the refusals
// it returns the one of the index whose name comes first, as DynamoDB does.
func eachIndexKey(d *table.Descriptor, f func(x *table.Index, name string, hash bool) error) error {
	var first *table.Index
	var refusal error
	for _, list := range [2][]table.Index{d.Locals, d.Globals} {
		for i := range list {
			x := &list[i]
			if first != nil && first.Name < x.Name {
				continue
			}
			if err := indexKey(x, f); err != nil {
				first, refusal = x, err
			}
		}
	}
	return refusal
}

func indexKey(x *table.Index, f func(x *table.Index, name string, hash bool) error) error {
	for n, names := range [2][]string{x.Key.Hash, x.Key.Range} {
		for _, name := range names {
			if err := f(x, name, n == 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkIndexKeys holds an item that is to be put against the keys of the
// table's indexes: an attribute that keys an index must be of the declared type
// and neither empty nor too long; it may be absent.
func checkIndexKeys(d *table.Descriptor, it item.Item) error {
	if len(d.Locals)+len(d.Globals) == 0 {
		return nil
	}
	return eachIndexKey(d, func(x *table.Index, name string, hash bool) error {
		v, ok := it.Get(name)
		if !ok {
			return nil
		}
		if err := checkIndexKeyType(d, x, name, v.Kind()); err != nil {
			return err
		}
		if v.Kind() != item.N && v.Text() == "" {
			return apierr.New(apierr.Validation, emptyIndexKey+"A value specified for a secondary index key is not supported. "+
				emptyKey(v)+" IndexName: "+x.Name+", IndexKey: "+name)
		}
		switch n := keyBytes(v); {
		case hash && n > table.MaxHashKeySize:
			return errHashTooLong()
		case !hash && n > table.MaxRangeKeySize:
			return errRangeTooLong()
		}
		return nil
	})
}

// checkIndexUpdate refuses an update that is sure to give an index key a value
// of the wrong type, or an empty one. What the item decides, its partition
// refuses.
func checkIndexUpdate(d *table.Descriptor, u *expr.Update) error {
	if len(d.Locals)+len(d.Globals) == 0 {
		return nil
	}
	return eachIndexKey(d, func(x *table.Index, name string, _ bool) error {
		if kind := u.TypeOf(name); kind != item.Invalid {
			if err := checkIndexKeyType(d, x, name, kind); err != nil {
				return err
			}
		}
		if v, ok := u.Assigns(name); ok && v.Kind() != item.N && v.Text() == "" {
			return apierr.New(apierr.Validation, emptyIndexKey+"The update expression attempted to update a secondary index key "+
				"to a value that is not supported. "+emptyKey(v))
		}
		return nil
	})
}

const emptyIndexKey = "One or more parameter values are not valid. "

// isEmptyIndexKey tells the refusal of an empty value, which is the request's
// own fault even inside a transaction.
func isEmptyIndexKey(err error) bool {
	e := apierr.Of(err)
	return e != nil && strings.HasPrefix(e.Message, emptyIndexKey)
}

func emptyKey(v item.Value) string {
	return "The AttributeValue for a key attribute cannot contain an empty " + emptyKind(v) + " value."
}

func checkIndexKeyType(d *table.Descriptor, x *table.Index, name string, kind item.Kind) error {
	if want := d.AttributeType(name); kind.String() != want {
		return apierr.Invalid("One or more parameter values were invalid: "+
			"Type mismatch for Index Key %s Expected: %s Actual: %s IndexName: %s", name, want, kind, x.Name)
	}
	return nil
}

// refuseNested refuses to look into an attribute that keys the table or one of
// its indexes.
func refuseNested(d *table.Descriptor, names []string) error {
	for _, name := range names {
		if d.Key.Has(name) {
			return errScalar("Key", name)
		}
	}
	for _, name := range names {
		for _, list := range [2][]table.Index{d.Locals, d.Globals} {
			for i := range list {
				if list[i].Key.Has(name) {
					return errScalar("IndexKey", name)
				}
			}
		}
	}
	return nil
}

// refuseNestedChoice does so for what a read chooses.
func refuseNestedChoice(d *table.Descriptor, p *expr.Projection) error {
	if p == nil {
		return nil
	}
	return refuseNested(d, p.NestedAttributes())
}

func errScalar(what, name string) error {
	return apierr.Invalid("Key attributes must be scalars; "+
		"list random access '[]' and map lookup '.' are not allowed: %s: %s", what, name)
}
