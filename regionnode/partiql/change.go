package partiql

import (
	"slices"

	"antipode/regionnode/apierr"
	"antipode/regionnode/expr"
	"antipode/regionnode/item"
)

// inserted is the item of an INSERT: a literal map, of which single values may
// be parameters, or a parameter that is a map.
func (b *binding) inserted(n *node) (item.Item, error) {
	if n.kind == nodeStruct {
		return b.fields(n, func(_ string, value *node) (item.Value, error) {
			if value.kind == nodeParameter {
				v, _, err := b.constant(value)
				return v, err
			}
			return b.literal(value, rootPath, 0)
		})
	}
	v, _, err := b.constant(n)
	if err != nil {
		return nil, err
	}
	if v.Kind() != item.M {
		return nil, apierr.Invalid("Unsupported data type: %s under key %s%s", typeName(n), rootPath, n.pos)
	}
	return v.Fields(), nil
}

// update makes an update of the SETs and REMOVEs.
func (b *binding) update(changes []change) (*expr.Update, error) {
	actions := make([]expr.Action, len(changes))
	for i, ch := range changes {
		p, ok, err := path(ch.path)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, errUnexpectedPath(ch.path)
		}
		if actions[i], err = b.action(p, ch); err != nil {
			return nil, err
		}
	}
	return expr.NewUpdate(actions)
}

func (b *binding) action(p expr.Path, ch change) (expr.Action, error) {
	if ch.value == nil {
		return expr.Remove(p), nil
	}
	if ch.value.kind == nodeCall && (ch.value.text == "set_add" || ch.value.text == "set_delete") {
		set, err := b.elements(p, ch.value)
		if ch.value.text == "set_add" {
			return expr.AddElements(p, set), err
		}
		return expr.DeleteElements(p, set), err
	}
	value, err := b.assigned(ch.value)
	return expr.Set(p, value), err
}

// elements are what set_add and set_delete change the set at the path by. The
// set must be named again as the first argument.
func (b *binding) elements(p expr.Path, call *node) (item.Value, error) {
	name := upper(call.text)
	if len(call.args) != 2 {
		return item.Value{}, apierr.Invalid("%s must have exactly two arguments%s", name, call.pos)
	}
	if !samePath(call.args[0], p) {
		return item.Value{}, apierr.Invalid("The first argument to %s must equal the assignment value%s", name, call.pos)
	}
	v, ok, err := b.constant(call.args[1])
	if err != nil {
		return item.Value{}, err
	}
	if !ok || !v.Kind().IsSet() {
		return item.Value{}, apierr.Invalid("The second argument to %s must be a value with type SET%s", name, call.args[0].pos)
	}
	return v, nil
}

func samePath(n *node, p expr.Path) bool {
	q, ok, err := path(n)
	return ok && err == nil && q.Name == p.Name && slices.Equal(q.Steps, p.Steps)
}

// assigned translates what SET assigns.
func (b *binding) assigned(n *node) (expr.Tree, error) {
	v, ok, err := b.constant(n)
	if err != nil {
		return expr.Tree{}, err
	}
	if ok {
		return expr.ValueTree(v), nil
	}
	p, ok, err := path(n)
	if err != nil {
		return expr.Tree{}, err
	}
	if ok {
		return expr.PathTree(p), nil
	}
	name := n.text
	switch {
	case n.kind == nodeCall && n.text == "list_append":
	case n.kind == nodeCall:
		return expr.Tree{}, apierr.Invalid("Unrecognized function: %s%s", n.text, n.pos)
	case n.kind == nodeOperation && len(n.args) == 1 && (name == "+" || name == "-"):
		return expr.Tree{}, errOperator(n)
	case n.kind == nodeOperation && (name == "+" || name == "-"):
	case n.kind == nodeOperation:
		return expr.Tree{}, apierr.Invalid("An update expression has no operator %s", name)
	default:
		return expr.Tree{}, apierr.Invalid("Unsupported operation: %s", operationName(n))
	}
	args := make([]expr.Tree, len(n.args))
	for i, a := range n.args {
		if args[i], err = b.assigned(a); err != nil {
			return expr.Tree{}, err
		}
	}
	return expr.Operation(name, args...)
}
