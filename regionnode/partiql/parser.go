package partiql

import "strings"

// parser reads expressions by precedence: a statement is an expression too,
// which decides what is said of a text that is none.
type parser struct {
	tokens []token
	at     int
	params int // parameters seen so far
}

// parse reads a whole statement.
func parse(src string) (*node, error) {
	tokens, err := tokenize(src)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	n, err := p.expression(-1)
	if err != nil {
		return nil, err
	}
	if p.peek().kind == tokenSemicolon {
		p.next()
		if p.peek().kind != tokenEnd {
			return nil, malformed("Unexpected token after semicolon. (Only one query is allowed.)")
		}
	}
	if p.peek().kind != tokenEnd {
		return nil, malformed("Unexpected token after expression")
	}
	return n, nil
}

func (p *parser) peek() *token { return &p.tokens[p.at] }

// next takes a token; the last one is taken again and again.
func (p *parser) next() *token {
	t := &p.tokens[p.at]
	if p.at < len(p.tokens)-1 {
		p.at++
	}
	return t
}

// accept takes the keyword or operator if it is next.
func (p *parser) accept(word string) bool {
	if p.peek().is(word) {
		p.next()
		return true
	}
	return false
}

func (p *parser) expect(kind tokenKind) error {
	if p.peek().kind != kind {
		return malformed("expected token of type " + kindNames[kind])
	}
	p.next()
	return nil
}

// expectWord takes a word that must come next.
func (p *parser) expectWord(word string) error {
	if !p.accept(word) {
		return malformed("Expected " + strings.ToUpper(word) + " keyword")
	}
	return nil
}

// expression reads an expression whose operators bind tighter than precedence.
func (p *parser) expression(precedence int) (*node, error) {
	left, err := p.unary()
	if err != nil {
		return nil, err
	}
	for max(precedence, 0) < p.peek().precedence() {
		op := p.next()
		if left, err = p.infix(left, op); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// infix reads what follows an infix operator.
func (p *parser) infix(left *node, op *token) (*node, error) {
	text := op.text
	switch text {
	case "is", "is_not":
		return p.typeTest(left, op)
	case "in", "not_in":
		list, err := p.inOperand()
		if err != nil {
			return nil, err
		}
		return operation(text, op.pos, left, list), nil
	}
	right, err := p.rightOperand(op)
	if err != nil {
		return nil, err
	}
	if text != "between" && text != "not_between" {
		return operation(text, op.pos, left, right), nil
	}
	if err := p.expectWord("and"); err != nil {
		return nil, err
	}
	if p.peek().kind == tokenEnd {
		return nil, malformed("Expected expression after AND")
	}
	high, err := p.expression(op.precedence())
	if err != nil {
		return nil, err
	}
	return operation(text, op.pos, left, right, high), nil
}

// operation makes the node of an operator; the negated ones become NOT of their
// opposites.
func operation(text string, pos position, args ...*node) *node {
	if positive, ok := strings.CutPrefix(text, "not_"); ok {
		inner := &node{kind: nodeOperation, text: positive, pos: pos, args: args}
		return &node{kind: nodeOperation, text: "not", pos: pos, args: []*node{inner}}
	}
	return &node{kind: nodeOperation, text: text, pos: pos, args: args}
}

// rightOperand reads an operator's right operand; at the statement's end, of
// what is missing the operand is named rather than the term.
func (p *parser) rightOperand(op *token) (*node, error) {
	if p.peek().kind == tokenEnd {
		return nil, malformed("Missing right-hand side expression of infix operator")
	}
	return p.expression(op.precedence())
}

// inOperand reads what IN looks among: a list in parentheses or any expression.
func (p *parser) inOperand() (*node, error) {
	if p.peek().kind != tokenOpenParen {
		return p.rightOperand(&token{kind: tokenOperator, text: "in"})
	}
	pos := p.next().pos
	args, err := p.arguments(tokenCloseParen)
	if err != nil {
		return nil, err
	}
	return &node{kind: nodeList, pos: pos, args: args}, nil
}

// typeTest reads the type behind IS.
func (p *parser) typeTest(left *node, op *token) (*node, error) {
	t := *p.peek()
	name := t.text
	switch t.kind {
	case tokenNull:
		name = "null"
	case tokenMissing:
		name = "missing"
	case tokenKeyword:
	default:
		name = ""
	}
	if !typeNames[name] {
		return nil, malformed("Expected type name")
	}
	p.next()
	if p.peek().kind == tokenOpenParen {
		p.next()
		if _, err := p.arguments(tokenCloseParen); err != nil {
			return nil, err
		}
	}
	n := &node{kind: nodeIs, text: name, pos: op.pos, args: []*node{left}}
	if op.text == "is_not" {
		n = &node{kind: nodeOperation, text: "not", pos: op.pos, args: []*node{n}}
	}
	return n, nil
}

// unary reads signs and NOT. A sign becomes part of a number.
func (p *parser) unary() (*node, error) {
	op := p.peek()
	switch {
	case op.is("not"):
		p.next()
		x, err := p.expression(precedenceNot)
		if err != nil {
			return nil, err
		}
		return &node{kind: nodeOperation, text: "not", pos: op.pos, args: []*node{x}}, nil
	case op.is("+") || op.is("-"):
		p.next()
		x, err := p.unary()
		if err != nil {
			return nil, err
		}
		if x.kind != nodeNumber {
			return &node{kind: nodeOperation, text: op.text, pos: op.pos, args: []*node{x}}, nil
		}
		if op.text == "-" {
			if negated, ok := strings.CutPrefix(x.text, "-"); ok {
				x.text = negated
			} else {
				x.text = "-" + x.text
			}
		}
		return x, nil
	}
	return p.path()
}

// path reads a term and the steps down from it.
func (p *parser) path() (*node, error) {
	x, err := p.term()
	if err != nil {
		return nil, err
	}
	return p.steps(x, false)
}

// simplePath reads a path that starts with a name: what is changed, and where.
func (p *parser) simplePath() (*node, error) {
	if !p.peek().isName() {
		return nil, malformed("Expected identifier for simple path")
	}
	return p.steps(p.name(), true)
}

func (p *parser) name() *node {
	t := p.next()
	return &node{kind: nodeName, text: t.text, quoted: t.kind == tokenQuotedName, pos: t.pos}
}

func (p *parser) steps(x *node, simple bool) (*node, error) {
	args := []*node{x}
	for {
		var step *node
		var err error
		switch p.peek().kind {
		case tokenDot:
			p.next()
			step, err = p.dotStep(simple)
		case tokenOpenBracket:
			p.next()
			step, err = p.bracketStep(simple)
		default:
			if len(args) == 1 {
				return x, nil
			}
			return &node{kind: nodePath, pos: x.pos, args: args}, nil
		}
		if err != nil {
			return nil, err
		}
		args = append(args, step)
	}
}

func (p *parser) dotStep(simple bool) (*node, error) {
	t := p.peek()
	switch {
	case t.isName():
		n := p.name()
		n.kind = nodeStep
		return n, nil
	case t.kind == tokenStar && simple:
		return nil, malformed("Invalid path dot component for simple path")
	case t.kind == tokenStar:
		p.next()
		return &node{kind: nodeWildcard, text: ".*", pos: t.pos}, nil
	}
	return nil, malformed("Invalid path dot component")
}

func (p *parser) bracketStep(simple bool) (*node, error) {
	t := p.peek()
	if t.kind == tokenStar {
		p.next()
		if simple {
			return nil, malformed("Invalid path component for simple path")
		}
		return &node{kind: nodeWildcard, text: "[*]", pos: t.pos}, p.expect(tokenCloseBracket)
	}
	x, err := p.expression(-1)
	if err != nil {
		return nil, err
	}
	return &node{kind: nodeIndex, pos: x.pos, args: []*node{x}}, p.expect(tokenCloseBracket)
}

// term reads what is no operator.
func (p *parser) term() (*node, error) {
	t := p.peek()
	n := &node{text: t.text, pos: t.pos}
	switch t.kind {
	case tokenOperator:
		return nil, malformed("Unexpected operator")
	case tokenKeyword:
		return p.keywordTerm()
	case tokenName, tokenQuotedName:
		n = p.name()
		if p.peek().kind == tokenOpenParen {
			return p.call(n)
		}
		return n, nil
	case tokenString:
		n.kind = nodeString
	case tokenNumber:
		n.kind = nodeNumber
	case tokenBool:
		n.kind = nodeBool
	case tokenNull:
		n.kind = nodeNull
	case tokenMissing:
		n.kind = nodeMissing
	case tokenParameter:
		n.kind, n.index = nodeParameter, p.params
		p.params++
	case tokenOpenParen:
		return p.group()
	case tokenOpenBracket:
		return p.collection(nodeList, tokenCloseBracket)
	case tokenOpenBag:
		return p.collection(nodeBag, tokenCloseBag)
	case tokenOpenCurly:
		return p.structure()
	default:
		return nil, malformed("Unexpected term")
	}
	p.next()
	return n, nil
}

func (p *parser) keywordTerm() (*node, error) {
	t := p.peek()
	switch t.text {
	case "select":
		return p.selection()
	case "insert_into", "set", "remove":
		return p.change(&clauses{verb: "update"})
	case "update":
		return p.update()
	case "delete":
		return p.deletion()
	case "from":
		return p.fromFirst()
	}
	if !functionKeywords[t.text] || p.tokens[p.at+1].kind != tokenOpenParen {
		return nil, malformed("Unexpected keyword")
	}
	p.next()
	return p.call(&node{text: t.text, pos: t.pos})
}

// group reads what stands in parentheses: one expression, or several, which are
// a list.
func (p *parser) group() (*node, error) {
	pos := p.next().pos
	args, err := p.arguments(tokenCloseParen)
	if err != nil {
		return nil, err
	}
	if len(args) == 1 {
		return args[0], nil
	}
	return &node{kind: nodeList, pos: pos, args: args}, nil
}

// arguments reads one or more expressions up to the closing token.
func (p *parser) arguments(end tokenKind) ([]*node, error) {
	var args []*node
	for {
		x, err := p.expression(-1)
		if err != nil {
			return nil, err
		}
		args = append(args, x)
		if p.peek().kind != tokenComma {
			return args, p.expect(end)
		}
		p.next()
	}
}

func (p *parser) collection(kind nodeKind, end tokenKind) (*node, error) {
	n := &node{kind: kind, pos: p.next().pos}
	if p.peek().kind == end {
		p.next()
		return n, nil
	}
	var err error
	n.args, err = p.arguments(end)
	return n, err
}

func (p *parser) structure() (*node, error) {
	n := &node{kind: nodeStruct, pos: p.next().pos}
	if p.peek().kind == tokenCloseCurly {
		p.next()
		return n, nil
	}
	for {
		name, err := p.expression(-1)
		if err != nil {
			return nil, err
		}
		if err := p.expect(tokenColon); err != nil {
			return nil, err
		}
		value, err := p.expression(-1)
		if err != nil {
			return nil, err
		}
		n.args = append(n.args, name, value)
		if p.peek().kind != tokenComma {
			return n, p.expect(tokenCloseCurly)
		}
		p.next()
	}
}

// call reads a function's arguments.
func (p *parser) call(name *node) (*node, error) {
	p.next()
	n := &node{kind: nodeCall, text: strings.ToLower(name.text), pos: name.pos}
	switch t := p.peek(); {
	case t.kind == tokenCloseParen:
		p.next()
		return n, nil
	case t.kind == tokenStar && n.text == "count":
		p.next()
		n.args = []*node{{kind: nodeStar, pos: t.pos}}
		return n, p.expect(tokenCloseParen)
	case t.kind == tokenStar:
		return nil, malformed(name.text + "(*) is not allowed")
	}
	var err error
	n.args, err = p.arguments(tokenCloseParen)
	return n, err
}
