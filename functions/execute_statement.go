package functions

import (
	"antipode/functions/wire"
	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
	"antipode/regionnode/partiql"
)

func executeStatement(c *call, in *wire.ExecuteStatementInput) error {
	b, err := bindStatement(in.Statement.Value, in.Parameters)
	if err != nil {
		return err
	}
	if b.Kind() == partiql.Exists {
		return errExistsAlone()
	}
	from, err := decodeToken(in)
	if err != nil {
		return err
	}
	if b.Kind() == partiql.Select {
		return c.selectStatement(b, in, from)
	}
	d, err := c.descriptor(b.Table())
	if err != nil {
		return err
	}
	w, err := planWrite(b, d)
	if err != nil {
		return err
	}
	w.ReturnOnFailure = in.ReturnValuesOnConditionCheckFailure.Value == "ALL_OLD"
	resp, err := c.runWrite(b, d, w)
	if err != nil {
		return err
	}
	out := c.out
	out.BeginObject().Name("Items").BeginArray()
	if len(resp.Attributes) > 0 {
		out.Item(resp.Attributes)
	}
	out.EndArray()
	var used capacity
	used.addWrite(d, &resp.Usage)
	used.writeMember(out, in.ReturnConsumedCapacity.Value, b.Table())
	out.EndObject()
	return nil
}

// bindStatement parses a statement and puts its parameters in.
func bindStatement(src string, params []item.Value) (*partiql.Bound, error) {
	s, err := partiql.Parse(src)
	if err != nil {
		return nil, err
	}
	return s.Bind(params)
}

func errExistsAlone() error {
	return apierr.Invalid("EXISTS can only be used in ExecuteTransaction write requests.")
}
