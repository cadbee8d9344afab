package expr

import (
	"slices"

	"antipode/regionnode/item"
)

// Update is what an UpdateItem does to an item. It is immutable and may be used
// concurrently.
type Update struct {
	actions []node
	tree    pathTree // the actions' paths, numbered from 1
}

// ParseUpdate parses an update expression.
func ParseUpdate(src string, s *Substitutions) (*Update, error) {
	p, err := newParser(UpdateExpression, src)
	if err != nil {
		return nil, err
	}
	sections, err := p.update()
	if err != nil {
		return nil, err
	}
	c := &checker{kind: UpdateExpression, subs: s}
	if err := c.sections(sections); err != nil {
		return nil, err
	}
	return c.update(sections)
}

func newUpdate(actions []node) *Update {
	u := &Update{actions: actions}
	for i := range actions {
		u.tree.insert(&actions[i].path, i+1)
	}
	return u
}

// sections checks the words of an update, a kind of section at a time, and that
// each kind stands only once.
func (c *checker) sections(sections []section) error {
	for i, s := range sections {
		if slices.ContainsFunc(sections[:i], func(e section) bool { return e.op == s.op }) {
			continue
		}
		count := 0
		for _, e := range sections[i:] {
			if e.op != s.op {
				continue
			}
			count++
			for _, a := range e.actions {
				for _, x := range a {
					if err := c.words(x, inUpdate); err != nil {
						return err
					}
				}
			}
		}
		if count > 1 {
			return c.kind.invalid(`The "%s" section can only be used once in an update expression;`, s.op)
		}
	}
	return nil
}

// update makes the actions. The paths that change are settled first, in the
// order written; then, as DynamoDB does, from the last action back, the names
// in all values, and after them the values and their types.
func (c *checker) update(sections []section) (*Update, error) {
	var actions []node
	var values []*syntax // nil for REMOVE
	var paths []*Path
	for _, s := range sections {
		for _, a := range s.actions {
			path, err := c.path(a[0])
			if err != nil {
				return nil, err
			}
			actions = append(actions, node{op: s.op, path: path})
			var value *syntax
			if len(a) > 1 {
				value = a[1]
			}
			values = append(values, value)
		}
	}
	for i := range actions {
		paths = append(paths, &actions[i].path)
	}
	if err := checkClashes(c.kind, paths); err != nil {
		return nil, err
	}
	for _, x := range slices.Backward(values) {
		if err := c.valueNames(x); err != nil {
			return nil, err
		}
	}
	for i, x := range slices.Backward(values) {
		if x == nil {
			continue
		}
		value, err := c.resolve(x)
		if err != nil {
			return nil, err
		}
		actions[i].args = []node{value}
		if err := c.operands(&actions[i]); err != nil {
			return nil, err
		}
		if err := c.actionType(&actions[i]); err != nil {
			return nil, err
		}
	}
	return newUpdate(actions), nil
}

// valueNames checks that the #placeholders in a value are defined.
func (c *checker) valueNames(x *syntax) error {
	if x == nil {
		return nil
	}
	if x.op == opPath {
		_, err := c.path(x)
		return err
	}
	for _, a := range x.args {
		if err := c.valueNames(a); err != nil {
			return err
		}
	}
	return nil
}

// longNames are the types as the errors of ADD and DELETE name them.
var longNames = [...]string{
	item.S: "STRING", item.N: "NUMBER", item.B: "BINARY", item.BOOL: "BOOLEAN", item.NULL: "NULL",
	item.M: "MAP", item.L: "LIST", item.SS: "STRING_SET", item.NS: "NUMBER_SET", item.BS: "BINARY_SET",
}

// actionType checks what ADD and DELETE are given.
func (c *checker) actionType(a *node) error {
	if a.op != opAdd && a.op != opDelete {
		return nil
	}
	k := a.args[0].val.Kind()
	if k.IsSet() || a.op == opAdd && k == item.N {
		return nil
	}
	return c.kind.invalid("Incorrect operand type for operator or function; operator: %s, operand type: %s, typeSet: ALLOWED_FOR_%s_OPERAND",
		a.op, longNames[k], a.op)
}

// Attributes lists the top-level names that the update changes, each once, in
// the order in which they appear.
func (u *Update) Attributes() []string {
	var ns names
	for i := range u.actions {
		ns.add(u.actions[i].path.Name)
	}
	return ns
}

// NestedAttributes lists the top-level names that the update looks into with
// '.' or '[]', to change or to read them; no key attribute of the table or of
// an index may be among them.
func (u *Update) NestedAttributes() []string {
	var ns names
	for i := range u.actions {
		u.actions[i].eachPath(ns.addNested)
	}
	return ns
}

// TypeOf is the type that the update is sure to give a top-level attribute;
// Invalid when it leaves the attribute alone, removes it, or when the item
// decides.
func (u *Update) TypeOf(name string) item.Kind {
	for i := range u.actions {
		a := &u.actions[i]
		if a.path.Name != name || len(a.path.Steps) > 0 {
			continue
		}
		switch a.op {
		case opSet, opAdd, opLegacyAdd:
			return a.args[0].knownType()
		}
	}
	return item.Invalid
}

// Assigns is the value that the update gives a top-level attribute whatever the
// item is.
func (u *Update) Assigns(name string) (item.Value, bool) {
	for i := range u.actions {
		if a := &u.actions[i]; a.op == opSet && a.path.Name == name && len(a.path.Steps) == 0 && a.args[0].op == opValue {
			return a.args[0].val, true
		}
	}
	return item.Value{}, false
}

// Creates tells whether the update makes an item where there is none: one that
// only removes or deletes does not, one that does nothing does.
func (u *Update) Creates() bool {
	for i := range u.actions {
		switch u.actions[i].op {
		case opSet, opAdd, opLegacyAdd:
			return true
		}
	}
	return len(u.actions) == 0
}

// Updated returns the part of an image that the update's paths lead to: what
// UPDATED_OLD and UPDATED_NEW answer. It is nil when there is none.
func (u *Update) Updated(it item.Item) item.Item {
	part := u.tree.pick(it)
	if len(part) == 0 {
		return nil
	}
	return part
}
