package expr

import "strconv"

// maxExpression is the longest expression in bytes, as sent.
const maxExpression = 4096

// maxOperators is the most operators and functions that an expression may have.
const maxOperators = 300

// syntax is what the parser makes: an expression as it was written, with
// placeholders, before anything but its grammar has been looked at.
type syntax struct {
	op     op     // opPath, opValue, an operator, an action; opNone for a function
	text   string // opValue: the placeholder; a function: its name
	parts  []part // opPath
	args   []*syntax
	parens bool // parentheses stand around it
}

// part is one step of a path as written: a name, a #placeholder or an index.
type part struct {
	kind tokenKind
	text string
}

// isFunction tells a function call.
func (x *syntax) isFunction() bool { return x.op == opNone }

// isOperand tells what may stand on either side of a comparison.
func (x *syntax) isOperand() bool { return x.op == opNone || x.op == opPath || x.op == opValue }

// parser reads one expression by recursive descent. Its nesting is bounded by
// maxExpression.
type parser struct {
	kind   Kind
	src    string
	tokens []token
	pos    int
	ops    int
}

func newParser(kind Kind, src string) (*parser, error) {
	if src == "" {
		return nil, kind.invalid("The expression can not be empty;")
	}
	if len(src) > maxExpression && kind == UpdateExpression {
		return nil, kind.invalid("Expression size has exceeded the maximum allowed size;")
	}
	if len(src) > maxExpression {
		return nil, kind.invalid("Expression size has exceeded the maximum allowed size; expression size: %d", len(src))
	}
	return &parser{kind: kind, src: src, tokens: lex(src, kind == UpdateExpression)}, nil
}

func (p *parser) peek() token { return p.tokens[p.pos] }

func (p *parser) at(k tokenKind) bool { return p.tokens[p.pos].kind == k }

func (p *parser) atKeyword(o op) bool {
	return p.tokens[p.pos].kind == tokenKeyword && p.tokens[p.pos].op == o
}

func (p *parser) next() token {
	t := p.tokens[p.pos]
	p.pos++
	return t
}

func (p *parser) text(t token) string { return p.src[t.start:t.end] }

// unexpected refuses the token at hand. The text near it goes from the token
// before to the token after.
func (p *parser) unexpected() error {
	t := p.peek()
	from, to := t.start, t.end
	if p.pos > 0 {
		from = p.tokens[p.pos-1].start
	}
	if p.pos+1 < len(p.tokens) {
		to = p.tokens[p.pos+1].end
	}
	text := p.text(t)
	if t.kind == tokenEnd {
		text = "<EOF>"
	}
	return p.kind.invalid(`Syntax error; token: "%s", near: "%s"`, text, p.src[from:to])
}

func (p *parser) expect(k tokenKind) (token, error) {
	if !p.at(k) {
		return token{}, p.unexpected()
	}
	return p.next(), nil
}

// count counts an operator or a function.
func (p *parser) count() { p.ops++ }

// end checks that the expression is over and within its limits.
func (p *parser) end() error {
	if !p.at(tokenEnd) {
		return p.unexpected()
	}
	if p.ops > maxOperators {
		// DynamoDB stops counting there.
		return p.kind.invalid("The expression contains too many operators; operator count: %d", maxOperators+1)
	}
	return nil
}

// close ends parentheses around x. Two pairs around one thing are refused at
// once, whatever follows.
func (p *parser) close(x *syntax) (*syntax, error) {
	if _, err := p.expect(tokenClose); err != nil {
		return nil, err
	}
	if x.parens {
		return nil, p.kind.invalid("The expression has redundant parentheses;")
	}
	x.parens = true
	return x, nil
}

// operand reads a path, a :placeholder, a function or one of them in
// parentheses.
func (p *parser) operand() (*syntax, error) {
	switch t := p.peek(); t.kind {
	case tokenOpen:
		p.next()
		x, err := p.operand()
		if err != nil {
			return nil, err
		}
		return p.close(x)
	case tokenValueRef:
		p.next()
		return &syntax{op: opValue, text: p.text(t)}, nil
	case tokenName:
		if p.tokens[p.pos+1].kind == tokenOpen {
			return p.function()
		}
		return p.path()
	case tokenNameRef:
		return p.path()
	}
	return nil, p.unexpected()
}

func (p *parser) function() (*syntax, error) {
	x := &syntax{text: p.text(p.next())}
	p.count()
	p.next() // the parenthesis
	args, err := p.operands()
	x.args = args
	return x, err
}

// operands reads a list of operands and the parenthesis that ends it.
func (p *parser) operands() ([]*syntax, error) {
	var list []*syntax
	for {
		x, err := p.operand()
		if err != nil {
			return nil, err
		}
		list = append(list, x)
		if !p.at(tokenComma) {
			_, err := p.expect(tokenClose)
			return list, err
		}
		p.next()
	}
}

func (p *parser) path() (*syntax, error) {
	t := p.peek()
	if t.kind != tokenName && t.kind != tokenNameRef {
		return nil, p.unexpected()
	}
	p.next()
	x := &syntax{op: opPath, parts: []part{{t.kind, p.text(t)}}}
	for {
		switch p.peek().kind {
		case tokenDot:
			p.next()
			t := p.peek()
			if t.kind != tokenName && t.kind != tokenNameRef {
				return nil, p.unexpected()
			}
			p.next()
			x.parts = append(x.parts, part{t.kind, p.text(t)})
		case tokenLeft:
			p.next()
			t, err := p.expect(tokenIndex)
			if err != nil {
				return nil, err
			}
			x.parts = append(x.parts, part{t.kind, p.text(t)})
			if _, err := p.expect(tokenRight); err != nil {
				return nil, err
			}
		default:
			return x, nil
		}
	}
}

// index is the list index that a part writes; ok is false when it is out of
// range.
func (s part) index() (n int, ok bool) {
	if len(s.text) > 10 {
		return 0, false
	}
	n, err := strconv.Atoi(s.text)
	return n, err == nil && n <= maxListIndex
}
