package catalog

import (
	"context"
	"sync"
	"time"

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
	// Held and Led are what it said that it holds and leads.
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
	at        time.Time
	held, led int
	waits     string
}

// Saw notes that a node answered, and what it holds and leads.
func (c *Catalog) Saw(id table.NodeID, held, led int) {
	c.seen.mu.Lock()
	defer c.seen.mu.Unlock()
	s := c.seen.get(id)
	s.at, s.held, s.led = time.Now(), held, led
}

// Expect begins to watch for nodes: one that was never seen counts as seen now.
func (c *Catalog) Expect(ids []table.NodeID) {
	c.seen.mu.Lock()
	defer c.seen.mu.Unlock()
	for _, id := range ids {
		c.seen.get(id)
	}
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
	return c.seen.silent(id)
}

func (c *Catalog) silent(id table.NodeID) bool { return c.SilentFor(id) >= SilentAfter }

// get is a node's sighting; mu is held.
func (k *seen) get(id table.NodeID) *sighting {
	if k.of == nil {
		k.of = map[table.NodeID]*sighting{}
	}
	s := k.of[id]
	if s == nil {
		s = &sighting{at: time.Now()}
		k.of[id] = s
	}
	return s
}

func (k *seen) silent(id table.NodeID) time.Duration {
	if s := k.of[id]; s != nil {
		return time.Since(s.at)
	}
	return 0
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
			m := Member{Node: n, Replicas: s.load[n.ID] - coming[n.ID], Coming: coming[n.ID], Going: going[n.ID], Silent: c.seen.silent(n.ID).Milliseconds()}
			if at := c.seen.of[n.ID]; at != nil {
				m.Held, m.Led, m.Waits = at.held, at.led, at.waits
			}
			out = append(out, m)
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
