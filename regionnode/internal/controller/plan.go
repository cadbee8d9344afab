package controller

import (
	"fmt"
	"slices"
	"time"

	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/internal/ring"
	"antipode/regionnode/table"
)

// plan says which partitions shall move where: it is a function of what the
// catalog knows and of how long nodes have been silent.
type plan struct {
	place *catalog.Placement
	// silent is for how long each node has not answered.
	silent map[table.NodeID]time.Duration
	// broken are the replicas of each node that are out of use.
	broken map[table.NodeID][]table.PartitionID
	// replaceAfter is for how long a node is silent before it counts as gone.
	replaceAfter time.Duration
	// budget bounds how many moves there may be, those under way included.
	budget int
	// handed are the nodes that gave their leaderships away, as those that drain do
	// first.
	handed map[table.NodeID]bool

	nodes map[table.NodeID]*seat
	order []*seat
	moves []plannedMove
	// waits says for nodes that shall hold nothing why they still do.
	waits map[table.NodeID]string
}

// plannedMove is a partition and what shall become of it.
type plannedMove struct {
	partition *catalog.Partition
	move      catalog.Move
}

// seat is a node as a place for replicas.
type seat struct {
	node   catalog.Node
	load   int
	coming int
	// takes: may get replicas. gone: will not come back, or not soon. leaves:
	// shall hold none. quiet: does not answer now.
	takes, gone, leaves, quiet bool
}

// maxComing bounds how many replicas may be on their way to one node.
const maxComing = 2

// make fills moves and waits.
func (p *plan) make() {
	p.seats()
	p.waits = map[table.NodeID]string{}
	for _, rule := range []func(*catalog.Partition) (catalog.Move, bool){p.lost, p.rotten, p.drained, p.short, p.surplus} {
		for i := range p.place.Partitions {
			if row := &p.place.Partitions[i]; p.free(row) {
				if m, ok := rule(row); ok {
					p.take(row, m)
				}
			}
		}
	}
	if len(p.moves) == 0 && p.budget > 0 && !slices.ContainsFunc(p.order, func(s *seat) bool { return s.quiet || s.leaves }) {
		p.spread()
	}
}

func (p *plan) seats() {
	p.nodes = map[table.NodeID]*seat{}
	for _, n := range p.place.Nodes {
		silent := p.silent[n.ID]
		s := &seat{node: n, quiet: silent >= min(catalog.SilentAfter, p.replaceAfter), leaves: n.Draining || n.Leaving}
		s.gone = silent >= p.replaceAfter || n.Leaving && s.quiet
		s.takes = n.Takes() && !s.quiet && !s.gone
		p.nodes[n.ID] = s
		p.order = append(p.order, s)
	}
	for i := range p.place.Partitions {
		row := &p.place.Partitions[i]
		for _, id := range row.Replicas {
			p.shift(id, 1)
		}
		if row.Move != nil {
			p.budget--
			p.count(row.Move)
		}
	}
}

func (p *plan) shift(id table.NodeID, by int) {
	if s := p.nodes[id]; s != nil {
		s.load += by
	}
}

// count reckons with what a move will have done.
func (p *plan) count(m *catalog.Move) {
	for _, id := range m.Add {
		if s := p.nodes[id]; s != nil {
			s.load++
			s.coming++
		}
	}
	for _, id := range m.Remove {
		p.shift(id, -1)
	}
}

// free tells whether a partition may begin to move.
func (p *plan) free(row *catalog.Partition) bool {
	if p.budget <= 0 || row.Move != nil {
		return false
	}
	return !slices.ContainsFunc(p.moves, func(m plannedMove) bool { return m.partition == row })
}

func (p *plan) take(row *catalog.Partition, m catalog.Move) {
	p.moves = append(p.moves, plannedMove{row, m})
	p.budget--
	p.count(&m)
}

// want is how many replicas a partition should have: the system partition has
// three, or five where there are as many nodes, unless nothing is replicated.
func (p *plan) want(row *catalog.Partition) int {
	if !isSystem(row) || p.place.Replication == 1 {
		return p.place.Replication
	}
	takers := 0
	for _, s := range p.order {
		if s.takes || s.quiet && !s.gone && !s.leaves {
			takers++
		}
	}
	if takers >= 5 {
		return 5
	}
	return 3
}

// isSystem: the catalog's own partition is its own table's.
func isSystem(row *catalog.Partition) bool { return uint64(row.Base) == uint64(row.ID) }

// serves tells whether a partition has a majority that answers: without one it
// cannot change, whatever is wanted.
func (p *plan) serves(row *catalog.Partition) bool {
	well := 0
	for _, id := range row.Replicas {
		if s := p.nodes[id]; s != nil && !s.quiet && !slices.Contains(row.Missing, id) && !slices.Contains(p.broken[id], row.ID) {
			well++
		}
	}
	return 2*well > len(row.Replicas)
}

// pick chooses n more nodes for a partition that the others of its replicas hold.
// Where the best have enough to do already, busy is set: they are waited for.
func (p *plan) pick(row *catalog.Partition, n int, without table.NodeID) (out []table.NodeID, busy bool) {
	var candidates, have []ring.Node
	for _, s := range p.order {
		at := ring.Node{ID: uint64(s.node.ID), Zone: s.node.Zone, Load: s.load}
		switch holds := slices.Contains(row.Replicas, s.node.ID); {
		case holds && s.node.ID != without:
			have = append(have, at)
		case !holds && s.takes:
			candidates = append(candidates, at)
		}
	}
	for _, c := range ring.Extend(candidates, have, n, uint64(row.ID)) {
		id := table.NodeID(c.ID)
		out = append(out, id)
		busy = busy || p.nodes[id].coming >= maxComing
	}
	return out, busy
}

// replace moves a partition away from one node.
func (p *plan) replace(row *catalog.Partition, from table.NodeID, why catalog.Reason) (catalog.Move, bool) {
	if !p.serves(row) {
		p.wait(from, "too few of a partition's replicas answer")
		return catalog.Move{}, false
	}
	m := catalog.Move{Reason: why, Remove: []table.NodeID{from}}
	if len(row.Replicas) > p.want(row) {
		return m, true
	}
	var busy bool
	if m.Add, busy = p.pick(row, 1, from); len(m.Add) == 0 {
		p.wait(from, "no other node can take its replicas")
	}
	return m, len(m.Add) > 0 && !busy
}

func (p *plan) wait(id table.NodeID, why string) {
	if p.waits[id] == "" {
		p.waits[id] = why
	}
}

// lost replaces what was on nodes that are gone.
func (p *plan) lost(row *catalog.Partition) (catalog.Move, bool) {
	for _, id := range row.Replicas {
		if s := p.nodes[id]; s == nil && p.silent[id] >= p.replaceAfter || s != nil && s.gone {
			return p.replace(row, id, catalog.Lost)
		}
	}
	return catalog.Move{}, false
}

// rotten replaces broken replicas: by one on another node or, where there is none,
// by one on the same, which has to be removed first. Two members are left then
// for a while, which is no less than three of which one is broken.
func (p *plan) rotten(row *catalog.Partition) (catalog.Move, bool) {
	for _, id := range row.Replicas {
		if s := p.nodes[id]; s == nil || s.quiet || !slices.Contains(p.broken[id], row.ID) {
			continue
		}
		m, ok := p.replace(row, id, catalog.Broken)
		if !ok && m.Reason == catalog.Broken && len(m.Add) == 0 && len(row.Replicas) == 3 {
			delete(p.waits, id)
			return m, true
		}
		return m, ok
	}
	return catalog.Move{}, false
}

// drained moves what is on nodes that shall hold nothing.
func (p *plan) drained(row *catalog.Partition) (catalog.Move, bool) {
	for _, id := range row.Replicas {
		if s := p.nodes[id]; s != nil && s.leaves && p.handed[id] {
			return p.replace(row, id, catalog.Drained)
		}
	}
	return catalog.Move{}, false
}

// short adds what is missing, never so that there are two members: either one's
// loss would stop the partition.
func (p *plan) short(row *catalog.Partition) (catalog.Move, bool) {
	have, want := len(row.Replicas), p.want(row)
	if have >= want || !p.serves(row) {
		return catalog.Move{}, false
	}
	add, busy := p.pick(row, want-have, 0)
	if len(add) == 0 || busy || have+len(add) == 2 {
		return catalog.Move{}, false
	}
	return catalog.Move{Reason: catalog.Short, Add: add}, true
}

// surplus takes members from the system partition when the region has shrunk.
// Tables keep what they have: their replication is not for the plan to lower.
func (p *plan) surplus(row *catalog.Partition) (catalog.Move, bool) {
	if !isSystem(row) || len(row.Replicas) <= p.want(row) || !p.serves(row) {
		return catalog.Move{}, false
	}
	worst := row.Replicas[len(row.Replicas)-1]
	for _, id := range row.Replicas[1:] {
		if a, b := p.nodes[id], p.nodes[worst]; a != nil && b != nil && a.load > b.load {
			worst = id
		}
	}
	return catalog.Move{Reason: catalog.Surplus, Remove: []table.NodeID{worst}}, true
}

// spread evens out what nodes hold. Differences that are small, or that zones
// call for, stay.
func (p *plan) spread() {
	for p.budget > 0 {
		low, high := p.extremes()
		if low == nil || high.load-low.load < unequal(high.load+low.load) || low.coming >= maxComing {
			return
		}
		row := p.movable(high, low)
		if row == nil {
			return
		}
		p.take(row, catalog.Move{Reason: catalog.Spread, Add: []table.NodeID{low.node.ID}, Remove: []table.NodeID{high.node.ID}})
	}
}

// unequal is from which difference on replicas move: three, or a tenth of what
// both nodes have.
func unequal(sum int) int { return max(3, sum/10) }

func (p *plan) extremes() (low, high *seat) {
	for _, s := range p.order {
		if !s.takes {
			continue
		}
		if low == nil || s.load < low.load {
			low = s
		}
		if high == nil || s.load > high.load {
			high = s
		}
	}
	return low, high
}

// movable finds a partition that may move from one node to another without its
// zones becoming fewer; rather one that the node does not lead.
func (p *plan) movable(from, to *seat) *catalog.Partition {
	var found *catalog.Partition
	for i := range p.place.Partitions {
		row := &p.place.Partitions[i]
		at := slices.Index(row.Replicas, from.node.ID)
		if at < 0 || isSystem(row) || len(row.Missing) > 0 || !p.free(row) || slices.Contains(row.Replicas, to.node.ID) {
			continue
		}
		if p.others(row, from, to.node.Zone) > p.others(row, from, from.node.Zone) {
			continue
		}
		if found = row; at > 0 {
			break
		}
	}
	return found
}

// others counts a partition's other replicas in a zone.
func (p *plan) others(row *catalog.Partition, except *seat, zone string) int {
	n := 0
	for _, id := range row.Replicas {
		if s := p.nodes[id]; s != nil && s != except && s.node.Zone == zone {
			n++
		}
	}
	return n
}

// String is the plan for a person, a line for each move.
func (p *plan) String() string {
	out := ""
	for _, m := range p.moves {
		out += fmt.Sprintf("%d: %s +%v -%v\n", m.partition.ID, m.move.Reason, m.move.Add, m.move.Remove)
	}
	for _, s := range p.order {
		if why := p.waits[s.node.ID]; why != "" {
			out += fmt.Sprintf("node %d waits: %s\n", s.node.ID, why)
		}
	}
	return out
}
