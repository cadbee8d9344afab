package catalog

import (
	"context"
	"sync"
	"time"

	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// SilentAfter is for how long a node answers nothing before new replicas go
// elsewhere.
const SilentAfter = 5 * time.Second

// Member is a node as the catalog's leader sees it.
type Member struct {
	Node Node `msgpack:"n"`
	// Silent is for how long it has not answered the leader, in ms; within
	// SilentAfter it counts as alive.
	Silent int64 `msgpack:"s"`
	// Replicas is how many partitions it shall hold; Coming and Going are how many
	// are on their way to it and away from it.
	Replicas int `msgpack:"r"`
	Coming   int `msgpack:"c"`
	Going    int `msgpack:"g"`
	// Held and Led are what it said that it holds and leads, -1 until it has said
	// so to this leader.
	Held int `msgpack:"h"`
	Led  int `msgpack:"l"`
	// Waits says why replicas that should leave it cannot; "" if nothing waits.
	Waits string `msgpack:"w,omitempty"`
}

// Alive tells whether the leader has heard of the node lately.
func (m *Member) Alive() bool { return m.Silent < SilentAfter.Milliseconds() }

// seen is what the catalog's leader has heard of nodes. It is only in its
// memory: a new leader gives everybody the full time again.
type seen struct {
	mu sync.Mutex
	of map[table.NodeID]*sighting
}

type sighting struct {
	// silent is for how long it has not answered, in the leader's own steps: a
	// leader that was frozen takes nobody else for silent.
	silent    time.Duration
	held, led int
	waits     string
	// format is what it understands, 0 until it has said so.
	format int
	broken []table.PartitionID
}

// Format is what this build understands of raft entries: 1 is what the first
// builds did; 2 adds splits, changes of members, preferred members and scrubs. A
// member stops at an entry that it does not understand, so what is newer than the
// oldest node of the region waits until that node is exchanged.
const Format = 2

// Saw notes that a node answered, what it holds and leads, and its Format.
func (c *Catalog) Saw(id table.NodeID, held, led, format int) {
	c.seen.mu.Lock()
	defer c.seen.mu.Unlock()
	s := c.seen.get(id)
	s.silent, s.held, s.led, s.format = 0, held, led, format
}

// ErrOldNodes refuses what a node of the region would not understand yet.
var ErrOldNodes = apierr.New(apierr.ResourceInUse, "Nodes of the region run an older version: exchange them first.")

// oldNodes is ErrOldNodes if a node has said that it understands less.
func (c *Catalog) oldNodes(s *state, format int) error {
	c.seen.mu.Lock()
	defer c.seen.mu.Unlock()
	for id, n := range s.nodes {
		if has := c.seen.get(id).format; !n.Removed && has > 0 && has < format {
			return ErrOldNodes
		}
	}
	return nil
}

// AllUnderstand tells whether no node of the region is known to understand less.
func (c *Catalog) AllUnderstand(ctx context.Context, format int) (all bool) {
	err := c.confirmed(ctx, func(s *state) error { return c.oldNodes(s, format) })
	return err == nil
}

// SawBroken notes which of a node's replicas are out of use.
func (c *Catalog) SawBroken(id table.NodeID, broken []table.PartitionID) {
	c.seen.mu.Lock()
	defer c.seen.mu.Unlock()
	c.seen.get(id).broken = broken
}

// BrokenOn are a node's replicas that were out of use when it last answered.
func (c *Catalog) BrokenOn(id table.NodeID) []table.PartitionID {
	c.seen.mu.Lock()
	defer c.seen.mu.Unlock()
	return c.seen.get(id).broken
}

// Missed notes that a node has not answered for so much longer.
func (c *Catalog) Missed(id table.NodeID, more time.Duration) {
	c.seen.mu.Lock()
	defer c.seen.mu.Unlock()
	c.seen.get(id).silent += more
}

// ForgetSeen begins anew: this node leads again, or not any more.
func (c *Catalog) ForgetSeen() {
	c.seen.mu.Lock()
	defer c.seen.mu.Unlock()
	c.seen.of = nil
}

// Wait notes why replicas cannot leave a node, "" for nothing.
func (c *Catalog) Wait(id table.NodeID, why string) {
	c.seen.mu.Lock()
	defer c.seen.mu.Unlock()
	c.seen.get(id).waits = why
}

// SilentFor is for how long a node has not answered.
func (c *Catalog) SilentFor(id table.NodeID) time.Duration {
	c.seen.mu.Lock()
	defer c.seen.mu.Unlock()
	return c.seen.get(id).silent
}

// Leads is how many partitions a node led when it last answered, -1 before.
func (c *Catalog) Leads(id table.NodeID) int {
	c.seen.mu.Lock()
	defer c.seen.mu.Unlock()
	return c.seen.get(id).led
}

func (c *Catalog) silent(id table.NodeID) bool { return c.SilentFor(id) >= SilentAfter }

// get is a node's sighting; mu is held.
func (k *seen) get(id table.NodeID) *sighting {
	if k.of == nil {
		k.of = map[table.NodeID]*sighting{}
	}
	if k.of[id] == nil {
		k.of[id] = &sighting{held: -1, led: -1}
	}
	return k.of[id]
}

// Members implements NodeRegistry.
func (c *Catalog) Members(ctx context.Context) (out []Member, err error) {
	err = c.confirmed(ctx, func(s *state) error {
		out = nil
		coming, going := s.traffic()
		c.seen.mu.Lock()
		defer c.seen.mu.Unlock()
		for _, n := range sorted(s.nodes) {
			if n.Removed {
				continue
			}
			at := c.seen.get(n.ID)
			out = append(out, Member{
				Node: n, Silent: at.silent.Milliseconds(), Held: at.held, Led: at.led, Waits: at.waits,
				Replicas: s.load[n.ID] - coming[n.ID], Coming: coming[n.ID], Going: going[n.ID],
			})
		}
		return nil
	})
	return out, err
}

// traffic counts the replicas on their way, by node.
func (s *state) traffic() (coming, going map[table.NodeID]int) {
	coming, going = map[table.NodeID]int{}, map[table.NodeID]int{}
	for id, base := range s.moving {
		p := s.byBase[base][id]
		for _, to := range p.Move.Add {
			coming[to]++
		}
		for _, from := range p.Move.Remove {
			going[from]++
		}
	}
	return coming, going
}
