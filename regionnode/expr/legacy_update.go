package expr

import (
	"maps"
	"slices"

	"antipode/regionnode/item"
)

// LegacyUpdate is one entry of AttributeUpdates. An empty Action is PUT; a
// Value of Kind Invalid was not given.
type LegacyUpdate struct {
	Action string
	Value  item.Value
}

// FromAttributeUpdates translates AttributeUpdates.
func FromAttributeUpdates(updates map[string]LegacyUpdate) (*Update, error) {
	actions := make([]node, 0, len(updates))
	for _, name := range slices.Sorted(maps.Keys(updates)) {
		u := updates[name]
		o, err := u.op()
		if err != nil {
			return nil, err
		}
		a := node{op: o, path: Path{Name: name}}
		if o != opRemove {
			a.args = []node{{op: opValue, val: u.Value}}
		}
		actions = append(actions, a)
	}
	return newUpdate(actions), nil
}

func (u *LegacyUpdate) op() (op, error) {
	k := u.Value.Kind()
	switch {
	case k == item.Invalid && u.Action == "DELETE":
		return opRemove, nil
	case k == item.Invalid:
		return opNone, invalidParameter("Only DELETE action is allowed when no attribute value is specified")
	case u.Action == "DELETE":
		if !k.IsSet() {
			return opNone, invalidParameter("DELETE action with value is not supported for the type %s", k)
		}
		return opLegacyDelete, nil
	case u.Action == "ADD":
		if !k.IsSet() && k != item.N && k != item.L {
			return opNone, invalidParameter("ADD action is not supported for the type %s", k)
		}
		return opLegacyAdd, nil
	}
	return opSet, nil
}
