package expr

import (
	"slices"
	"strings"

	"antipode/regionnode/item"
)

// pathTree is a set of paths, arranged so that one walk over an item meets them
// all. Paths do not overlap or conflict, so a tree is either a leaf or has
// names or has indexes.
type pathTree struct {
	leaf    int // number of the path that ends here, counted from 1; 0 for none
	names   []namedTree
	indexes []indexedTree
}

type namedTree struct {
	name string
	tree pathTree
}

type indexedTree struct {
	index int
	tree  pathTree
}

// insert adds a path under its number.
func (t *pathTree) insert(p *Path, number int) {
	t = t.named(p.Name)
	for _, s := range p.Steps {
		if s.Index >= 0 {
			t = t.indexed(s.Index)
		} else {
			t = t.named(s.Name)
		}
	}
	t.leaf = number
}

func (t *pathTree) named(name string) *pathTree {
	i, ok := slices.BinarySearchFunc(t.names, name, func(n namedTree, s string) int { return strings.Compare(n.name, s) })
	if !ok {
		t.names = slices.Insert(t.names, i, namedTree{name: name})
	}
	return &t.names[i].tree
}

func (t *pathTree) indexed(index int) *pathTree {
	i, ok := slices.BinarySearchFunc(t.indexes, index, func(n indexedTree, i int) int { return n.index - i })
	if !ok {
		t.indexes = slices.Insert(t.indexes, i, indexedTree{index: index})
	}
	return &t.indexes[i].tree
}

// pick takes the parts of fields that the tree's paths lead to.
func (t *pathTree) pick(fields item.Item) item.Item {
	out := make(item.Item, 0, len(t.names))
	for i := range t.names {
		n := &t.names[i]
		if v, ok := fields.Get(n.name); ok {
			if v, ok = n.tree.pickValue(v); ok {
				out = append(out, item.Field{Name: n.name, Value: v})
			}
		}
	}
	return out
}

// pickValue takes the parts of v; ok is false when there are none. Elements of
// a list close up.
func (t *pathTree) pickValue(v item.Value) (part item.Value, ok bool) {
	switch {
	case t.leaf > 0:
		return v, true
	case len(t.names) > 0 && v.Kind() == item.M:
		fields := t.pick(v.Fields())
		return item.Map(fields), len(fields) > 0
	case len(t.indexes) > 0 && v.Kind() == item.L:
		elems := v.Elems()
		var out []item.Value
		for i := range t.indexes {
			n := &t.indexes[i]
			if n.index >= len(elems) {
				break
			}
			if e, ok := n.tree.pickValue(elems[n.index]); ok {
				out = append(out, e)
			}
		}
		return item.List(out), len(out) > 0
	}
	return item.Value{}, false
}
