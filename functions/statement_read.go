package functions

import (
	"bytes"

	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/item"
	"antipode/regionnode/partiql"
	"antipode/regionnode/table"
)

// selection is a SELECT on its way: the read of a Query or Scan, over one run of
// keys after the other.
type selection struct {
	rd   *read
	plan *partiql.Read
	used capacity
	next *statementToken // where the next page starts; nil behind the last one
}

func (c *call) newSelection(b *partiql.Bound, in *wire.ExecuteStatementInput) (*selection, error) {
	d, err := c.descriptor(b.Table())
	if err != nil {
		return nil, err
	}
	plan, err := b.Read(d, in.ConsistentRead.Value)
	if err != nil {
		return nil, err
	}
	rd := &read{d: d, index: plan.Index, table: b.Table(), capacity: in.ReturnConsumedCapacity.Value}
	rd.r = regionnode.RangeRequest{
		Consistent: in.ConsistentRead.Value,
		Backward:   plan.Backward,
		Filter:     plan.Filter,
		Projection: plan.Projection,
		Fetch:      plan.Fetch,
	}
	rd.target()
	return &selection{rd: rd, plan: plan}, nil
}

// maxPageRuns is how many runs one page may come from ("PartiQL arithmetic,
// comparison, and logical operators" of the developer guide, under IN).
const maxPageRuns = 10

// page reads one page from where the token points to.
func (c *call) page(s *selection, from *statementToken, limit, maxBytes int) (*page, error) {
	s.used, s.next = capacity{}, nil
	r := &s.rd.r
	r.After, r.Limit, r.MaxBytes = from.after, limit, maxBytes
	if s.plan.Runs == nil {
		if from.run > 0 {
			return nil, errForeignToken()
		}
		return c.scanPage(s)
	}
	if from.run >= len(s.plan.Runs) {
		return nil, errForeignToken()
	}
	all := new(page)
	for i := from.run; i < len(s.plan.Runs); i++ {
		resp, err := c.readRun(s, &s.plan.Runs[i])
		if err != nil {
			return nil, err
		}
		all.add(resp)
		if resp.LastKey != nil {
			s.next = &statementToken{run: i, after: resp.LastKey}
			return all, nil
		}
		if limit > 0 {
			r.Limit -= resp.Scanned
		}
		r.MaxBytes -= resp.Bytes
		r.After = nil
		full := limit > 0 && r.Limit <= 0 || r.MaxBytes <= 0 || i+1-from.run == maxPageRuns
		if full && i+1 < len(s.plan.Runs) {
			s.next = &statementToken{run: i + 1}
			return all, nil
		}
	}
	return all, nil
}

// readRun reads one run, or what the page has room for, and charges it.
func (c *call) readRun(s *selection, run *partiql.Run) (*regionnode.RangeResponse, error) {
	r := &s.rd.r
	if r.After != nil && (bytes.Compare(r.After, run.Low) < 0 || run.High != nil && bytes.Compare(r.After, run.High) >= 0) {
		return nil, errForeignToken()
	}
	resp := new(regionnode.RangeResponse)
	if !run.Empty() {
		r.Low, r.High, r.Filter = run.Low, run.High, run.Filter
		var err error
		if resp, err = c.backend.Range(c.ctx, r); err != nil {
			return nil, err
		}
	}
	one := new(page)
	one.add(resp)
	s.used.add(s.rd.used(one))
	return resp, nil
}

func (c *call) scanPage(s *selection) (*page, error) {
	p, err := c.walk(s.rd, hashes{0, ^uint64(0)})
	if err != nil {
		return nil, err
	}
	s.used = s.rd.used(p)
	if p.last == nil {
		return p, nil
	}
	key, err := s.rd.order().KeyOf(nil, p.last)
	if err != nil {
		return nil, err
	}
	s.next = &statementToken{after: key}
	return p, nil
}

// add charges what another read was charged.
func (c *capacity) add(o capacity) {
	c.table += o.table
	for _, x := range o.indexes {
		c.addIndex(x.name, x.local, x.units)
	}
}

// selectStatement answers a SELECT. A page that comes out too long for the
// answer is read again with half the bytes.
func (c *call) selectStatement(b *partiql.Bound, in *wire.ExecuteStatementInput, from *statementToken) error {
	s, err := c.newSelection(b, in)
	if err != nil {
		return err
	}
	for maxBytes := table.MaxPageSize; ; maxBytes /= 2 {
		p, err := c.page(s, from, int(in.Limit.Value), maxBytes)
		if err != nil {
			return err
		}
		start := c.out.Len()
		if err := c.answerSelection(s, p, in); err != nil {
			return err
		}
		if limit := c.cfg.MaxResponseBytes; limit == 0 || c.out.Len() <= limit || p.scanned <= 1 {
			return nil
		}
		c.out.Truncate(start)
	}
}

func (c *call) answerSelection(s *selection, p *page, in *wire.ExecuteStatementInput) error {
	w := c.out
	w.BeginObject().Name("Items").BeginArray()
	for _, it := range p.items {
		if err := writeColumns(w, s.plan.Columns, it); err != nil {
			return err
		}
	}
	w.EndArray()
	if s.next != nil {
		w.Name("NextToken").String(s.next.encode(in))
	}
	if s.next != nil && p.last != nil {
		w.Name("LastEvaluatedKey")
		if err := s.rd.writeLastKey(w, p.last); err != nil {
			return err
		}
	}
	s.used.writeMember(w, s.rd.capacity, s.rd.table)
	w.EndObject()
	return nil
}

func (rd *read) writeLastKey(w *wire.Writer, last item.Encoded) error {
	w.BeginObject()
	for _, name := range rd.order().Names() {
		v, ok, err := last.Get(name)
		if err != nil {
			return err
		}
		if ok {
			w.Name(name).Value(v)
		}
	}
	w.EndObject()
	return nil
}

// writeColumns writes what of an item was selected.
func writeColumns(w *wire.Writer, columns []partiql.Column, e item.Encoded) error {
	if columns == nil {
		w.Item(e)
		return nil
	}
	it, err := e.Decode()
	if err != nil {
		return err
	}
	w.BeginObject()
	for i := range columns {
		if v, ok := columns[i].Of(it); ok {
			w.Name(columns[i].Name).Value(v)
		}
	}
	w.EndObject()
	return nil
}
