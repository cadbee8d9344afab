package catalog

import (
	"bytes"
	"context"
	"slices"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// UpdateTable implements regionnode.Tables. What identifies the table, its
// global part and its indexes' ids stay as they are, whatever the request says.
func (c *Catalog) UpdateTable(ctx context.Context, r *regionnode.UpdateTableRequest) (*table.Descriptor, error) {
	if len(r.Replicas) > 0 {
		return c.updateReplicas(ctx, r)
	}
	var made *table.Descriptor
	var forward *GlobalUpdate
	err := c.change(ctx, func(t *txn) error {
		forward = nil
		row, err := t.table(r.Descriptor.Name)
		if err != nil {
			return err
		}
		old := row.Descriptor
		d := merge(old, &r.Descriptor)
		if err := t.updatable(row, d, r.Descriptor.Generation); err != nil {
			return err
		}
		if old.Global != nil && old.Global.Home != c.cfg.Region && !sameShared(old, d) {
			forward = &GlobalUpdate{From: c.cfg.Region, Group: old.Global.Group, Update: regionnode.UpdateTableRequest{Descriptor: *clone(d)}}
			d = takeShared(d, old)
		}
		made, err = t.updateTable(row, d)
		return err
	})
	if err != nil {
		return nil, err
	}
	if forward != nil {
		return c.forward(ctx, made, forward)
	}
	return made, nil
}

// updatable refuses an update of a table that is in the middle of something
// else, or whose writer had not seen the newest generation (I11).
func (t *txn) updatable(row *tableRow, d *table.Descriptor, seen uint64) error {
	old := row.Descriptor
	if err := t.free(row, d); err != nil {
		return err
	}
	if old.Generation != seen {
		return apierr.Newf(apierr.ResourceInUse, "Attempt to change a resource which is still in use: Table is being updated: %s", old.Name)
	}
	if old.Global != nil && !same(old.Stream, d.Stream) {
		return apierr.Invalid("One or more parameter values were invalid: Disabling Stream is not allowed for a Global Table replica.")
	}
	return nil
}

// free refuses a change to d of a table that is in the middle of something else.
func (t *txn) free(row *tableRow, d *table.Descriptor) error {
	err := inUse(row.Descriptor)
	switch {
	case err == nil, row.Descriptor.Status == table.Updating && quiet(row.Descriptor, d):
		return nil
	case row.Descriptor.Status == table.Updating && row.Job == 0 && quietOrProtected(row.Descriptor, d):
		return nil
	case row.Job != 0:
		return apierr.New(apierr.ResourceInUse, "The resource which you are attempting to change is in use.")
	}
	return err
}

// updateTable stores d as the table's next descriptor: adds partitions for new
// global indexes, drops those of removed ones, and, at a global table's home,
// starts the job that tells the other regions.
func (t *txn) updateTable(row *tableRow, d *table.Descriptor) (*table.Descriptor, error) {
	old := row.Descriptor
	next := *row
	next.Descriptor = d
	d.Generation = old.Generation + 1
	if !calm(old, d) {
		d.Status = table.Updating
	}
	t.labelStream(d)
	if err := t.changeIndexes(old, d); err != nil {
		return nil, err
	}
	if d.Global != nil && d.Global.Home == t.c.cfg.Region && !sameShared(old, d) {
		// A job that is under way does not end before it has told all regions.
		d.Global.Generation++
		if row.Job == 0 {
			if err := t.startJob(&next, ReplicaJob{Action: SettingsAction, Step: StepSpread}); err != nil {
				return nil, err
			}
		}
	}
	return d, t.put(tablePrefix+d.Name, &next)
}

// merge is the next descriptor that an update asks for: theirs, with what only
// the catalog decides taken from ours. A global index that theirs lacks stays,
// DELETING, until its partitions are gone.
func merge(ours, theirs *table.Descriptor) *table.Descriptor {
	d := cloneGlobal(ours)
	next := clone(theirs)
	next.ID, next.Name, next.Region, next.Account, next.UUID = d.ID, d.Name, d.Region, d.Account, d.UUID
	next.Generation, next.Status, next.Created = d.Generation, d.Status, d.Created
	next.Key, next.Locals, next.Global = d.Key, d.Locals, d.Global
	for i := range next.Globals {
		x := &next.Globals[i]
		if held := index(d.Globals, x.Name); held != nil {
			x.Table, x.Status, x.Backfilling, x.Key = held.Table, held.Status, held.Backfilling, held.Key
		} else {
			x.Table, x.Status, x.Backfilling = 0, table.Creating, true
		}
	}
	for _, held := range d.Globals {
		if index(next.Globals, held.Name) == nil {
			held.Status = table.Deleting
			next.Globals = append(next.Globals, held)
		}
	}
	return next
}

// index finds an index by name, nil for none.
func index(list []table.Index, name string) *table.Index {
	i := slices.IndexFunc(list, func(x table.Index) bool { return x.Name == name })
	if i < 0 {
		return nil
	}
	return &list[i]
}

// changeIndexes gives new global indexes an id and partitions, and marks those of
// indexes that are now DELETING for destruction.
func (t *txn) changeIndexes(old, d *table.Descriptor) error {
	for i := range d.Globals {
		x := &d.Globals[i]
		if x.Table == 0 {
			x.Table = table.ID(t.id())
			n := len(t.s.partitions[d.ID])
			if err := t.addPartitions(d.ID, x.Table, x.Name, n, t.placement()); err != nil {
				return err
			}
		}
		held := index(old.Globals, x.Name)
		if x.Status == table.Deleting && held != nil && held.Status != table.Deleting {
			if err := t.dropIndex(x.Table); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *txn) dropIndex(id table.ID) error {
	for _, p := range t.s.partitions[id] {
		dropped := *p
		dropped.Dropped = true
		if err := t.put(idKey(partitionPrefix, uint64(p.ID)), &dropped); err != nil {
			return err
		}
	}
	return nil
}

// quiet tells whether two descriptors differ at most in what DynamoDB changes
// whatever else is under way: tags, TTL, policy, counts.
func quiet(a, b *table.Descriptor) bool { return sameBut(a, b, func(*table.Descriptor) {}) }

// quietOrProtected is quiet, or a change of deletion protection, which a table
// that is UPDATING admits, but for its replicas (DDB-TABLE-064, 227).
func quietOrProtected(a, b *table.Descriptor) bool {
	return sameBut(a, b, func(d *table.Descriptor) { d.Protected = false })
}

// calm tells whether an update from a to b leaves the table ACTIVE: that of deletion
// protection, encryption, bounds of on-demand requests, warm throughput and the
// capacity of indexes does (DDB-TABLE-410).
func calm(a, b *table.Descriptor) bool {
	return sameBut(a, b, func(d *table.Descriptor) {
		d.Protected, d.Encryption, d.OnDemand, d.Warm = false, nil, nil, nil
		for i := range d.Globals {
			x := &d.Globals[i]
			x.Throughput, x.OnDemand, x.Warm = table.Throughput{}, nil, nil
		}
	})
}

// sameBut compares two descriptors without what is always changed quietly and
// what forget takes away.
func sameBut(a, b *table.Descriptor, forget func(*table.Descriptor)) bool {
	hush := func(d *table.Descriptor) *table.Descriptor {
		d = clone(d)
		d.Generation, d.Status, d.Tags, d.TTL, d.Policy, d.Items, d.Bytes = 0, "", nil, nil, "", 0, 0
		d.PolicyRevision = 0
		for _, list := range [][]table.Index{d.Locals, d.Globals} {
			for i := range list {
				list[i].Items, list[i].Bytes = 0, 0
			}
		}
		forget(d)
		return d
	}
	return same(hush(a), hush(b))
}

// same compares two values as they are stored.
func same(a, b any) bool {
	x, errX := encodeRow(a)
	y, errY := encodeRow(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// takeShared is d with the settings that a global table has in common taken from
// other: billing and capacity, global indexes, encryption, stream, TTL, class.
// Ids and statuses of indexes stay d's own; indexes that other lacks become
// DELETING.
func takeShared(d, other *table.Descriptor) *table.Descriptor {
	shared := clone(other)
	next := *d
	next.Attributes = shared.Attributes
	next.BillingMode, next.BillingChanged, next.Throughput = shared.BillingMode, shared.BillingChanged, shared.Throughput
	next.OnDemand, next.Warm, next.Class, next.ClassChanged = shared.OnDemand, shared.Warm, shared.Class, shared.ClassChanged
	next.Encryption, next.TTL = shared.Encryption, shared.TTL
	if shared.Stream != nil && (d.Stream == nil || !d.Stream.Enabled) {
		next.Stream = &table.Stream{Enabled: shared.Stream.Enabled, View: shared.Stream.View}
	}
	next.Globals = slices.DeleteFunc(shared.Globals, func(x table.Index) bool { return x.Status == table.Deleting })
	return merge(d, &next)
}

// sameShared tells whether two descriptors of one table agree on what takeShared
// takes.
func sameShared(a, b *table.Descriptor) bool {
	common := func(d *table.Descriptor) *table.Descriptor {
		d = takeShared(&table.Descriptor{}, d)
		for i := range d.Globals {
			d.Globals[i].Items, d.Globals[i].Bytes = 0, 0
		}
		return d
	}
	return same(common(a), common(b))
}
