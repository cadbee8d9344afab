package catalog

import (
	"context"
	"slices"
	"sort"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/ring"
	"antipode/regionnode/table"
	"antipode/replication"
)

// MaxTables is DynamoDB's default quota of tables in an account and region.
const MaxTables = 2500

// CreateTable implements regionnode.Tables.
func (c *Catalog) CreateTable(ctx context.Context, r *regionnode.CreateTableRequest) (*table.Descriptor, error) {
	uuid, err := c.uuid()
	if err != nil {
		return nil, err
	}
	var made *table.Descriptor
	err = c.change(ctx, func(t *txn) error {
		d := clone(&r.Descriptor)
		d.UUID, d.Global = uuid, nil
		made, err = t.createTable(d, r.Partitions)
		return err
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

// createTable adds the rows of a new table whose identity and state it fills in.
func (t *txn) createTable(d *table.Descriptor, partitions int) (*table.Descriptor, error) {
	if t.s.tables[d.Name] != nil {
		return nil, apierr.New(apierr.ResourceInUse, "Table already exists: "+d.Name)
	}
	if len(t.s.tables) >= MaxTables {
		return nil, apierr.Newf(apierr.LimitExceeded, "Subscriber limit exceeded: There is a limit of %d tables per subscriber", MaxTables)
	}
	now := t.c.cfg.Clock()
	d.ID, d.Region, d.Generation = table.ID(t.id()), t.c.cfg.Region, 1
	d.Status, d.Created = table.Creating, now.UnixMilli()
	if d.Account == "" {
		d.Account = t.c.cfg.Account
	}
	for i := range d.Locals {
		d.Locals[i].Local = table.IndexID(i + 1)
	}
	for i := range d.Globals {
		d.Globals[i].Table, d.Globals[i].Status, d.Globals[i].Backfilling = table.ID(t.id()), table.Creating, false
	}
	t.labelStream(d)
	if partitions <= 0 {
		partitions = t.c.cfg.Partitions
	}
	placing := t.placement()
	if err := t.addPartitions(d.ID, d.ID, "", partitions, placing); err != nil {
		return nil, err
	}
	for _, x := range d.Globals {
		if err := t.addPartitions(d.ID, x.Table, x.Name, partitions, placing); err != nil {
			return nil, err
		}
	}
	return d, t.put(tablePrefix+d.Name, &tableRow{Descriptor: d})
}

// labelStream names a stream that has just been switched on.
func (t *txn) labelStream(d *table.Descriptor) {
	if d.Stream != nil && d.Stream.Enabled && d.Stream.Label == "" {
		s := *d.Stream
		s.Label = t.c.cfg.Clock().UTC().Format("2006-01-02T15:04:05.000")
		d.Stream = &s
	}
}

// placement is the nodes that may get new replicas, with what they hold. Those
// that do not answer are left out as long as there are enough others.
func (t *txn) placement() []ring.Node {
	var nodes, silent []ring.Node
	for _, n := range sorted(t.s.nodes) {
		if !n.Takes() {
			continue
		}
		at := ring.Node{ID: uint64(n.ID), Zone: n.Zone, Load: t.s.load[n.ID]}
		if t.c.silent(n.ID) {
			silent = append(silent, at)
		} else {
			nodes = append(nodes, at)
		}
	}
	if len(nodes) < t.c.cfg.Replication {
		nodes = append(nodes, silent...)
	}
	return nodes
}

// addPartitions cuts a new table or index into n partitions and places them;
// nodes keeps count of what they get.
func (t *txn) addPartitions(base, id table.ID, index string, n int, nodes []ring.Node) error {
	if len(nodes) == 0 {
		return apierr.New(apierr.InternalServerError, "Internal server error: no node takes partitions")
	}
	starts := ring.Divide(n)
	leads := t.s.leads()
	for i, start := range starts {
		p := Partition{
			ID: table.PartitionID(t.id()), Base: base, Table: id, Index: index, Start: start,
			Epoch: regionnode.Epoch{Range: 1, Members: 1}, Generation: replication.Generation(t.id()),
		}
		if i+1 < len(starts) {
			p.End = starts[i+1]
		}
		chosen, err := ring.Place(nodes, min(t.c.cfg.Replication, len(nodes)), uint64(p.ID))
		if err != nil {
			return err
		}
		rotate(chosen, leads)
		leads[table.NodeID(chosen[0])]++
		for _, id := range chosen {
			p.Replicas = append(p.Replicas, table.NodeID(id))
			nodes[slices.IndexFunc(nodes, func(n ring.Node) bool { return n.ID == id })].Load++
		}
		if err := t.put(idKey(partitionPrefix, uint64(p.ID)), &p); err != nil {
			return err
		}
	}
	return nil
}

// leads counts on how many partitions each node comes first.
func (s *state) leads() map[table.NodeID]int {
	out := make(map[table.NodeID]int, len(s.nodes))
	for _, partitions := range s.partitions {
		for _, p := range partitions {
			out[p.Replicas[0]]++
		}
	}
	return out
}

// rotate puts the node first that comes first least often; the first replica is
// where the leader should be.
func rotate(chosen []uint64, leads map[table.NodeID]int) {
	first := 0
	for i := range chosen {
		if leads[table.NodeID(chosen[i])] < leads[table.NodeID(chosen[first])] {
			first = i
		}
	}
	chosen[0], chosen[first] = chosen[first], chosen[0]
}

// DescribeTable implements regionnode.Tables.
func (c *Catalog) DescribeTable(ctx context.Context, name string) (*table.Descriptor, error) {
	var d *table.Descriptor
	err := c.confirmed(ctx, func(s *state) error {
		row := s.tables[name]
		if row == nil {
			return apierr.TableMissing(name)
		}
		d = c.counted(s, row.Descriptor)
		return nil
	})
	return d, err
}

// TableByID implements Registry.
func (c *Catalog) TableByID(ctx context.Context, id table.ID) (*table.Descriptor, error) {
	var d *table.Descriptor
	err := c.confirmed(ctx, func(s *state) error {
		name, ok := s.names[id]
		if !ok {
			return apierr.NotFound()
		}
		d = s.tables[name].Descriptor
		return nil
	})
	return d, err
}

// Descriptors implements Registry.
func (c *Catalog) Descriptors(ctx context.Context) ([]*table.Descriptor, error) {
	var out []*table.Descriptor
	err := c.confirmed(ctx, func(s *state) error {
		for _, row := range sorted(s.tables) {
			out = append(out, row.Descriptor)
		}
		return nil
	})
	return out, err
}

// ListTables implements regionnode.Tables.
func (c *Catalog) ListTables(ctx context.Context, start string, limit int) (names []string, more bool, err error) {
	err = c.confirmed(ctx, func(s *state) error {
		for name := range s.tables {
			if name > start && !table.IsSystem(name) {
				names = append(names, name)
			}
		}
		return nil
	})
	sort.Strings(names)
	if limit > 0 && len(names) > limit {
		return names[:limit:limit], true, err
	}
	return names, false, err
}

// Partitions implements regionnode.Tables. The map's Generation is the
// catalog's, so that of two maps the newer one is known. The first replica is
// where a leader starts, so it is the hint.
func (c *Catalog) Partitions(ctx context.Context, id table.ID) (*regionnode.PartitionMap, error) {
	var m *regionnode.PartitionMap
	err := c.confirmed(ctx, func(s *state) error {
		rows := s.partitions[id]
		if len(rows) == 0 {
			return apierr.NotFound()
		}
		m = &regionnode.PartitionMap{Table: id, Generation: s.head.Generation, Partitions: make([]regionnode.Partition, len(rows))}
		for i, p := range rows {
			m.Partitions[i] = regionnode.Partition{ID: p.ID, Start: p.Start, Epoch: p.Epoch, Leader: p.Replicas[0], Replicas: s.holders(p.Replicas)}
		}
		return nil
	})
	return m, err
}

// holders adds addresses to node ids. A node that has gone from the catalog
// keeps an empty address.
func (s *state) holders(ids []table.NodeID) []regionnode.Holder {
	out := make([]regionnode.Holder, len(ids))
	for i, id := range ids {
		out[i].Node = id
		if n := s.nodes[id]; n != nil {
			out[i].Addr, out[i].Zone = n.Addr, n.Zone
		}
	}
	return out
}

// DeleteTable implements regionnode.Tables. A table replica leaves its global
// table; its home does that.
func (c *Catalog) DeleteTable(ctx context.Context, name string) (*table.Descriptor, error) {
	var gone, global *table.Descriptor
	err := c.change(ctx, func(t *txn) error {
		gone, global = nil, nil
		row, err := t.table(name)
		if err != nil {
			return err
		}
		if err := deletable(row); err != nil {
			return err
		}
		if row.Descriptor.Global != nil {
			global = row.Descriptor
			return nil
		}
		gone, err = t.deleteTable(row)
		return err
	})
	if err != nil {
		return nil, err
	}
	if global != nil {
		return c.leaveGroup(ctx, global)
	}
	return gone, nil
}

// deleteTable marks a table and all its partitions for destruction.
func (t *txn) deleteTable(row *tableRow) (*table.Descriptor, error) {
	d := clone(row.Descriptor)
	d.Status, d.Generation = table.Deleting, d.Generation+1
	for i := range d.Globals {
		d.Globals[i].Status = table.Deleting
	}
	for _, p := range t.s.partitionsOf(d.ID) {
		if p.Dropped {
			continue
		}
		p.Dropped = true
		if err := t.put(idKey(partitionPrefix, uint64(p.ID)), &p); err != nil {
			return nil, err
		}
	}
	return d, t.put(tablePrefix+d.Name, &tableRow{Descriptor: d, Pushed: row.Pushed})
}

// deletable refuses the deletion of a table that is in the middle of something,
// or protected.
func deletable(row *tableRow) error {
	d := row.Descriptor
	if d.Global != nil && d.Status == table.Creating {
		return apierr.Newf(apierr.ResourceInUse, "Attempt to change a resource which is still in use: Table: %s is being used.", d.Name)
	}
	if err := inUse(d); err != nil {
		return err
	}
	if d.Protected {
		return apierr.Invalid("Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	}
	for i := range d.Globals {
		if d.Globals[i].Status != table.Active {
			return apierr.New(apierr.ResourceInUse, "Attempt to change a resource which is still in use: Cannot delete table while indexes are being created, updated, or deleted.")
		}
	}
	return nil
}

// inUse is the refusal of a change to a table that is not ACTIVE, nil if it is.
func inUse(d *table.Descriptor) error {
	doing, ok := map[table.Status]string{table.Creating: "created", table.Updating: "updated", table.Deleting: "deleted"}[d.Status]
	if !ok {
		return nil
	}
	return apierr.Newf(apierr.ResourceInUse, "Attempt to change a resource which is still in use: Table is being %s: %s", doing, d.Name)
}

// clone copies a descriptor as deep as the catalog changes it: the descriptor
// itself and its lists of indexes.
func clone(d *table.Descriptor) *table.Descriptor {
	out := *d
	out.Locals, out.Globals = slices.Clone(d.Locals), slices.Clone(d.Globals)
	return &out
}

// cloneGlobal copies the global part too, so that replicas can be changed.
func cloneGlobal(d *table.Descriptor) *table.Descriptor {
	out := clone(d)
	if d.Global != nil {
		g := *d.Global
		g.Replicas = slices.Clone(g.Replicas)
		out.Global = &g
	}
	return out
}
