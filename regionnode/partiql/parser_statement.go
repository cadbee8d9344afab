package partiql

// selection reads a SELECT.
func (p *parser) selection() (*node, error) {
	pos := p.next().pos
	c := &clauses{verb: "select"}
	if t := p.peek(); p.accept("distinct") {
		c.refuse("DISTINCT", t.pos)
	} else {
		p.accept("all")
	}
	if err := p.projection(c); err != nil {
		return nil, err
	}
	if !p.accept("from") {
		return nil, malformed("Expected FROM after SELECT list")
	}
	if err := p.sources(c, precedenceSelect); err != nil {
		return nil, err
	}
	if err := p.where(c, precedenceSelect); err != nil {
		return nil, err
	}
	if err := p.tail(c); err != nil {
		return nil, err
	}
	return &node{kind: nodeSelect, pos: pos, statement: c}, nil
}

// refuse remembers the first clause that DynamoDB does not have.
func (c *clauses) refuse(clause string, at position) {
	if c.unsupported == "" {
		c.unsupported, c.at = clause, at
	}
}

// projection reads the list of what is selected.
func (p *parser) projection(c *clauses) error {
	star := false
	for {
		var x *node
		if t := p.peek(); t.kind == tokenStar {
			p.next()
			x, star = &node{kind: nodeStar, pos: t.pos}, true
		} else {
			var err error
			if x, err = p.expression(-1); err != nil {
				return err
			}
			if err := p.alias(c); err != nil {
				return err
			}
		}
		c.projection = append(c.projection, x)
		if p.peek().kind != tokenComma {
			break
		}
		p.next()
	}
	if star && len(c.projection) > 1 {
		return malformed("Other expressions may not be present in the select list when '*' is used without dot notation.")
	}
	return nil
}

// alias reads a second name, with or without AS, AT or BY.
func (p *parser) alias(c *clauses) error {
	for {
		t := p.peek()
		switch {
		case t.kind == tokenAlias:
			p.next()
			if !p.peek().isName() {
				return malformed("Expected identifier for " + upper(t.text) + "-alias")
			}
			p.next()
		case t.isName() && !c.aliased:
			p.next()
		default:
			return nil
		}
		c.aliased = true
	}
}

// sources reads what FROM names: one table or index, and what else the grammar
// allows.
func (p *parser) sources(c *clauses, precedence int) error {
	for {
		x, err := p.expression(precedence)
		if err != nil {
			return err
		}
		if c.source == nil {
			c.source = x
		}
		if err := p.alias(c); err != nil {
			return err
		}
		if p.peek().kind != tokenComma {
			return nil
		}
		p.next()
		c.joined = true
	}
}

func (p *parser) where(c *clauses, precedence int) (err error) {
	if p.accept("where") {
		c.where, err = p.expression(precedence)
	}
	return err
}

// tail reads what may follow WHERE in a SELECT.
func (p *parser) tail(c *clauses) error {
	for _, clause := range [...]string{"group", "having"} {
		t := p.peek()
		if !p.accept(clause) {
			continue
		}
		if clause == "group" {
			if err := p.expectWord("by"); err != nil {
				return err
			}
		}
		c.refuse(upper(clause), t.pos)
		for {
			if _, err := p.expression(precedenceSelect); err != nil {
				return err
			}
			if p.peek().kind != tokenComma {
				break
			}
			p.next()
		}
	}
	if p.accept("order") {
		if err := p.orderBy(c); err != nil {
			return err
		}
	}
	if p.accept("limit") {
		x, err := p.expression(precedenceSelect)
		if err != nil {
			return err
		}
		c.refuse("LIMIT", x.pos)
	}
	return nil
}

func (p *parser) orderBy(c *clauses) error {
	if err := p.expectWord("by"); err != nil {
		return err
	}
	for {
		x, err := p.expression(precedenceSelect)
		if err != nil {
			return err
		}
		o := ordering{term: x}
		if p.accept("desc") {
			o.desc = true
		} else {
			p.accept("asc")
		}
		c.order = append(c.order, o)
		if p.peek().kind != tokenComma {
			return nil
		}
		p.next()
	}
}

// fromFirst reads FROM … WHERE … and the changes behind it.
func (p *parser) fromFirst() (*node, error) {
	pos := p.next().pos
	c := &clauses{verb: "update"}
	if err := p.sources(c, -1); err != nil {
		return nil, err
	}
	if err := p.where(c, -1); err != nil {
		return nil, err
	}
	n, err := p.change(c)
	if err != nil {
		return nil, err
	}
	n.pos = pos
	return n, p.returning(c)
}

func (p *parser) update() (*node, error) {
	pos := p.next().pos
	c := &clauses{verb: "update"}
	if err := p.target(c); err != nil {
		return nil, err
	}
	n, err := p.change(c)
	if err != nil {
		return nil, err
	}
	n.pos = pos
	if err := p.where(c, -1); err != nil {
		return nil, err
	}
	return n, p.returning(c)
}

func (p *parser) deletion() (*node, error) {
	pos := p.next().pos
	if !p.accept("from") {
		return nil, malformed("Expected FROM after DELETE")
	}
	c := &clauses{verb: "delete"}
	if err := p.target(c); err != nil {
		return nil, err
	}
	if err := p.where(c, -1); err != nil {
		return nil, err
	}
	return &node{kind: nodeChange, pos: pos, statement: c}, p.returning(c)
}

// target reads the table that is changed.
func (p *parser) target(c *clauses) (err error) {
	if c.source, err = p.simplePath(); err != nil {
		return err
	}
	return p.alias(c)
}

// change reads INSERT INTO, or one or more SET and REMOVE.
func (p *parser) change(c *clauses) (*node, error) {
	n := &node{kind: nodeChange, pos: p.peek().pos, statement: c}
	if p.accept("insert_into") {
		return n, p.insertion(c)
	}
	if t := p.peek(); !t.is("set") && !t.is("remove") {
		return nil, malformed("Expected data manipulation")
	}
	for {
		var err error
		switch {
		case p.accept("set"):
			err = p.assignments(c)
		case p.accept("remove"):
			var path *node
			path, err = p.simplePath()
			c.changes = append(c.changes, change{path: path})
		default:
			return n, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (p *parser) assignments(c *clauses) error {
	for {
		path, err := p.simplePath()
		if err != nil {
			return err
		}
		if !p.accept("=") {
			return malformed("Expected '='")
		}
		value, err := p.expression(-1)
		if err != nil {
			return err
		}
		c.changes = append(c.changes, change{path, value})
		if p.peek().kind != tokenComma {
			return nil
		}
		p.next()
	}
}

func (p *parser) insertion(c *clauses) (err error) {
	c.verb = "insert"
	if c.source, err = p.simplePath(); err != nil {
		return err
	}
	p.accept("value")
	if c.value, err = p.expression(-1); err != nil {
		return err
	}
	return p.returning(c)
}

// returning reads RETURNING.
func (p *parser) returning(c *clauses) error {
	if !p.accept("returning") {
		return nil
	}
	for {
		t := p.next()
		switch t.text {
		case "all_old", "all_new", "modified_old", "modified_new":
		default:
			return malformed("Expected ( MODIFIED | ALL ) ( NEW | OLD ) in each returning element.")
		}
		r := returning{mapping: t.text}
		if star := p.peek(); star.kind == tokenStar {
			p.next()
			r.column = &node{kind: nodeStar, pos: star.pos}
		} else {
			var err error
			if r.column, err = p.expression(-1); err != nil {
				return err
			}
		}
		c.returning = append(c.returning, r)
		if p.peek().kind != tokenComma {
			return nil
		}
		p.next()
	}
}
