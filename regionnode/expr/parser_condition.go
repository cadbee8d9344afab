package expr

// condition reads a whole condition. OR binds loosest, then AND, NOT, and the
// comparisons.
func (p *parser) condition() (*syntax, error) {
	x, err := p.or(false)
	if err != nil {
		return nil, err
	}
	return x, p.end()
}

// or reads a disjunction. Inside parentheses (operands is true) it may turn out
// to be a mere operand, as in (a) = :b.
func (p *parser) or(operands bool) (*syntax, error) {
	return p.joined(opOr, operands, p.and)
}

func (p *parser) and(operands bool) (*syntax, error) {
	return p.joined(opAnd, operands, p.not)
}

// joined reads one or more of what next reads, joined by the keyword o.
func (p *parser) joined(o op, operands bool, next func(operands bool) (*syntax, error)) (*syntax, error) {
	x, err := next(operands)
	if err != nil || !p.atKeyword(o) {
		return x, err
	}
	all := &syntax{op: o, args: []*syntax{x}}
	for p.atKeyword(o) {
		p.next()
		p.count()
		if x, err = next(false); err != nil {
			return nil, err
		}
		all.args = append(all.args, x)
	}
	return all, nil
}

func (p *parser) not(operands bool) (*syntax, error) {
	if !p.atKeyword(opNot) {
		return p.primary(operands)
	}
	p.next()
	p.count()
	x, err := p.not(false)
	if err != nil {
		return nil, err
	}
	return &syntax{op: opNot, args: []*syntax{x}}, nil
}

// primary reads a condition without AND, OR and NOT, or one in parentheses.
func (p *parser) primary(operands bool) (*syntax, error) {
	if !p.at(tokenOpen) {
		x, err := p.operand()
		if err != nil {
			return nil, err
		}
		return p.compared(x, operands)
	}
	p.next()
	x, err := p.or(true)
	if err != nil {
		return nil, err
	}
	if x, err = p.close(x); err != nil {
		return nil, err
	}
	if !x.isOperand() {
		return x, nil
	}
	return p.compared(x, operands)
}

// compared reads the rest of a comparison that starts with x. Without one, x
// must be a function, or stand in parentheses.
func (p *parser) compared(x *syntax, operands bool) (*syntax, error) {
	t := p.peek()
	switch {
	case t.kind == tokenCompare:
		p.next()
		p.count()
		y, err := p.operand()
		if err != nil {
			return nil, err
		}
		return &syntax{op: t.op, args: []*syntax{x, y}}, nil
	case p.atKeyword(opBetween):
		return p.between(x)
	case p.atKeyword(opIn):
		p.next()
		p.count()
		if _, err := p.expect(tokenOpen); err != nil {
			return nil, err
		}
		list, err := p.operands()
		if err != nil {
			return nil, err
		}
		return &syntax{op: opIn, args: append([]*syntax{x}, list...)}, nil
	case x.isFunction() || operands && t.kind == tokenClose:
		return x, nil
	}
	return nil, p.unexpected()
}

func (p *parser) between(x *syntax) (*syntax, error) {
	p.next()
	p.count()
	low, err := p.operand()
	if err != nil {
		return nil, err
	}
	if !p.atKeyword(opAnd) {
		return nil, p.unexpected()
	}
	p.next()
	high, err := p.operand()
	if err != nil {
		return nil, err
	}
	return &syntax{op: opBetween, args: []*syntax{x, low, high}}, nil
}
