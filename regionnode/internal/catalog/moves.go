package catalog

import (
	"context"
	"fmt"
	"slices"

	"antipode/regionnode/table"
)

// Reason is why a partition's members change. On disk: never reorder.
type Reason uint8

// The reasons, the most urgent first.
const (
	Lost    Reason = iota + 1 // a node is gone for good
	Drained                   // a node gives its replicas up
	Short                     // there are fewer replicas than there should be
	Surplus                   // there are more
	Spread                    // nodes hold unequally much
	Broken                    // a replica's data is corrupt; as urgent as Lost
)

// String is a word for a person.
func (r Reason) String() string {
	words := []string{"", "lost", "drained", "short", "surplus", "spread", "broken"}
	if int(r) < len(words) {
		return words[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// Move is a wanted change of one partition's members: an intent, which stays in
// the partition's row until the partition is so. What of it is done the
// partition itself knows.
type Move struct {
	// ID tells this intent from an earlier one of the partition.
	ID     uint64 `msgpack:"i"`
	Reason Reason `msgpack:"y"`
	// Add are the nodes that shall become members, Remove those that shall not be
	// any more; at least one of them has a node.
	Add    []table.NodeID `msgpack:"a,omitempty"`
	Remove []table.NodeID `msgpack:"r,omitempty"`
	// Since is when it was decided, Unix ms.
	Since int64 `msgpack:"s"`
	// Undo is set when Add cannot be: they leave the partition again, if they have
	// come that far.
	Undo bool `msgpack:"u,omitempty"`
}

// holders are the nodes that hold the partition, or are about to.
func (p *Partition) holders() []table.NodeID {
	if p.Move == nil {
		return p.Replicas
	}
	out := slices.Clip(p.Replicas)
	for _, id := range p.Move.Add {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// Holders are the nodes that hold the partition, or are about to.
func (p *Partition) Holders() []table.NodeID { return slices.Clone(p.holders()) }

// Placement is where a region's partitions are.
type Placement struct {
	// Generation is the catalog's.
	Generation uint64
	// Replication is how many replicas a partition should have.
	Replication int
	Nodes       []Node // without removed ones, in order of id
	// Partitions are those that exist and shall stay, the system partition first.
	Partitions []Partition
}

// Placement reads it all.
func (c *Catalog) Placement(ctx context.Context) (*Placement, error) {
	out := &Placement{Replication: c.cfg.Replication}
	err := c.confirmed(ctx, func(s *state) error {
		out.Generation = s.head.Generation
		for _, n := range sorted(s.nodes) {
			if !n.Removed {
				out.Nodes = append(out.Nodes, n)
			}
		}
		for _, partitions := range s.byBase {
			for _, p := range partitions {
				if p.Created && !p.Dropped {
					out.Partitions = append(out.Partitions, *p)
				}
			}
		}
		return nil
	})
	slices.SortFunc(out.Partitions, func(a, b Partition) int { return int(min(max(int64(a.ID-b.ID), -1), 1)) })
	return out, err
}

// Standing is the catalog's generation and the nodes of the region, without
// removed ones: what a Placement begins with.
func (c *Catalog) Standing(ctx context.Context) (generation uint64, nodes []Node, err error) {
	err = c.confirmed(ctx, func(s *state) error {
		generation, nodes = s.head.Generation, nil
		for _, n := range sorted(s.nodes) {
			if !n.Removed {
				nodes = append(nodes, n)
			}
		}
		return nil
	})
	return generation, nodes, err
}

// System is the id of the region's system partition.
func (c *Catalog) System() table.PartitionID { return SystemPartition(c.cfg.Region) }

// AdoptSystem gives the system partition, which exists before there is a
// catalog, a row like any other's, unless it has one.
func (c *Catalog) AdoptSystem(ctx context.Context, members []table.NodeID, epoch uint32) error {
	return c.change(ctx, func(t *txn) error {
		id := c.System()
		base := table.ID(id)
		if t.s.byBase[base][id] != nil {
			return nil
		}
		p := Partition{ID: id, Base: base, Table: base, Replicas: members, Created: true}
		p.Epoch.Range, p.Epoch.Members = 1, epoch
		return t.put(idKey(partitionPrefix, uint64(id)), &p)
	})
}

// MoveWork is one partition whose members change.
type MoveWork struct {
	Partition Partition
	// Nodes are all nodes of the region.
	Nodes map[table.NodeID]Node
}

// MoveWork reads one partition; nil if it has no Move, or is to be dropped.
func (c *Catalog) MoveWork(ctx context.Context, id table.PartitionID) (*MoveWork, error) {
	var w *MoveWork
	err := c.confirmed(ctx, func(s *state) error {
		w = nil
		base, ok := s.moving[id]
		if !ok {
			return nil
		}
		w = &MoveWork{Partition: *s.byBase[base][id], Nodes: map[table.NodeID]Node{}}
		for id, n := range s.nodes {
			if !n.Removed {
				w.Nodes[id] = *n
			}
		}
		return nil
	})
	return w, err
}

// StartMove notes that a partition, as p says it is, shall change its members.
// It is refused with ErrConflict if the partition is not so any more, or a node
// to be added takes no replicas.
func (c *Catalog) StartMove(ctx context.Context, p *Partition, m Move) error {
	return c.change(ctx, func(t *txn) error {
		if err := c.oldNodes(t.s, 2); err != nil {
			return err
		}
		row := t.s.byBase[p.Base][p.ID]
		if row == nil || row.Dropped || !row.Created || row.Move != nil || row.Split != nil || row.Epoch != p.Epoch {
			return fmt.Errorf("partition %d: %w", p.ID, ErrConflict)
		}
		for _, id := range m.Add {
			if n := t.s.nodes[id]; n == nil || !n.Takes() || slices.Contains(row.Replicas, id) {
				return fmt.Errorf("partition %d to node %x: %w", p.ID, uint64(id), ErrConflict)
			}
		}
		for _, id := range m.Remove {
			if !slices.Contains(row.Replicas, id) {
				return fmt.Errorf("partition %d from node %x: %w", p.ID, uint64(id), ErrConflict)
			}
		}
		next := *row
		m.ID, m.Since = t.id(), c.cfg.Clock().UnixMilli()
		next.Move = &m
		return t.put(idKey(partitionPrefix, uint64(p.ID)), &next)
	})
}

// moved changes the row of a partition whose Move is still p's.
func (c *Catalog) moved(ctx context.Context, p *Partition, f func(next *Partition)) error {
	return c.change(ctx, func(t *txn) error {
		row := t.s.byBase[p.Base][p.ID]
		if row == nil || row.Dropped || row.Move == nil || row.Move.ID != p.Move.ID {
			return fmt.Errorf("partition %d: %w", p.ID, ErrConflict)
		}
		next := *row
		f(&next)
		return t.put(idKey(partitionPrefix, uint64(p.ID)), &next)
	})
}

// UndoMove gives a partition's Move up: its nodes to be added leave again.
func (c *Catalog) UndoMove(ctx context.Context, p *Partition) error {
	return c.moved(ctx, p, func(next *Partition) {
		m := *next.Move
		m.Undo = true
		next.Move = &m
	})
}

// EndMove notes that the members of a partition are as its Move wants, or, after
// UndoMove, as they were: members, in the partition's order, and their epoch, are
// as the partition's leader said. ErrConflict: another controller was first.
func (c *Catalog) EndMove(ctx context.Context, p *Partition, members []table.NodeID, epoch uint32) error {
	return c.moved(ctx, p, func(next *Partition) {
		next.Move = nil
		next.Replicas, next.Epoch.Members = members, epoch
		next.Missing = slices.DeleteFunc(slices.Clone(next.Missing), func(id table.NodeID) bool { return !slices.Contains(members, id) })
		if len(next.Missing) == 0 {
			next.Missing, next.Born = nil, nil
		}
	})
}

// Prefer notes in which order a partition has its members now, the preferred
// leader first. It changes nothing if the members are others by now.
func (c *Catalog) Prefer(ctx context.Context, p *Partition, members []table.NodeID) error {
	return c.change(ctx, func(t *txn) error {
		row := t.s.byBase[p.Base][p.ID]
		if row == nil || row.Dropped || row.Epoch.Members != p.Epoch.Members || row.Move != nil || slices.Equal(row.Replicas, members) {
			return nil
		}
		a, b := slices.Sorted(slices.Values(row.Replicas)), slices.Sorted(slices.Values(members))
		if !slices.Equal(a, b) {
			return nil
		}
		next := *row
		next.Replicas = members
		return t.put(idKey(partitionPrefix, uint64(p.ID)), &next)
	})
}
