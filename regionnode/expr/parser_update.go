package expr

// section is one SET, REMOVE, ADD or DELETE of an update with its actions:
// each a path and, but for REMOVE, a value.
type section struct {
	op      op
	actions [][]*syntax
}

// update reads a whole update expression.
func (p *parser) update() ([]section, error) {
	var sections []section
	for {
		t := p.peek()
		if t.kind != tokenKeyword || !t.op.isAction() {
			return nil, p.unexpected()
		}
		p.next()
		s := section{op: t.op}
		for {
			a, err := p.action(t.op)
			if err != nil {
				return nil, err
			}
			s.actions = append(s.actions, a)
			if !p.at(tokenComma) {
				break
			}
			p.next()
		}
		sections = append(sections, s)
		if p.at(tokenEnd) {
			return sections, p.end()
		}
	}
}

func (p *parser) action(o op) ([]*syntax, error) {
	path, err := p.path()
	if err != nil || o == opRemove {
		return []*syntax{path}, err
	}
	var value *syntax
	if o == opSet {
		if t := p.peek(); t.kind != tokenCompare || t.op != opEQ {
			return nil, p.unexpected()
		}
		p.next()
		value, err = p.assigned()
	} else {
		var t token
		t, err = p.expect(tokenValueRef)
		value = &syntax{op: opValue, text: p.text(t)}
	}
	return []*syntax{path, value}, err
}

// assigned reads what SET assigns: an operand, or the sum or difference of two,
// in parentheses or not.
func (p *parser) assigned() (*syntax, error) {
	x, err := p.term()
	if err != nil || !x.isOperand() || !p.at(tokenPlusMinus) {
		return x, err
	}
	t := p.next()
	p.count()
	y, err := p.operand()
	if err != nil {
		return nil, err
	}
	return &syntax{op: t.op, args: []*syntax{x, y}}, nil
}

func (p *parser) term() (*syntax, error) {
	if !p.at(tokenOpen) {
		return p.operand()
	}
	p.next()
	x, err := p.assigned()
	if err != nil {
		return nil, err
	}
	return p.close(x)
}

// projection reads a whole projection expression.
func (p *parser) projection() ([]*syntax, error) {
	var paths []*syntax
	for {
		x, err := p.path()
		if err != nil {
			return nil, err
		}
		paths = append(paths, x)
		if !p.at(tokenComma) {
			return paths, p.end()
		}
		p.next()
	}
}
