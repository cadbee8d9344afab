package partiql

import (
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/expr"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// Bound is a statement with its parameters in place; what is left to find out
// needs the table. It is immutable and may be used concurrently.
type Bound struct {
	*Statement
	where  *cond // nil when there is no WHERE
	item   item.Item
	update *expr.Update
}

// Bind puts parameters into a statement. There may be more than it has places
// for.
func (s *Statement) Bind(params []item.Value) (*Bound, error) {
	b, c := &binding{params: params}, s.clauses
	bound := &Bound{Statement: s}
	var err error
	switch s.kind {
	case Insert:
		if bound.item, err = b.inserted(c.value); err != nil {
			return nil, err
		}
	case Update:
		if bound.update, err = b.update(c.changes); err != nil {
			return nil, err
		}
	}
	if c.where != nil {
		if bound.where, err = b.condition(c.where); err != nil {
			return nil, err
		}
	}
	return bound, nil
}

// Write is what an INSERT, UPDATE or DELETE writes, or what an EXISTS checks:
// one item.
type Write struct {
	Op regionnode.WriteOp
	// Key has the key attributes, of their declared types; nil for a PutOp.
	Key item.Item
	// Item is the whole item of a PutOp. Its key is the caller's to check.
	Item      item.Item
	Update    *expr.Update
	Condition *expr.Condition
	Return    regionnode.Return
}

// KeyError refuses a statement that does not name one item by its whole key.
// Transactions word that in their own way.
type KeyError struct{ cause *apierr.Error }

func (e *KeyError) Error() string { return e.cause.Error() }

// Unwrap is the error as ExecuteStatement answers with it.
func (e *KeyError) Unwrap() error { return e.cause }

func keyError(format string, args ...any) error { return &KeyError{apierr.Invalid(format, args...)} }

func errIncompleteKey() error {
	return keyError("Where clause does not contain a mandatory equality on all key attributes")
}

func errKeyType(name string) error {
	return keyError("Key attribute's data type should match its data type in table's schema: Key %s", name)
}

// Write plans a statement that writes, or an EXISTS, on its table.
func (b *Bound) Write(d *table.Descriptor) (*Write, error) {
	hash := expr.PathTree(expr.Path{Name: d.Key.Hash[0]})
	absent, err := expr.Operation("attribute_not_exists", hash)
	if err != nil {
		return nil, err
	}
	if b.kind == Insert {
		return &Write{Op: regionnode.PutOp, Item: b.item, Condition: absent.Condition()}, nil
	}
	key, rest, err := b.wholeKey(d)
	if err != nil {
		return nil, err
	}
	w := &Write{Key: key, Return: b.returns}
	switch b.kind {
	case Update:
		// An UPDATE makes no item: there must be one.
		w.Op, w.Update = regionnode.UpdateOp, b.update
		w.Condition = expr.All(expr.Not(absent), rest.compile()).Condition()
	case Delete:
		// Of an item that is not there nothing needs to hold.
		w.Op = regionnode.DeleteOp
		if rest != nil {
			w.Condition = expr.Any(absent, rest.compile()).Condition()
		}
	default:
		if rest == nil {
			return nil, errExists()
		}
		w.Op, w.Condition = regionnode.CheckOp, rest.compile().Condition()
	}
	return w, nil
}

func errExists() error {
	return apierr.Invalid("EXISTS() must contain a single item read with additional condition")
}

// wholeKey takes the key's equalities out of WHERE; rest is what else it says,
// nil for nothing.
func (b *Bound) wholeKey(d *table.Descriptor) (key item.Item, rest *cond, err error) {
	var others []*cond
	for _, c := range conjuncts(b.where) {
		t := c.test
		if t == nil || t.op != testEqual || !d.Key.Has(t.name) {
			others = append(others, c)
			continue
		}
		switch v, ok := key.Get(t.name); {
		case !ok:
			key = key.Set(t.name, t.values[0])
		case v.Equal(t.values[0]):
		case b.kind == Exists:
			others = append(others, c) // the first one names the item
		default:
			return nil, nil, keyError("Multiple conditions on same key %s. Only single item Update/Insert/Delete are supported", t.name)
		}
	}
	for _, name := range d.Key.Names() {
		v, ok := key.Get(name)
		switch {
		case !ok && b.kind == Exists:
			return nil, nil, errExists()
		case !ok:
			return nil, nil, errIncompleteKey()
		case v.Kind().String() != d.AttributeType(name):
			return nil, nil, errKeyType(name)
		}
	}
	if len(others) > 0 {
		rest = allOf(others...)
	}
	return key, rest, nil
}

// conjuncts are the conditions that all have to hold; nil has none.
func conjuncts(c *cond) []*cond {
	switch {
	case c == nil:
		return nil
	case c.op != condAnd:
		return []*cond{c}
	}
	var all []*cond
	for _, a := range c.args {
		all = append(all, conjuncts(a)...)
	}
	return all
}
