package catalog

import (
	"context"
	"slices"

	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// Work is what remains to be done so that a region is as its catalog says.
type Work struct {
	// Tables are the names of tables whose partitions are not as they should be,
	// in order.
	Tables []string
	// Splits are those that have been decided on, in order of partition.
	Splits []SplitWork
	Jobs   []Job
	// Moves are the partitions whose members change, in order of id.
	Moves []table.PartitionID
}

// Work reads what remains to be done.
func (c *Catalog) Work(ctx context.Context) (*Work, error) {
	w := &Work{}
	err := c.confirmed(ctx, func(s *state) error {
		for name, row := range s.tables {
			if row.Pushed < row.Descriptor.Generation || buildingIndex(row.Descriptor) {
				w.Tables = append(w.Tables, name)
			}
		}
		for _, base := range s.missing {
			if name, ok := s.names[base]; ok {
				w.Tables = append(w.Tables, name)
			}
		}
		slices.Sort(w.Tables)
		w.Tables = slices.Compact(w.Tables)
		w.Splits = s.splitWork()
		w.Jobs = sorted(s.jobs)
		for id := range s.moving {
			w.Moves = append(w.Moves, id)
		}
		slices.Sort(w.Moves)
		return nil
	})
	return w, err
}

func buildingIndex(d *table.Descriptor) bool {
	return slices.ContainsFunc(d.Globals, func(x table.Index) bool { return x.Status == table.Creating })
}

// TableWork is one table as its partitions shall be.
type TableWork struct {
	Descriptor *table.Descriptor
	// Pushed is the newest generation that all partitions have.
	Pushed uint64
	// Partitions are all of the table's and its global indexes', in order of id.
	Partitions []Partition
	// Nodes are those that hold them.
	Nodes map[table.NodeID]Node
}

// TableWork reads one table, or answers apierr.TableMissing.
func (c *Catalog) TableWork(ctx context.Context, name string) (*TableWork, error) {
	var w *TableWork
	err := c.confirmed(ctx, func(s *state) error {
		row := s.tables[name]
		if row == nil {
			return apierr.TableMissing(name)
		}
		w = &TableWork{Descriptor: row.Descriptor, Pushed: row.Pushed, Partitions: s.partitionsOf(row.Descriptor.ID), Nodes: map[table.NodeID]Node{}}
		for _, p := range w.Partitions {
			for _, id := range p.holders() {
				if n := s.nodes[id]; n != nil && !n.Removed {
					w.Nodes[id] = *n
				}
			}
		}
		return nil
	})
	return w, err
}

// FinishTable records that every partition of the work is as it should be: the
// wanted ones exist with the descriptor of that generation, the dropped ones are
// gone. The table comes to rest, or disappears if it was to be deleted. Work that
// has become outdated, or did not know a partition, is left as it is: there is
// newer work. So is a table with a partition that is being split.
func (c *Catalog) FinishTable(ctx context.Context, w *TableWork) error {
	return c.change(ctx, func(t *txn) error {
		row := t.s.tables[w.Descriptor.Name]
		if row == nil || row.Descriptor.ID != w.Descriptor.ID || row.Descriptor.Generation != w.Descriptor.Generation {
			return nil
		}
		left := 0
		for _, p := range t.s.partitionsOf(row.Descriptor.ID) {
			key := idKey(partitionPrefix, uint64(p.ID))
			switch {
			case w.partition(p.ID) == nil, p.Split != nil && !p.Dropped:
				t.clear()
				return nil
			case p.Dropped:
				t.drop(key)
				continue
			case !p.Created:
				p.Created = true
				if made := w.partition(p.ID); made != nil {
					p.Missing, p.Born = made.Missing, made.Born
				}
				if err := t.put(key, &p); err != nil {
					return err
				}
			}
			left++
		}
		if left == 0 {
			t.drop(tablePrefix + row.Descriptor.Name)
			return nil
		}
		next := *row
		next.Pushed = row.Descriptor.Generation
		settle(&next, row.Pushed == 0)
		return t.put(tablePrefix+row.Descriptor.Name, &next)
	})
}

func (w *TableWork) partition(id table.PartitionID) *Partition {
	for i := range w.Partitions {
		if w.Partitions[i].ID == id {
			return &w.Partitions[i]
		}
	}
	return nil
}

// FinishReplica records that a replica exists that was missing.
func (c *Catalog) FinishReplica(ctx context.Context, p *Partition, node table.NodeID) error {
	return c.change(ctx, func(t *txn) error {
		row := t.s.byBase[p.Base][p.ID]
		if row == nil || !slices.Contains(row.Missing, node) {
			return nil
		}
		next := *row
		next.Missing = slices.DeleteFunc(slices.Clone(row.Missing), func(id table.NodeID) bool { return id == node })
		if len(next.Missing) == 0 {
			next.Born = nil
		}
		return t.put(idKey(partitionPrefix, uint64(p.ID)), &next)
	})
}

// FinishIndex makes a global index ACTIVE once every item is in it; the
// partitions are told next.
func (c *Catalog) FinishIndex(ctx context.Context, name string, id table.ID) error {
	return c.change(ctx, func(t *txn) error {
		row, err := t.table(name)
		if err != nil {
			return err
		}
		next := *row
		next.Descriptor = clone(row.Descriptor)
		for i := range next.Descriptor.Globals {
			x := &next.Descriptor.Globals[i]
			if x.Table == id && x.Status == table.Creating {
				x.Status, x.Backfilling = table.Active, false
				next.Descriptor.Generation++
				return t.put(tablePrefix+name, &next)
			}
		}
		return nil
	})
}

// settle brings a table whose partitions are all as they should be to rest. That
// makes a new generation of the descriptor, of which partitions need not know:
// they ignore the table's status, and an index that is DELETING.
func settle(row *tableRow, first bool) {
	old := row.Descriptor
	d := clone(old)
	d.Status = resting(row)
	d.Globals = slices.DeleteFunc(d.Globals, func(x table.Index) bool { return x.Status == table.Deleting && d.Status != table.Deleting })
	for i := range d.Globals {
		if first && d.Globals[i].Status == table.Creating {
			d.Globals[i].Status, d.Globals[i].Backfilling = table.Active, false
		}
	}
	if d.TTL != nil {
		ttl := *d.TTL
		switch ttl.Status {
		case "ENABLING":
			ttl.Status = "ENABLED"
		case "DISABLING":
			ttl.Status = "DISABLED"
		}
		d.TTL = &ttl
	}
	if same(old, d) {
		return
	}
	d.Generation++
	row.Descriptor, row.Pushed = d, d.Generation
}

// resting is the status of a table whose partitions are all as they should be: a
// job may hold it, and a table replica is as its global table says.
func resting(row *tableRow) table.Status {
	d := row.Descriptor
	if d.Status == table.Deleting {
		return table.Deleting
	}
	if d.Global != nil {
		if r := replica(d.Global, d.Region); r != nil && r.Status != table.Active {
			return r.Status
		}
	}
	if row.Job != 0 {
		return table.Updating
	}
	return table.Active
}
