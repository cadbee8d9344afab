package controller

import (
	"context"
	"errors"
	"slices"

	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/table"
)

// handAway hands the leaderships of draining nodes to others, before their
// replicas move: from then on nobody waits for the node.
func (t *tender) handAway(ctx context.Context, place *catalog.Placement) {
	for _, n := range place.Nodes {
		if n.Takes() {
			delete(t.handed, n.ID)
			continue
		}
		leads := t.c.cfg.Catalog.Leads(n.ID)
		if leads < 0 && t.c.cfg.Catalog.SilentFor(n.ID) < catalog.SilentAfter {
			continue // it has not been asked yet
		}
		if leads <= 0 || t.c.cfg.Catalog.SilentFor(n.ID) >= catalog.SilentAfter {
			t.handed[n.ID] = true
			continue
		}
		for i := range place.Partitions {
			row := &place.Partitions[i]
			if ctx.Err() != nil || row.Move != nil || len(row.Replicas) < 2 || !slices.Contains(row.Replicas, n.ID) {
				continue
			}
			if row.Replicas[0] != n.ID && t.handed[n.ID] {
				continue // the node has it for the moment only
			}
			if err := t.handOver(ctx, place, row, func(id table.NodeID) bool { return id != n.ID }); err != nil {
				t.c.cfg.Log.Debug("a draining node leads on", "partition", row.ID, "node", n.ID, "error", err)
			}
		}
		t.handed[n.ID] = true
	}
}

var errNoHeir = errors.New("no member can take the leadership over")

// handOver makes the first fit member lead a partition, unless its leader is fit
// and preferred already, and notes the members' new order.
func (t *tender) handOver(ctx context.Context, place *catalog.Placement, row *catalog.Partition, fit func(table.NodeID) bool) error {
	if !t.c.cfg.Catalog.AllUnderstand(ctx, 2) {
		return catalog.ErrOldNodes
	}
	now, err := t.membership(ctx, place, row, false)
	if err != nil {
		return err
	}
	takes := func(id table.NodeID) bool {
		i := slices.IndexFunc(place.Nodes, func(n catalog.Node) bool { return n.ID == id })
		return i >= 0 && place.Nodes[i].Takes() && fit(id) && (id == now.Leader || slices.Contains(now.Caught, id))
	}
	if takes(now.Leader) && now.Leader == now.Members[0] {
		return nil
	}
	at := slices.IndexFunc(now.Members, takes)
	if at < 0 {
		return errNoHeir
	}
	r := &HandOverRequest{Partition: row.ID, To: now.Members[at]}
	_, err = askLeader(ctx, t.c, nodesOf(place), row, false, func(ctx context.Context, h Host) (struct{}, error) { return struct{}{}, h.HandOver(ctx, r) })
	if err != nil {
		return err
	}
	if now, err = t.membership(ctx, place, row, false); err != nil || now.Epoch != row.Epoch.Members {
		return err
	}
	return t.c.cfg.Catalog.Prefer(ctx, row, now.Members)
}

// maxHandOvers bounds how many leaderships one round evens out.
const maxHandOvers = 8

// evenLeaders hands leaderships of the node that is preferred most often to the
// one that is preferred least, while the difference is more than unequal allows.
// It answers true once there is nothing to even out.
func (t *tender) evenLeaders(ctx context.Context, place *catalog.Placement, p *plan) (even bool) {
	if slices.ContainsFunc(p.order, func(s *seat) bool { return s.quiet || s.leaves }) {
		return false
	}
	first := map[table.NodeID]int{}
	for i := range place.Partitions {
		first[place.Partitions[i].Replicas[0]]++
	}
	for range maxHandOvers {
		row, to := t.uneven(place, first)
		if row == nil {
			return true
		}
		from := row.Replicas[0]
		if err := t.handOver(ctx, place, row, func(id table.NodeID) bool { return id == to }); err != nil {
			t.c.cfg.Log.Debug("a leadership stays where it is", "partition", row.ID, "error", err)
			return false
		}
		first[from]--
		first[to]++
		row.Replicas = append([]table.NodeID{to}, slices.DeleteFunc(slices.Clone(row.Replicas), func(id table.NodeID) bool { return id == to })...)
	}
	return false
}

// uneven finds a partition to be led elsewhere: among those of its members, the
// pair that differs most.
func (t *tender) uneven(place *catalog.Placement, first map[table.NodeID]int) (*catalog.Partition, table.NodeID) {
	var found *catalog.Partition
	var to table.NodeID
	most := 0
	for i := range place.Partitions {
		row := &place.Partitions[i]
		if row.Move != nil || len(row.Missing) > 0 || isSystem(row) {
			continue
		}
		from := row.Replicas[0]
		for _, id := range row.Replicas[1:] {
			if d := first[from] - first[id]; d > most && d >= unequal(first[from]+first[id]) {
				found, to, most = row, id, d
			}
		}
	}
	return found, to
}
