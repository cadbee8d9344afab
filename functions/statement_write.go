package functions

import (
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
	"antipode/regionnode/partiql"
	"antipode/regionnode/table"
)

// planWrite plans a statement that writes, or an EXISTS, as the partition's
// write.
func planWrite(b *partiql.Bound, d *table.Descriptor) (*regionnode.Write, error) {
	p, err := b.Write(d)
	if err != nil {
		return nil, err
	}
	w := &regionnode.Write{Op: p.Op, Update: p.Update, Condition: p.Condition, Return: p.Return}
	key := p.Key
	if p.Op == regionnode.PutOp {
		if p.Item.Size() > table.MaxItemSize {
			return nil, errItemTooLarge()
		}
		if err := checkItemKey(d, p.Item, false); err != nil {
			return nil, err
		}
		if err := checkIndexKeys(d, p.Item); err != nil {
			return nil, err
		}
		key, w.Item = p.Item, p.Item.Encode()
	} else {
		if err := checkKeyValues(d.Key, key); err != nil {
			return nil, err
		}
		if err := checkUpdateKeys(d, p.Update); err != nil {
			return nil, err
		}
	}
	if p.Op == regionnode.UpdateOp {
		w.Item = key.Encode()
	}
	w.Key, err = d.Key.Key(nil, key)
	return w, err
}

// runWrite runs a planned write.
func (c *call) runWrite(b *partiql.Bound, d *table.Descriptor, w *regionnode.Write) (*regionnode.WriteResponse, error) {
	resp, err := c.backend.Write(c.ctx, &regionnode.WriteRequest{Target: regionnode.Target{Table: d.ID}, Write: *w})
	return resp, statementError(b, err)
}

// statementError words what became of a write as its statement does.
func statementError(b *partiql.Bound, err error) error {
	e := apierr.Of(err)
	switch {
	case e == nil:
		return err
	case b.Kind() == partiql.Insert && e.Code == apierr.ConditionalCheckFailed:
		return apierr.New(apierr.DuplicateItem, "Duplicate primary key exists in table")
	case b.Kind() == partiql.Update && e.Message == (&item.ValueError{Fault: item.TooDeep}).Current():
		return apierr.Invalid("Nesting Levels have exceeded supported limits")
	}
	return err
}
