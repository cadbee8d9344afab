package expr

import (
	"strings"

	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// KeyRange is a key condition bound to a key schema: one item collection and
// an interval in it.
type KeyRange struct {
	// Hash has a value for each hash attribute of the schema.
	Hash []item.Value
	// RangeEq has the values of the leading range attributes that are held
	// equal ahead of the one that Op compares.
	RangeEq []item.Value
	// Op compares the range attribute after RangeEq's; RangeNone when no
	// further one is constrained. RangeEQ only ever stands for the last
	// attribute named.
	Op RangeOp
	// Low is Op's operand; High is the upper bound of RangeBetween only.
	Low, High item.Value
}

// Bind holds the condition against a key schema. attrType gives a key
// attribute's declared type: "S", "N" or "B".
func (k *KeyCondition) Bind(schema table.KeySchema, attrType func(name string) string) (*KeyRange, error) {
	if k.fault != nil {
		return nil, k.fault
	}
	if n := len(schema.Hash) + len(schema.Range); len(k.terms) > n {
		return nil, apierr.Invalid("The number of query conditions (%d) exceeds the number of key attributes defined in the schema (%d)",
			len(k.terms), n)
	}
	r := &KeyRange{Hash: make([]item.Value, len(schema.Hash))}
	for i, name := range schema.Hash {
		t := k.term(name)
		if t == nil {
			return nil, missed(name)
		}
		if err := t.check(attrType(name)); err != nil {
			return nil, err
		}
		if t.op != RangeEQ {
			return nil, apierr.Invalid("Query key condition not supported")
		}
		r.Hash[i] = t.low
	}
	return r, k.bindRange(r, schema, attrType)
}

// bindRange binds what is left after the hash attributes.
func (k *KeyCondition) bindRange(r *KeyRange, schema table.KeySchema, attrType func(name string) string) error {
	left := len(k.terms) - len(schema.Hash)
	var open []string // range attributes so far without an equality
	for _, name := range schema.Range {
		t := k.term(name)
		if t == nil {
			open = append(open, name)
			continue
		}
		left--
		if err := t.check(attrType(name)); err != nil {
			return err
		}
		if len(open) > 0 {
			return apierr.Invalid("RANGE key attributes %s must have equality conditions specified in the query "+
				"because a condition is present on key attribute %s", strings.Join(open, ", "), name)
		}
		if r.Op == RangeEQ {
			r.RangeEq = append(r.RangeEq, r.Low)
		}
		r.Op, r.Low, r.High = t.op, t.low, t.high
		if t.op != RangeEQ {
			open = append(open, name)
		}
	}
	if left > 0 {
		// A condition on something that is no key attribute: what it stands in
		// place of is missed.
		for _, name := range schema.Range {
			if k.term(name) == nil {
				return missed(name)
			}
		}
	}
	return nil
}

func missed(name string) error {
	return apierr.Invalid("Query condition missed key schema element: %s", name)
}

func (k *KeyCondition) term(name string) *keyTerm {
	for i := range k.terms {
		if k.terms[i].name == name {
			return &k.terms[i]
		}
	}
	return nil
}

// check checks a term's operands against the attribute's type.
func (t *keyTerm) check(want string) error {
	if t.op == RangeNone {
		return apierr.Invalid("Attempted conditional constraint is not an indexable operation")
	}
	operands := []item.Value{t.low, t.high}
	if t.op != RangeBetween {
		operands = operands[:1]
	}
	for _, v := range operands {
		if v.Kind().String() != want {
			return apierr.Invalid("One or more parameter values were invalid: Condition parameter type does not match schema type")
		}
	}
	for _, v := range operands {
		if v.Kind() != item.N && v.Text() == "" {
			what := "string"
			if v.Kind() == item.B {
				what = "binary"
			}
			return apierr.Invalid("One or more parameter values are not valid. "+
				"The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", what, t.name)
		}
	}
	return nil
}
