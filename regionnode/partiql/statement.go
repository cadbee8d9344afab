package partiql

import (
	"strings"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
)

// Kind is what a statement does.
type Kind uint8

// The kinds of statements.
const (
	Select Kind = iota + 1
	Insert
	Update
	Delete
	Exists // EXISTS(SELECT …): a condition among the writes of a transaction
)

// Statement is a parsed statement, not yet bound to its parameters. It is
// immutable and may be used concurrently.
type Statement struct {
	kind         Kind
	table, index string
	clauses      *clauses
	root         *node
	returns      regionnode.Return
}

// Parse parses a statement, and refuses what needs neither parameters nor a
// table to be refused.
func Parse(src string) (*Statement, error) {
	root, err := parse(src)
	if err != nil {
		return nil, err
	}
	s := &Statement{root: root, clauses: root.statement}
	switch {
	case root.kind == nodeSelect:
		s.kind = Select
	case root.kind == nodeChange:
		s.kind = map[string]Kind{"insert": Insert, "update": Update, "delete": Delete}[root.statement.verb]
	case root.kind == nodeCall && root.text == "exists" && len(root.args) == 1 && root.args[0].kind == nodeSelect:
		s.kind, s.clauses = Exists, root.args[0].statement
	default:
		return nil, apierr.Invalid("Unsupported operation: %s", operationName(root))
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

// operationName names what stands in the place of a statement.
func operationName(n *node) string {
	switch n.kind {
	case nodeName:
		return "Id"
	case nodeMissing:
		return "Missing"
	case nodeParameter:
		return "Parameter"
	case nodeList:
		return "List"
	case nodeBag:
		return "Bag"
	case nodeStruct:
		return "Struct"
	case nodeCall:
		return "Call"
	case nodePath:
		return "Path"
	case nodeIs:
		return "IsType"
	case nodeOperation:
		if name, ok := operationNames[n.text]; ok {
			return name
		}
	}
	return "Lit"
}

var operationNames = map[string]string{
	"not": "Not", "and": "And", "or": "Or", "=": "Eq", "<>": "Ne", "<": "Lt", "<=": "Lte", ">": "Gt", ">=": "Gte",
	"between": "Between", "in": "InCollection", "like": "Like", "||": "Concat", "+": "Plus", "-": "Minus",
	"*": "Times", "/": "Divide", "%": "Modulo",
}

// check checks the clauses and finds the table.
func (s *Statement) check() error {
	c := s.clauses
	switch {
	case c.unsupported != "":
		return apierr.Invalid("Unsupported clause: %s%s", c.unsupported, c.at)
	case c.joined:
		return errOneSource()
	case c.aliased:
		return apierr.Invalid("Aliasing is not supported")
	case c.source == nil:
		return errIncompleteKey()
	}
	parts, err := components(c.source)
	if err != nil {
		return err
	}
	if s.kind == Insert && len(parts) > 1 {
		return apierr.Invalid("FROM clause may only contain a single table name")
	}
	if (s.kind == Update || s.kind == Delete) && len(parts) > 1 {
		return apierr.Invalid("This operation is not supported on an index")
	}
	s.table = parts[0]
	if len(parts) > 1 {
		s.index = parts[1]
	}
	return s.checkReturning()
}

func errOneSource() error {
	return apierr.Invalid("A statement reads one table or one index: more than one source is not supported")
}

// components are the names in a FROM clause: a table's, and an index's.
func components(source *node) ([]string, error) {
	nodes := []*node{source}
	if source.kind == nodePath {
		nodes = source.args
	}
	var parts []string
	for i, n := range nodes {
		if i == 0 && n.kind != nodeName || i > 0 && n.kind != nodeStep {
			return nil, errOneSource()
		}
		parts = append(parts, n.text)
	}
	if len(parts) > 2 {
		return nil, apierr.Invalid("A path may contain at most 2 components in the FROM clause")
	}
	for _, part := range parts {
		if part == "" {
			return nil, apierr.Invalid("Path component cannot be an empty string")
		}
	}
	return parts, nil
}

var mappings = map[string]regionnode.Return{
	"all_old": regionnode.ReturnAllOld, "all_new": regionnode.ReturnAllNew,
	"modified_old": regionnode.ReturnUpdatedOld, "modified_new": regionnode.ReturnUpdatedNew,
}

// checkReturning checks RETURNING, of which there may be one element on all
// attributes.
func (s *Statement) checkReturning() error {
	r := s.clauses.returning
	if len(r) == 0 {
		return nil
	}
	if len(r) == 1 && r[0].column.kind == nodeStar {
		s.returns = mappings[r[0].mapping]
	}
	switch {
	case s.kind == Insert:
		return apierr.Invalid("RETURNING is not supported in INSERT statements.")
	case s.kind == Delete && s.returns != regionnode.ReturnAllOld:
		return apierr.Invalid("Invalid returning clause: RETURNING %s. Only RETURNING ALL OLD * is allowed in DELETE statements.", returningText(r))
	case s.returns == regionnode.ReturnNone:
		return apierr.Invalid("Invalid returning clause: RETURNING %s.", returningText(r))
	}
	return nil
}

func returningText(elements []returning) string {
	var w printer
	for i, r := range elements {
		if i > 0 {
			w.WriteString(", ")
		}
		w.WriteString(typeText(r.mapping) + " ")
		w.operand(r.column)
	}
	return w.String()
}

// Kind is what the statement does.
func (s *Statement) Kind() Kind { return s.kind }

// Table is the table that the statement names.
func (s *Statement) Table() string { return s.table }

// Index is the index that a SELECT names behind the table; "" for none.
func (s *Statement) Index() string { return s.index }

// Returning tells a statement that has a RETURNING clause.
func (s *Statement) Returning() bool { return len(s.clauses.returning) > 0 }

// String is the statement in one way of writing it; it parses to the same
// statement.
func (s *Statement) String() string {
	var w printer
	w.node(s.root)
	return strings.TrimSpace(w.String())
}
