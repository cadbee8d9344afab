package expr

import (
	"strconv"
	"strings"

	"antipode/regionnode/item"
)

// Path is a document path: a top-level attribute and the steps down from it.
type Path struct {
	Name  string
	Steps []Step
}

// Step goes down into a map by Name or, when Index is not negative, into a
// list.
type Step struct {
	Name  string
	Index int
}

// maxPathLevels bounds a document path, its top-level name included: no value
// nests deeper.
const maxPathLevels = 32

// maxListIndex is the largest index an expression may write.
const maxListIndex = 1<<31 - 1

// lookup finds what the path leads to.
func (p *Path) lookup(it item.Item) (item.Value, bool) {
	v, ok := it.Get(p.Name)
	for i := 0; ok && i < len(p.Steps); i++ {
		v, ok = p.Steps[i].in(v)
	}
	return v, ok
}

// parent finds the map or list that holds the path's last step.
func (p *Path) parent(it item.Item) (item.Value, bool) {
	v, ok := it.Get(p.Name)
	for i := 0; ok && i < len(p.Steps)-1; i++ {
		v, ok = p.Steps[i].in(v)
	}
	return v, ok
}

func (s *Step) in(v item.Value) (item.Value, bool) {
	if s.Index >= 0 {
		if v.Kind() != item.L {
			return item.Value{}, false
		}
		elems := v.Elems()
		if s.Index >= len(elems) {
			return item.Value{}, false
		}
		return elems[s.Index], true
	}
	if v.Kind() != item.M {
		return item.Value{}, false
	}
	return v.Fields().Get(s.Name)
}

// fits tells whether a container of that kind can have the step.
func (s *Step) fits(container item.Kind) bool {
	if s.Index >= 0 {
		return container == item.L
	}
	return container == item.M
}

func (p *Path) equal(q *Path) bool {
	if p.Name != q.Name || len(p.Steps) != len(q.Steps) {
		return false
	}
	for i := range p.Steps {
		if p.Steps[i] != q.Steps[i] {
			return false
		}
	}
	return true
}

// list is the path as error texts give it: [a, [0], b].
func (p *Path) list() string {
	var b strings.Builder
	b.WriteString("[" + p.Name)
	for _, s := range p.Steps {
		b.WriteString(", ")
		if s.Index >= 0 {
			b.WriteString("[" + strconv.Itoa(s.Index) + "]")
		} else {
			b.WriteString(s.Name)
		}
	}
	b.WriteByte(']')
	return b.String()
}

// clash is how two paths stand in each other's way.
type clash uint8

const (
	noClash  clash = iota
	overlap        // one is the other, or leads into it
	conflict       // they take one value for a map and for a list
)

func (p *Path) clash(q *Path) clash {
	if p.Name != q.Name {
		return noClash
	}
	for i := 0; i < len(p.Steps) && i < len(q.Steps); i++ {
		a, b := p.Steps[i], q.Steps[i]
		if (a.Index >= 0) != (b.Index >= 0) {
			return conflict
		}
		if a != b {
			return noClash
		}
	}
	return overlap
}

// checkClashes refuses paths that stand in each other's way, overlaps before
// conflicts.
func checkClashes(kind Kind, paths []*Path) error {
	for _, c := range [...]struct {
		clash clash
		word  string
	}{{overlap, "overlap"}, {conflict, "conflict"}} {
		for j := range paths {
			for i := range j {
				if paths[i].clash(paths[j]) == c.clash {
					return kind.invalid("Two document paths %s with each other; must remove or rewrite one of these paths; "+
						"path one: %s, path two: %s", c.word, paths[i].list(), paths[j].list())
				}
			}
		}
	}
	return nil
}
