package partiql

import (
	"bytes"
	"slices"

	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// branch is one alternative of a WHERE clause: an item collection, by the first
// value that the hash key is held equal to, and a run of keys in it.
type branch struct {
	hash  []item.Value // what the hash key is held equal to; the first one selects
	tests []*test      // on the range key, that bound the run of keys
	// negated: the range key is also compared in a way that bounds no run.
	negated bool
	// filters are the conditions but for the one that selects; ranges are those
	// behind tests.
	filters, ranges []*cond
	low, high       []byte // of the range key's ordered form; nil for no bound
}

// maxBranches is how many reads one SELECT may come to.
const maxBranches = 50

// brancher takes the conditions on one table's or index's key out of a WHERE
// clause.
type brancher struct{ hash, sort string } // sort is "" when there is none

// keyed tells whether every alternative selects an item collection, so that no
// scan is needed.
func (k *brancher) keyed(c *cond) bool {
	all, mixed := k.selects(c)
	return all && !mixed
}

// selects tells whether every alternative of c selects a collection, and
// whether c has an OR of which only some do.
func (k *brancher) selects(c *cond) (all, mixed bool) {
	switch {
	case c == nil || c.op == condNot:
		return false, false
	case c.op == condLeaf:
		return c.test != nil && c.test.name == k.hash && (c.test.op == testEqual || c.test.op == testIn), false
	}
	count := 0
	for _, a := range c.args {
		one, m := k.selects(a)
		mixed = mixed || m
		if one {
			count++
		}
	}
	if c.op == condAnd {
		return count > 0, mixed
	}
	return count == len(c.args), mixed || count > 0 && count < len(c.args)
}

// conditions counts the conditions that select a collection.
func (k *brancher) conditions(c *cond) int {
	if c == nil || c.op == condNot {
		return 0
	}
	n := 0
	if c.test != nil && c.test.name == k.hash {
		switch c.test.op {
		case testEqual:
			n = 1
		case testIn:
			n = len(c.test.values)
		}
	}
	for _, a := range c.args {
		n += k.conditions(a)
	}
	return n
}

// sorts tells whether c speaks of the range key.
func (k *brancher) sorts(c *cond) bool {
	if c.test != nil {
		return c.test.name == k.sort
	}
	return slices.ContainsFunc(c.args, k.sorts)
}

// expand makes the alternatives of a condition.
func (k *brancher) expand(c *cond) ([]branch, error) {
	switch {
	case c.op == condAnd:
		return k.product(c.args)
	case c.op == condOr && (k.sorts(c) || k.conditions(c) > 0):
		var all []branch
		for _, a := range c.args {
			alternatives, err := k.expand(a)
			if err != nil {
				return nil, err
			}
			if all = append(all, alternatives...); len(all) > maxBranches {
				return nil, errTooManyReads()
			}
		}
		return all, nil
	case c.test == nil || c.test.name != k.hash && c.test.name != k.sort:
		return []branch{{negated: c.op == condNot && k.sorts(c), filters: []*cond{c}}}, nil
	case c.test.op == testIn:
		return k.each(c)
	case c.test.name == k.sort && c.test.op != testUnequal:
		return []branch{{tests: []*test{c.test}, ranges: []*cond{c}}}, nil
	case c.test.name == k.hash && c.test.op == testEqual:
		return []branch{{hash: c.test.values[:1]}}, nil
	}
	return []branch{{negated: c.test.name == k.sort, filters: []*cond{c}}}, nil
}

func errTooManyReads() error {
	return apierr.Invalid("Too many decomposed read operations for a given query.")
}

// each makes an alternative of each element of an IN on a key attribute.
func (k *brancher) each(c *cond) ([]branch, error) {
	if len(c.test.values) > maxBranches {
		return nil, errTooManyReads()
	}
	all := make([]branch, len(c.test.values))
	for i := range c.test.values {
		v := c.test.values[i : i+1]
		if c.test.name == k.hash {
			all[i].hash = v
			continue
		}
		equal, err := leaf("=", []operand{attribute(c.test.name), constant(v[0])})
		if err != nil {
			return nil, err
		}
		all[i] = branch{tests: []*test{equal.test}, ranges: []*cond{equal}}
	}
	return all, nil
}

// product makes the alternatives of conditions that all hold.
func (k *brancher) product(args []*cond) ([]branch, error) {
	all := []branch{{}}
	for _, a := range args {
		alternatives, err := k.expand(a)
		if err != nil {
			return nil, err
		}
		if len(all)*len(alternatives) > maxBranches {
			return nil, errTooManyReads()
		}
		var next []branch
		for _, x := range all {
			for _, y := range alternatives {
				next = append(next, branch{
					hash:    slices.Concat(x.hash, y.hash),
					tests:   slices.Concat(x.tests, y.tests),
					negated: x.negated || y.negated,
					filters: slices.Concat(x.filters, y.filters),
					ranges:  slices.Concat(x.ranges, y.ranges),
				})
			}
		}
		all = next
	}
	return all, nil
}

// branches makes the alternatives of a keyed WHERE clause, sorted by
// collection and then by run; those of one collection must not overlap.
func (k *brancher) branches(c *cond, d *table.Descriptor) ([]branch, error) {
	all, err := k.expand(c)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if err := k.finish(&all[i], d); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(all, func(x, y branch) int {
		if by := item.Compare(x.hash[0], y.hash[0]); by != 0 {
			return by
		}
		return bytes.Compare(x.low, y.low)
	})
	var out []branch
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].hash[0].Equal(all[0].hash[0]) {
			n++
		}
		if out, err = collection(out, all[:n]); err != nil {
			return nil, err
		}
		all = all[n:]
	}
	return out, nil
}

// finish checks the types of a branch's key values and bounds its run. That the
// hash key has two values at once is left to a filter.
func (k *brancher) finish(b *branch, d *table.Descriptor) error {
	for _, v := range b.hash {
		if err := checkKeyValue(d, k.hash, v); err != nil {
			return err
		}
	}
	for _, t := range b.tests {
		for _, v := range t.values {
			if err := checkKeyValue(d, k.sort, v); err != nil {
				return err
			}
		}
		b.bound(t)
	}
	for _, v := range b.hash[1:] {
		equal, err := leaf("=", []operand{attribute(k.hash), constant(v)})
		if err != nil {
			return err
		}
		b.filters = append(b.filters, equal)
	}
	return nil
}

// checkKeyValue refuses what a key attribute cannot be compared with.
func checkKeyValue(d *table.Descriptor, name string, v item.Value) error {
	switch k := v.Kind(); {
	case k.String() != d.AttributeType(name):
		return errKeyType(name)
	case k == item.S && v.Text() == "":
		return errEmptyKey("string", name)
	case k == item.B && v.Text() == "":
		return errEmptyKey("binary", name)
	}
	return nil
}

func errEmptyKey(kind, name string) error {
	return apierr.Invalid("One or more parameter values are not valid. "+
		"The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", kind, name)
}

// bound narrows a branch's run by a test on the range key.
func (b *branch) bound(t *test) {
	low := item.AppendOrdered(nil, t.values[0])
	high := item.PrefixEnd(low)
	switch t.op {
	case testLess:
		low, high = nil, low
	case testLessEqual:
		low = nil
	case testGreater:
		low, high = high, nil
	case testGreaterEqual:
		high = nil
	case testBetween:
		high = item.PrefixEnd(item.AppendOrdered(nil, t.values[1]))
	case testBegins:
		low = item.AppendOrderedPrefix(nil, t.values[0])
		high = item.PrefixEnd(low)
	}
	if bytes.Compare(low, b.low) > 0 {
		b.low = low
	}
	if high != nil && (b.high == nil || bytes.Compare(high, b.high) < 0) {
		b.high = high
	}
}

// empty tells a run without keys.
func (b *branch) empty() bool { return b.high != nil && bytes.Compare(b.low, b.high) >= 0 }

// collection appends the branches of one item collection. Those with a negated
// comparison may overlap others: then all are read as one.
func collection(out, all []branch) ([]branch, error) {
	negated := false
	var before *branch
	for i := range all {
		b := &all[i]
		if negated = negated || b.negated; b.negated || b.empty() {
			continue
		}
		if before != nil && (before.high == nil || bytes.Compare(b.low, before.high) < 0) {
			return nil, apierr.Invalid("Overlapping conditions with range keys are not supported in where clause")
		}
		before = b
	}
	if !negated || len(all) == 1 {
		return append(out, all...), nil
	}
	whole := anyOf()
	for _, b := range all {
		whole.args = append(whole.args, allOf(slices.Concat(b.ranges, b.filters)...))
	}
	return append(out, branch{hash: all[0].hash, filters: []*cond{whole}}), nil
}

// attribute is an operand that names a top-level attribute.
func attribute(name string) operand {
	o, _ := new(binding).operand(&node{kind: nodeName, text: name})
	return o
}
