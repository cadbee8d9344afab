package catalog

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/ring"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/table"
)

// NodeRegistry is the part of Registry that follows nodes through their lives.
type NodeRegistry interface {
	// Members are the region's nodes as the catalog's leader sees them, in order
	// of id.
	Members(ctx context.Context) ([]Member, error)
	// RemoveNode takes a node out of the region for good. One that answers must
	// hold nothing; the replicas of one that does not are replaced at once, and it
	// goes when none is left. A node that is not there has gone already.
	RemoveNode(ctx context.Context, id table.NodeID) error
	// MayFound tells whether a new disk may still take its part in starting the
	// region, under an id of BootstrapNode's; if not, it is a new node.
	MayFound(ctx context.Context, n Node) (bool, error)
	// Sweep tells which of a node's replicas are nobody's any more.
	Sweep(ctx context.Context, r *SweepRequest) (*SweepResponse, error)
}

// Takes tells whether the node may get new replicas.
func (n *Node) Takes() bool { return !n.Draining && !n.Leaving && !n.Removed }

// RegisterNode implements Registry.
func (c *Catalog) RegisterNode(ctx context.Context, n Node) (Node, error) {
	if n.Name == "" || n.Addr == "" {
		return Node{}, apierr.Invalid("A node needs a name and an address.")
	}
	if n.ID != 0 && ring.TagOf(uint64(n.ID)) != c.tag {
		return Node{}, apierr.Invalid("Node id %d is not one of region %s's.", n.ID, c.cfg.Region)
	}
	var made Node
	err := c.change(ctx, func(t *txn) error {
		made = n
		made.Epoch, made.Draining, made.Leaving, made.Removed = 1, false, false, false
		if err := t.known(&made); err != nil {
			return err
		}
		if made.ID == 0 {
			made.ID = table.NodeID(t.id())
		}
		return t.put(idKey(nodePrefix, uint64(made.ID)), &made)
	})
	return made, err
}

// known carries over what the catalog knows of a node that registers, or refuses
// it.
func (t *txn) known(n *Node) error {
	if held := t.s.nodes[n.ID]; held != nil {
		switch {
		case held.Removed:
			return apierr.Invalid("Node %s was removed from the region: give it an empty data directory.", held.Name)
		case held.Name != n.Name:
			return apierr.Invalid("Node id %d belongs to %s.", n.ID, held.Name)
		}
		n.Epoch, n.Draining, n.Leaving = held.Epoch+1, held.Draining, held.Leaving
		return nil
	}
	if n.ID != 0 && !IsBootstrapNode(n.ID) {
		return apierr.Invalid("Node id %d is not known in region %s.", n.ID, t.c.cfg.Region)
	}
	for _, held := range t.s.nodes {
		if held.Name != n.Name || held.Removed {
			continue
		}
		if n.ID != 0 || t.s.load[held.ID] > 0 {
			// What its old self has voted for and acknowledged is forgotten there.
			return apierr.Invalid("The region knows a node %s that holds replicas, but this disk is empty: give it another name, or remove the old node first.", n.Name)
		}
		gone := *held
		gone.Leaving, gone.Removed = true, true
		if err := t.put(idKey(nodePrefix, uint64(held.ID)), &gone); err != nil {
			return err
		}
	}
	return nil
}

// DrainNode implements Registry.
func (c *Catalog) DrainNode(ctx context.Context, id table.NodeID, draining bool) error {
	return c.changeNode(ctx, id, func(_ *txn, n *Node) error {
		if n.Leaving {
			return apierr.Newf(apierr.ResourceInUse, "Node %s is being removed.", n.Name)
		}
		n.Draining = draining
		return nil
	})
}

// changeNode changes the row of a node that is in the region.
func (c *Catalog) changeNode(ctx context.Context, id table.NodeID, f func(t *txn, n *Node) error) error {
	return c.change(ctx, func(t *txn) error {
		held := t.s.nodes[id]
		if held == nil || held.Removed {
			return apierr.Newf(apierr.ResourceNotFound, "Requested resource not found: Node: %d not found", id)
		}
		next := *held
		if err := f(t, &next); err != nil {
			return err
		}
		if next == *held {
			return nil
		}
		return t.put(idKey(nodePrefix, uint64(id)), &next)
	})
}

// RemoveNode implements NodeRegistry.
func (c *Catalog) RemoveNode(ctx context.Context, id table.NodeID) error {
	err := c.changeNode(ctx, id, func(t *txn, n *Node) error {
		if t.s.byBase[table.ID(c.System())] == nil {
			return apierr.New(apierr.ResourceInUse, "The region has just started: who holds its catalog is not noted yet.")
		}
		left := t.s.load[id]
		if left > 0 && !n.Leaving && !c.silent(id) {
			return apierr.Newf(apierr.ResourceInUse, "Node %s is alive and holds %d replicas: drain it first.", n.Name, left)
		}
		n.Leaving, n.Removed = true, left == 0
		return nil
	})
	if apierr.Is(err, apierr.ResourceNotFound) {
		return nil
	}
	return err
}

// FinishRemovals takes nodes out that are Leaving and hold nothing any more.
func (c *Catalog) FinishRemovals(ctx context.Context) error {
	return c.change(ctx, func(t *txn) error {
		for id, n := range t.s.nodes {
			if !n.Leaving || n.Removed || t.s.load[id] > 0 {
				continue
			}
			next := *n
			next.Removed = true
			if err := t.put(idKey(nodePrefix, uint64(id)), &next); err != nil {
				return err
			}
		}
		return nil
	})
}

// Nodes implements Registry.
func (c *Catalog) Nodes(ctx context.Context) (out []Node, err error) {
	err = c.confirmed(ctx, func(s *state) error {
		out = slices.DeleteFunc(sorted(s.nodes), func(n Node) bool { return n.Removed })
		return nil
	})
	return out, err
}

// MayFound implements NodeRegistry.
func (c *Catalog) MayFound(ctx context.Context, n Node) (may bool, err error) {
	err = c.confirmed(ctx, func(s *state) error {
		may = s.nodes[n.ID] == nil
		for _, held := range s.nodes {
			if held.Name == n.Name && !held.Removed {
				return apierr.Invalid("The region knows a node %s, but this disk is empty: it must come back under another name, or the old node be removed first.", n.Name)
			}
		}
		id := c.System()
		if row := s.byBase[table.ID(id)][id]; row != nil && !slices.Contains(row.Replicas, n.ID) {
			may = false // it was replaced before it came
		}
		return nil
	})
	return may, err
}

// SweepRequest lists the replicas that a node holds.
type SweepRequest struct {
	Node table.NodeID  `msgpack:"n"`
	Held []HeldReplica `msgpack:"h"`
	// All: these are all that the node holds, so that the answer can say what it
	// lacks.
	All bool `msgpack:"a,omitempty"`
}

// HeldReplica is one replica and the newest membership that it knows.
type HeldReplica struct {
	Partition table.PartitionID `msgpack:"p"`
	Table     table.ID          `msgpack:"t"`
	Members   uint32            `msgpack:"m"`
}

// SweepResponse lists those that are nobody's any more, and those that lack.
type SweepResponse struct {
	Orphans []Orphan        `msgpack:"o,omitempty"`
	Lacking []LackedReplica `msgpack:"l,omitempty"`
}

// LackedReplica is a partition that has the node among its members, though there
// is no replica on it: the node has missed the split that made the partition, as
// one does whose replica of the split partition was broken, or got a snapshot from
// behind the split.
type LackedReplica struct {
	Partition table.PartitionID `msgpack:"p"`
	Table     table.ID          `msgpack:"t"`
	Members   uint32            `msgpack:"m"`
	Start     uint64            `msgpack:"s"`
	End       uint64            `msgpack:"e"`
}

// Orphan may be destroyed: the membership Members has no replica on the node,
// and one that was made for that or a later membership is not meant. With 0 the
// whole table has gone.
type Orphan struct {
	Partition table.PartitionID `msgpack:"p"`
	Members   uint32            `msgpack:"m"`
}

// Sweep implements NodeRegistry.
func (c *Catalog) Sweep(ctx context.Context, r *SweepRequest) (*SweepResponse, error) {
	out := &SweepResponse{}
	err := c.confirmed(ctx, func(s *state) error {
		*out = SweepResponse{}
		rows := s.byID()
		if r.All {
			out.Lacking = c.lacking(rows, r)
		}
		for _, h := range r.Held {
			row := rows[h.Partition]
			switch {
			case row != nil && !slices.Contains(row.holders(), r.Node) && h.Members <= row.Epoch.Members:
				out.Orphans = append(out.Orphans, Orphan{h.Partition, row.Epoch.Members})
			case row == nil && h.Partition != c.System() && s.names[h.Table] == "":
				// A partition of a table that is there may be one that the catalog learns
				// of next.
				out.Orphans = append(out.Orphans, Orphan{Partition: h.Partition})
			}
		}
		return nil
	})
	return out, err
}

// lacking is what a node should hold and does not. Replicas that are being made or
// moved, and those that were never made (Missing), are others' work.
func (c *Catalog) lacking(rows map[table.PartitionID]*Partition, r *SweepRequest) []LackedReplica {
	held := map[table.PartitionID]bool{}
	for _, h := range r.Held {
		held[h.Partition] = true
	}
	var out []LackedReplica
	for id, p := range rows {
		if held[id] || id == c.System() || !p.Created || p.Dropped || p.Move != nil ||
			!slices.Contains(p.Replicas, r.Node) || slices.Contains(p.Missing, r.Node) {
			continue
		}
		out = append(out, LackedReplica{Partition: id, Table: p.Table, Members: p.Epoch.Members, Start: p.Start, End: p.End})
	}
	slices.SortFunc(out, func(a, b LackedReplica) int { return cmp.Compare(a.Partition, b.Partition) })
	return out
}

// byID finds partitions by id alone.
func (s *state) byID() map[table.PartitionID]*Partition {
	out := map[table.PartitionID]*Partition{}
	for _, partitions := range s.byBase {
		for id, p := range partitions {
			out[id] = p
		}
	}
	return out
}

const (
	methodMembers    = "Catalog.Members"
	methodRemoveNode = "Catalog.RemoveNode"
	methodSweep      = "Catalog.Sweep"
	methodMayFound   = "Catalog.MayFound"
)

type nodeRequest struct {
	ID table.NodeID `msgpack:"i"`
}

// registerNodes answers for r on s.
func registerNodes(s *rpc.Server, r NodeRegistry) {
	handleList(s, methodMembers, r.Members)
	handleDone(s, methodRemoveNode, func(ctx context.Context, q *nodeRequest) error { return r.RemoveNode(ctx, q.ID) })
	rpc.Handle(s, methodSweep, r.Sweep)
	rpc.Handle(s, methodMayFound, func(ctx context.Context, n *Node) (*verdict, error) {
		may, err := r.MayFound(ctx, *n)
		return &verdict{may}, err
	})
}

type verdict struct {
	Yes bool `msgpack:"y"`
}

// MayFound implements NodeRegistry.
func (c *Client) MayFound(ctx context.Context, n Node) (bool, error) {
	v, err := ask(ctx, c, methodMayFound, true, &n, func(ctx context.Context, r Registry) (*verdict, error) {
		may, err := r.MayFound(ctx, n)
		return &verdict{may}, err
	})
	if err != nil {
		return false, err
	}
	return v.Yes, nil
}

// Members implements NodeRegistry.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	return askList(ctx, c, methodMembers, func(r Registry) func(context.Context) ([]Member, error) { return r.Members })
}

// RemoveNode implements NodeRegistry.
func (c *Client) RemoveNode(ctx context.Context, id table.NodeID) error {
	return done(ctx, c, methodRemoveNode, &nodeRequest{id}, func(ctx context.Context, r Registry) error { return r.RemoveNode(ctx, id) })
}

// Sweep implements NodeRegistry.
func (c *Client) Sweep(ctx context.Context, r *SweepRequest) (*SweepResponse, error) {
	out, err := ask(ctx, c, methodSweep, true, r, func(ctx context.Context, l Registry) (*SweepResponse, error) { return l.Sweep(ctx, r) })
	if err != nil {
		return nil, fmt.Errorf("ask which replicas are nobody's: %w", err)
	}
	return out, nil
}
