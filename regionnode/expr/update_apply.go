package expr

import (
	"errors"
	"slices"

	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
)

// maxLevels is how deep a document nests: an attribute's own value is on level
// one.
const maxLevels = 32

// The refusals of an update that the item does not allow.
var (
	errPath     = apierr.Invalid("The document path provided in the update expression is invalid for update")
	errMissing  = apierr.Invalid("The provided expression refers to an attribute that does not exist in the item")
	errOperand  = apierr.Invalid("An operand in the update expression has an incorrect data type")
	errMismatch = apierr.Invalid("Type mismatch for attribute to update")
	errTooDeep  = apierr.Invalid("%s", (&item.ValueError{Fault: item.TooDeep}).Current())
)

// change is what an action has come to: a value to put at its path, nothing to
// leave there (remove), or neither.
type change struct {
	value  item.Value // Kind Invalid for none
	remove bool
}

// Apply returns the updated item. Operands are read from old, which stays as it
// is. For an item that does not exist, old has the key attributes alone. The
// item's size and its key and index attributes are the caller's to check.
func (u *Update) Apply(old item.Item) (item.Item, error) {
	changes, err := u.evaluate(old)
	if err != nil {
		return nil, err
	}
	for i, c := range changes {
		if c.value.Kind() != item.Invalid && len(u.actions[i].path.Steps)+depth(c.value) > maxLevels {
			return nil, errTooDeep
		}
	}
	return u.tree.put(old, changes), nil
}

// depth is how many levels a value has: one for a scalar or a set.
func depth(v item.Value) int {
	d := 0
	switch v.Kind() {
	case item.L:
		for _, e := range v.Elems() {
			d = max(d, depth(e))
		}
	case item.M:
		for _, f := range v.Fields() {
			d = max(d, depth(f.Value))
		}
	}
	return d + 1
}

// evaluate works all actions out on old. Several things can be wrong at once;
// DynamoDB names first a path through something that is no map or list as
// needed, then a wrong type, and then, from the last section to the first,
// paths into nothing before operands that are not there.
func (u *Update) evaluate(old item.Item) ([]change, error) {
	for i := range u.actions {
		if p := &u.actions[i].path; len(p.Steps) > 0 {
			if v, ok := p.parent(old); ok && !p.Steps[len(p.Steps)-1].fits(v.Kind()) {
				return nil, errPath
			}
		}
	}
	changes := make([]change, len(u.actions))
	var missing []bool
	for i := range u.actions {
		c, err := u.actions[i].change(old)
		if errors.Is(err, errMissing) {
			if missing == nil {
				missing = make([]bool, len(u.actions))
			}
			missing[i], err = true, nil
		}
		if err != nil {
			return nil, err
		}
		changes[i] = c
	}
	for end := len(u.actions); end > 0; {
		start := end - 1
		for start > 0 && u.actions[start-1].op == u.actions[start].op {
			start--
		}
		for i := start; i < end; i++ {
			if p := &u.actions[i].path; len(p.Steps) > 0 {
				if _, ok := p.parent(old); !ok {
					return nil, errPath
				}
			}
		}
		if missing != nil && slices.Contains(missing[start:end], true) {
			return nil, errMissing
		}
		end = start
	}
	return changes, nil
}

// change works one action out.
func (n *node) change(old item.Item) (change, error) {
	switch n.op {
	case opRemove:
		return change{remove: true}, nil
	case opSet:
		v, err := n.args[0].assigned(old)
		return change{value: v}, err
	}
	v := n.args[0].val
	at, ok := n.path.lookup(old)
	switch n.op {
	case opAdd, opLegacyAdd:
		if !ok {
			return change{value: v}, nil
		}
	default:
		if !ok {
			return change{}, nil
		}
	}
	if at.Kind() != v.Kind() {
		if n.op == opLegacyAdd || n.op == opLegacyDelete {
			return change{}, errMismatch
		}
		return change{}, errOperand
	}
	if n.op == opDelete || n.op == opLegacyDelete {
		left := without(at, v)
		if len(left) == 0 {
			return change{remove: true}, nil
		}
		return change{value: item.Set(at.Kind(), left)}, nil
	}
	sum, err := added(at, v)
	return change{value: sum}, err
}

// added is ADD of two values of one type.
func added(at, v item.Value) (item.Value, error) {
	switch v.Kind() {
	case item.N:
		return sum(opPlus, at, v)
	case item.L:
		return item.List(slices.Concat(at.Elems(), v.Elems())), nil
	}
	return item.Set(at.Kind(), slices.Concat(at.Elems(), without(v, at))), nil
}

// without lists the elements of the set a that the set b has not.
func without(a, b item.Value) []item.Value {
	drop := slices.SortedFunc(slices.Values(b.Elems()), item.Compare)
	left := make([]item.Value, 0, len(a.Elems()))
	for _, e := range a.Elems() {
		if _, found := slices.BinarySearchFunc(drop, e, item.Compare); !found {
			left = append(left, e)
		}
	}
	return left
}

func sum(o op, a, b item.Value) (item.Value, error) {
	x, y := a.Number(), b.Number()
	if o == opMinus {
		y = y.Neg()
	}
	n, err := x.Add(y)
	if err != nil {
		var fault *item.ValueError
		if errors.As(err, &fault) {
			if fault.Fault == item.Precision {
				fault = &item.ValueError{Fault: item.Overflow} // as DynamoDB calls it here
			}
			return item.Value{}, apierr.Invalid("%s", fault.Current())
		}
		return item.Value{}, err
	}
	return item.Num(n), nil
}

// assigned evaluates what SET assigns. A wrong type wins over an operand that
// is not there.
func (n *node) assigned(old item.Item) (item.Value, error) {
	switch n.op {
	case opValue:
		return n.val, nil
	case opPath:
		if v, ok := n.path.lookup(old); ok {
			return v, nil
		}
		return item.Value{}, errMissing
	case opIfNotExists:
		if v, ok := n.args[0].path.lookup(old); ok {
			return v, nil
		}
		return n.args[1].assigned(old)
	}
	want := item.N
	if n.op == opListAppend {
		want = item.L
	}
	var operands [2]item.Value
	var missing error
	for i := range operands {
		v, err := n.args[i].assigned(old)
		switch {
		case errors.Is(err, errMissing):
			missing = err
		case err != nil:
			return item.Value{}, err
		case v.Kind() != want:
			return item.Value{}, errOperand
		}
		operands[i] = v
	}
	if missing != nil {
		return item.Value{}, missing
	}
	if n.op == opListAppend {
		return item.List(slices.Concat(operands[0].Elems(), operands[1].Elems())), nil
	}
	return sum(n.op, operands[0], operands[1])
}

// put returns fields with the changes made at the tree's paths.
func (t *pathTree) put(fields item.Item, changes []change) item.Item {
	out := make(item.Item, 0, len(fields)+len(t.names))
	i := 0
	for j := range t.names {
		n := &t.names[j]
		for i < len(fields) && fields[i].Name < n.name {
			out = append(out, fields[i])
			i++
		}
		var v item.Value
		if i < len(fields) && fields[i].Name == n.name {
			v = fields[i].Value
			i++
		}
		if v = n.tree.putValue(v, changes); v.Kind() != item.Invalid {
			out = append(out, item.Field{Name: n.name, Value: v})
		}
	}
	return append(out, fields[i:]...)
}

// putValue returns v, which is Invalid for no value, with the changes made in
// it.
func (t *pathTree) putValue(v item.Value, changes []change) item.Value {
	switch {
	case t.leaf > 0:
		switch c := changes[t.leaf-1]; {
		case c.remove:
			return item.Value{}
		case c.value.Kind() != item.Invalid:
			return c.value
		}
		return v
	case v.Kind() == item.M:
		return item.Map(t.put(v.Fields(), changes))
	case v.Kind() == item.L:
		return item.List(t.putElems(v.Elems(), changes))
	}
	return v
}

// putElems changes a list. Indexes are those of the list as it was; what is set
// beyond its end is appended in the order of the indexes.
func (t *pathTree) putElems(elems []item.Value, changes []change) []item.Value {
	out := make([]item.Value, len(elems), len(elems)+len(t.indexes))
	copy(out, elems)
	removed := false
	for i := range t.indexes {
		n := &t.indexes[i]
		if n.index >= len(elems) {
			if v := n.tree.putValue(item.Value{}, changes); v.Kind() != item.Invalid {
				out = append(out, v)
			}
			continue
		}
		out[n.index] = n.tree.putValue(elems[n.index], changes)
		removed = removed || out[n.index].Kind() == item.Invalid
	}
	if removed {
		out = slices.DeleteFunc(out, func(v item.Value) bool { return v.Kind() == item.Invalid })
	}
	return out
}
