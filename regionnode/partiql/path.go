package partiql

import (
	"math"
	"strconv"

	"antipode/regionnode/apierr"
	"antipode/regionnode/expr"
)

// path is the document path of a name or path; ok is false for anything else.
func path(n *node) (p expr.Path, ok bool, err error) {
	switch {
	case n.kind == nodeName:
		if n.text == "" {
			return p, true, errEmptyComponent()
		}
		return expr.Path{Name: n.text}, true, nil
	case n.kind != nodePath || n.args[0].kind != nodeName:
		return p, false, nil
	}
	p.Name = n.args[0].text
	for _, s := range n.args[1:] {
		step, err := pathStep(s)
		if err != nil {
			return p, true, err
		}
		p.Steps = append(p.Steps, step)
	}
	if p.Name == "" {
		return p, true, errEmptyComponent()
	}
	return p, true, nil
}

func errEmptyComponent() error { return apierr.Invalid("Path component cannot be an empty string") }

func pathStep(s *node) (expr.Step, error) {
	switch {
	case s.kind == nodeStep && s.text == "":
		return expr.Step{}, errEmptyComponent()
	case s.kind == nodeStep:
		return expr.Step{Name: s.text, Index: -1}, nil
	case s.kind == nodeIndex && s.args[0].kind == nodeNumber:
		i, err := strconv.ParseInt(s.args[0].text, 10, 64)
		if err != nil || i < 0 || i > math.MaxInt32 {
			return expr.Step{}, apierr.Invalid("List index is not within the allowable range; index: [%s]%s", s.args[0].text, s.args[0].pos)
		}
		return expr.Step{Index: int(i)}, nil
	}
	return expr.Step{}, errUnexpectedPath(s)
}

func errUnexpectedPath(n *node) error { return apierr.Invalid("Unexpected path component%s", n.pos) }

// columnName is the name under which a SELECT answers with a path: that of its
// last named component, and the indexes behind it.
func columnName(p *expr.Path) string {
	name, indexes := p.Name, ""
	for _, s := range p.Steps {
		if s.Index >= 0 {
			indexes += "[" + strconv.Itoa(s.Index) + "]"
			continue
		}
		name, indexes = s.Name, ""
	}
	return name + indexes
}
