package catalog

import (
	"context"
	"fmt"

	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// AdoptReplica makes this region's replica of a global table as its home
// describes it: the same name, schema and shared settings, ids and everything
// else of its own. It does nothing when the replica is there already.
func (c *Catalog) AdoptReplica(ctx context.Context, home *table.Descriptor) error {
	uuid, err := c.uuid()
	if err != nil {
		return err
	}
	return c.change(ctx, func(t *txn) error {
		if row := t.s.tables[home.Name]; row != nil {
			if g := row.Descriptor.Global; g != nil && g.Group == home.Global.Group && row.Descriptor.Status != table.Deleting {
				return nil
			}
			return replicaExists(home.Name)
		}
		d := takeShared(&table.Descriptor{
			Name: home.Name, Account: home.Account, UUID: uuid, Key: home.Key, Locals: clone(home).Locals,
		}, home)
		d.Global = home.Global
		_, err := t.createTable(d, 0)
		return err
	})
}

// SetGlobal installs what the home says of a global table, unless this region has
// the same or newer; then its partitions must be told. It answers with the
// generation that says it.
func (c *Catalog) SetGlobal(ctx context.Context, home *table.Descriptor) (generation uint64, err error) {
	err = c.change(ctx, func(t *txn) error {
		row, err := t.table(home.Name)
		if err != nil {
			return err
		}
		held := row.Descriptor.Global
		if held == nil || held.Group != home.Global.Group {
			return fmt.Errorf("table %s is not in the global table %s: %w", home.Name, home.Global.Group, apierr.TableMissing(home.Name))
		}
		generation = row.Descriptor.Generation
		if held.Epoch > home.Global.Epoch || held.Epoch == home.Global.Epoch && held.Generation >= home.Global.Generation {
			return nil
		}
		next := *row
		next.Descriptor = takeShared(row.Descriptor, home)
		next.Descriptor.Global = home.Global
		next.Descriptor.Generation++
		generation = next.Descriptor.Generation
		next.Descriptor.Status = unsettled(next.Descriptor)
		if err := t.changeIndexes(row.Descriptor, next.Descriptor); err != nil {
			return err
		}
		return t.put(tablePrefix+home.Name, &next)
	})
	return generation, err
}

// unsettled is the status of a table that has just been changed.
func unsettled(d *table.Descriptor) table.Status {
	switch d.Status {
	case table.Creating, table.Deleting:
		return d.Status
	}
	return table.Updating
}

// DropReplica deletes this region's replica of a global table, whatever its
// state; it tells whether there is anything to wait for.
func (c *Catalog) DropReplica(ctx context.Context, name, group string) (there bool, err error) {
	err = c.change(ctx, func(t *txn) error {
		row := t.s.tables[name]
		there = row != nil && row.Descriptor.Global != nil && row.Descriptor.Global.Group == group
		if !there {
			return nil
		}
		_, err := t.deleteTable(row)
		return err
	})
	return there, err
}
