package functions

import (
	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
	"antipode/regionnode/partiql"
	"antipode/regionnode/table"
)

// member is one statement of a batch, and what became of it.
type member struct {
	in  *wire.BatchStatementRequest
	b   *partiql.Bound
	err error
	// ran: the statement has reached its table, whose name a failure then gives.
	ran     bool
	item    item.Encoded
	columns []partiql.Column
	used    capacity
}

func batchExecuteStatement(c *call, in *wire.BatchStatements) error {
	members := make([]member, len(in.Statements))
	reads, writes := false, false
	for i := range members {
		m := &members[i]
		m.in = &in.Statements[i]
		if fault := in.Faults[i]; fault != nil {
			m.err = fault
			continue
		}
		if m.b, m.err = bindStatement(m.in.Statement.Value, m.in.Parameters); m.err != nil {
			continue
		}
		switch m.b.Kind() {
		case partiql.Exists:
			m.err = errExistsAlone()
		case partiql.Select:
			reads = true
		default:
			writes = true
		}
	}
	if reads && writes {
		return apierr.Invalid("BatchExecuteStatement API does not support both read and write operations in the same request.")
	}
	eachParallel(len(members), func(i int) {
		if m := &members[i]; m.err == nil {
			m.err = c.runMember(m)
		}
	})
	return c.answerMembers(members, in.ReturnConsumedCapacity.Value)
}

func (c *call) runMember(m *member) error {
	d, err := c.descriptor(m.b.Table())
	if err != nil {
		return err
	}
	if m.b.Kind() == partiql.Select {
		return c.getMember(m, d)
	}
	w, err := planWrite(m.b, d)
	if err != nil {
		return err
	}
	m.ran = true
	resp, err := c.runWrite(m.b, d, w)
	if err != nil {
		return err
	}
	m.item = resp.Attributes
	m.used.addWrite(d, &resp.Usage)
	return nil
}

// getMember runs a SELECT, which may read one item by its key.
func (c *call) getMember(m *member, d *table.Descriptor) error {
	key, plan, ok, err := m.b.Get(d)
	if err != nil {
		return err
	}
	if !ok {
		return apierr.Invalid("Select statements within BatchExecuteStatement must specify the primary key in the where clause.")
	}
	r := regionnode.GetRequest{Consistent: m.in.ConsistentRead.Value, Projection: plan.Projection}
	r.Target.Table = d.ID
	if err := checkKeyValues(d.Key, key); err != nil {
		return err
	}
	if r.Key, err = d.Key.Key(nil, key); err != nil {
		return err
	}
	m.ran = true
	resp, err := c.backend.Get(c.ctx, &r)
	if err != nil {
		return err
	}
	m.item, m.columns = resp.Item, plan.Columns
	m.used.table = readUnits(resp.Size, r.Consistent)
	return nil
}

func (c *call) answerMembers(members []member, mode string) error {
	w := c.out
	w.BeginObject().Name("Responses").BeginArray()
	for i := range members {
		m := &members[i]
		w.BeginObject()
		if m.err != nil {
			c.writeMemberError(m.err)
		} else if len(m.item) > 0 {
			w.Name("Item")
			if err := writeColumns(w, m.columns, m.item); err != nil {
				return err
			}
		}
		if m.ran {
			w.Name("TableName").String(m.b.Table())
		}
		w.EndObject()
	}
	w.EndArray()
	if mode == capacityTotal || mode == capacityIndexes {
		w.Name("ConsumedCapacity").BeginArray()
		writeMemberCapacity(w, members, mode)
		w.EndArray()
	}
	w.EndObject()
	return nil
}

func (c *call) writeMemberError(err error) {
	e := apierr.Of(err)
	if e == nil {
		c.cfg.Logger.Error("statement of a batch failed", "error", err)
		e = apierr.Internal()
	}
	c.out.Name("Error").BeginObject().Name("Code").String(shortCode(e.Code)).Name("Message").String(e.Message).EndObject()
}

// writeMemberCapacity sums up what the members have consumed, table by table in
// the order of their first mention.
func writeMemberCapacity(w *wire.Writer, members []member, mode string) {
	for i := range members {
		if !members[i].ran || namedBefore(members[:i], members[i].b.Table()) {
			continue
		}
		var used capacity
		for n := i; n < len(members); n++ {
			if m := &members[n]; m.ran && m.b.Table() == members[i].b.Table() {
				used.add(m.used)
			}
		}
		used.write(w, mode, members[i].b.Table())
	}
}

func namedBefore(members []member, table string) bool {
	for i := range members {
		if members[i].ran && members[i].b.Table() == table {
			return true
		}
	}
	return false
}
