package partiql

import (
	"strings"
)

func upper(s string) string { return strings.ToUpper(s) }

// printer writes a tree as a statement that parses to the same tree.
type printer struct{ strings.Builder }

func (w *printer) list(open string, args []*node, end string) {
	w.WriteString(open)
	for i, a := range args {
		if i > 0 {
			w.WriteString(", ")
		}
		w.node(a)
	}
	w.WriteString(end)
}

// quote writes text between quotes, the quotes in it doubled.
func (w *printer) quote(text, mark string) {
	w.WriteString(mark + strings.ReplaceAll(text, mark, mark+mark) + mark)
}

func (w *printer) node(n *node) {
	switch n.kind {
	case nodeName:
		w.name(n)
	case nodeString:
		w.quote(n.text, "'")
	case nodeNumber, nodeBool:
		w.WriteString(n.text)
	case nodeNull, nodeMissing:
		w.WriteString(upper(n.text))
	case nodeParameter:
		w.WriteByte('?')
	case nodeStar:
		w.WriteByte('*')
	case nodeList:
		w.list("[", n.args, "]")
	case nodeBag:
		w.list("<<", n.args, ">>")
	case nodeStruct:
		w.structure(n)
	case nodeCall:
		if functionKeywords[n.text] || isPlainName(n.text) {
			w.WriteString(n.text)
		} else {
			w.quote(n.text, `"`)
		}
		w.list("(", n.args, ")")
	case nodePath:
		w.path(n)
	case nodeOperation:
		w.operation(n)
	case nodeIs:
		w.operand(n.args[0])
		w.WriteString(" IS " + typeText(n.text))
	case nodeSelect, nodeChange:
		w.statement(n.statement)
	}
}

// typeText is a type as it is written.
func typeText(name string) string { return upper(strings.ReplaceAll(name, "_", " ")) }

// name writes a name, in quotes where it needs them.
func (w *printer) name(n *node) {
	if n.quoted || !isPlainName(n.text) {
		w.quote(n.text, `"`)
		return
	}
	w.WriteString(n.text)
}

// isPlainName tells what can stand as a name without quotes.
func isPlainName(s string) bool {
	if s == "" || !isLetter(s[0]) {
		return false
	}
	for i := range len(s) {
		if !isLetter(s[i]) && !isDigit(s[i]) {
			return false
		}
	}
	word := strings.ToLower(s)
	return !keywords[word] && !wordOperators[word] && !aliasWords[word] &&
		word != "true" && word != "false" && word != "null" && word != "missing"
}

func (w *printer) structure(n *node) {
	w.WriteByte('{')
	for i := 0; i < len(n.args); i += 2 {
		if i > 0 {
			w.WriteString(", ")
		}
		w.node(n.args[i])
		w.WriteString(": ")
		w.node(n.args[i+1])
	}
	w.WriteByte('}')
}

func (w *printer) path(n *node) {
	if n.args[0].kind == nodeNumber || n.args[0].kind == nodeOperation || n.args[0].kind == nodeIs {
		w.list("(", n.args[:1], ")")
	} else {
		w.operand(n.args[0])
	}
	for _, s := range n.args[1:] {
		switch s.kind {
		case nodeStep:
			w.WriteByte('.')
			w.name(s)
		case nodeIndex:
			w.list("[", s.args, "]")
		default:
			w.WriteString(s.text)
		}
	}
}

// operand writes a part of an operation, in parentheses where it is one itself.
func (w *printer) operand(n *node) {
	switch n.kind {
	case nodeOperation, nodeIs, nodeSelect, nodeChange:
		w.list("(", []*node{n}, ")")
	default:
		w.node(n)
	}
}

// operatorTexts are the operators that are not written as they are named.
var operatorTexts = map[string]string{"and": "AND", "or": "OR", "in": "IN", "like": "LIKE", "is": "IS"}

func (w *printer) operation(n *node) {
	switch {
	case n.text == "not":
		w.WriteString("NOT ")
		w.operand(n.args[0])
	case len(n.args) == 1:
		w.WriteString(n.text + " ")
		w.operand(n.args[0])
	case n.text == "between":
		w.operand(n.args[0])
		w.WriteString(" BETWEEN ")
		w.operand(n.args[1])
		w.WriteString(" AND ")
		w.operand(n.args[2])
	default:
		text := n.text
		if t, ok := operatorTexts[text]; ok {
			text = t
		}
		w.operand(n.args[0])
		w.WriteString(" " + text + " ")
		w.operand(n.args[1])
	}
}

func (w *printer) statement(c *clauses) {
	switch c.verb {
	case "select":
		w.list("SELECT ", c.projection, " FROM ")
		w.operand(c.source)
	case "insert":
		w.WriteString("INSERT INTO ")
		w.node(c.source)
		w.WriteString(" VALUE ")
		w.operand(c.value)
	case "update":
		if c.source != nil {
			w.WriteString("UPDATE ")
			w.node(c.source)
			w.WriteByte(' ')
		}
		w.changes(c)
	case "delete":
		w.WriteString("DELETE FROM ")
		w.node(c.source)
	}
	if c.where != nil {
		w.WriteString(" WHERE ")
		w.operandOfClause(c.where)
	}
	w.order(c)
	for i, r := range c.returning {
		if i > 0 {
			w.WriteByte(',')
		} else {
			w.WriteString(" RETURNING")
		}
		w.WriteString(" " + typeText(r.mapping) + " ")
		w.operand(r.column)
	}
}

// operandOfClause writes an expression that ends with its clause.
func (w *printer) operandOfClause(n *node) {
	if n.kind == nodeSelect || n.kind == nodeChange {
		w.operand(n)
		return
	}
	w.node(n)
}

func (w *printer) changes(c *clauses) {
	for i, ch := range c.changes {
		if i > 0 {
			w.WriteByte(' ')
		}
		if ch.value == nil {
			w.WriteString("REMOVE ")
			w.node(ch.path)
			continue
		}
		w.WriteString("SET ")
		w.node(ch.path)
		w.WriteString(" = ")
		w.operand(ch.value)
	}
}

func (w *printer) order(c *clauses) {
	for i, o := range c.order {
		if i > 0 {
			w.WriteByte(',')
		} else {
			w.WriteString(" ORDER BY")
		}
		w.WriteByte(' ')
		w.operand(o.term)
		if o.desc {
			w.WriteString(" DESC")
		} else {
			w.WriteString(" ASC")
		}
	}
}
