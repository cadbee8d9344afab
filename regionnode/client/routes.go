package client

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/ring"
	"antipode/regionnode/table"
)

// routeCache holds partition maps by table id. A look-up reads one atomic
// pointer and one map.
type routeCache struct {
	byTable atomic.Pointer[map[table.ID]*tableRoutes]
	mu      sync.Mutex // held by whoever replaces the map
}

// tableRoutes is one partition map, ready for routing. Only leaders change.
type tableRoutes struct {
	m      *regionnode.PartitionMap
	starts []uint64
	parts  []route
	byID   map[table.PartitionID]*route
	used   atomic.Bool
	idle   atomic.Int32 // refreshes in a row that found used unset
}

// dropIdleRoutes is after how many refreshes without use a map goes: that of a
// deleted table, most likely.
const dropIdleRoutes = 100

// route is the way to one partition.
type route struct {
	id         table.PartitionID
	rangeEpoch uint32
	nodes      []*node // as in Replicas
	// leader is the index in nodes of who served last.
	leader atomic.Int32
}

func (k *routeCache) init() { k.byTable.Store(&map[table.ID]*tableRoutes{}) }

func (k *routeCache) get(id table.ID) *tableRoutes {
	r := (*k.byTable.Load())[id]
	if r != nil && !r.used.Load() {
		r.used.Store(true)
	}
	return r
}

// keep takes a map in unless a newer one is there, and answers with the newest.
func (k *routeCache) keep(r *tableRoutes) *tableRoutes {
	k.mu.Lock()
	defer k.mu.Unlock()
	held := *k.byTable.Load()
	if old := held[r.m.Table]; old != nil {
		if old.m.Generation >= r.m.Generation {
			return old
		}
		r.used.Store(old.used.Load())
	}
	next := maps.Clone(held)
	next[r.m.Table] = r
	k.byTable.Store(&next)
	return r
}

func (k *routeCache) forget(id table.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := maps.Clone(*k.byTable.Load())
	delete(next, id)
	k.byTable.Store(&next)
}

// newRoutes prepares a map for routing, keeping what is known of leaders.
func (c *Client) newRoutes(m *regionnode.PartitionMap, old *tableRoutes) (*tableRoutes, error) {
	r := &tableRoutes{m: m, starts: make([]uint64, len(m.Partitions)), parts: make([]route, len(m.Partitions)), byID: make(map[table.PartitionID]*route, len(m.Partitions))}
	for i, p := range m.Partitions {
		r.starts[i] = p.Start
		w := &r.parts[i]
		w.id, w.rangeEpoch = p.ID, p.Epoch.Range
		r.byID[p.ID] = w
		for _, h := range p.Replicas {
			w.nodes = append(w.nodes, c.nodes.of(h))
		}
		w.hint(p.Leader)
		if old != nil && old.byID[p.ID] != nil {
			w.hint(old.byID[p.ID].last())
		}
		if len(w.nodes) == 0 {
			return nil, fmt.Errorf("partition %d of table %d has no replica", p.ID, m.Table)
		}
	}
	if !ring.Covers(r.starts) {
		return nil, fmt.Errorf("the partitions of table %d do not cover its keys", m.Table)
	}
	return r, nil
}

// hint notes that a node leads, if it holds a replica.
func (w *route) hint(id table.NodeID) bool {
	i := w.of(id, -1)
	if i >= 0 {
		w.leader.Store(int32(i))
	}
	return i >= 0
}

// of is the index of a node that holds a replica, otherwise the given one.
func (w *route) of(id table.NodeID, otherwise int) int {
	for i, n := range w.nodes {
		if n.id == id {
			return i
		}
	}
	return otherwise
}

func (w *route) last() table.NodeID { return w.nodes[w.leader.Load()].id }

// find is the route to the partition that holds a hash.
func (r *tableRoutes) find(hash uint64) *route { return &r.parts[ring.Find(r.starts, hash)] }

// route finds a table's routes, in the cache or in the region.
func (c *Client) route(ctx context.Context, id table.ID) (*tableRoutes, error) {
	if r := c.routes.get(id); r != nil {
		return r, nil
	}
	return c.fetchRoutes(ctx, id, true)
}

// fetchRoutes asks the region for a table's partitions. With patient unset it
// asks once.
func (c *Client) fetchRoutes(ctx context.Context, id table.ID, patient bool) (*tableRoutes, error) {
	return shared(ctx, c, "r/"+strconv.FormatUint(uint64(id), 16), func(ctx context.Context) (*tableRoutes, error) {
		ask := onTables[*regionnode.PartitionMap]
		if !patient {
			ask = tryTables[*regionnode.PartitionMap]
		}
		m, err := ask(ctx, c, true, func(ctx context.Context, t regionnode.Tables) (*regionnode.PartitionMap, error) {
			return t.Partitions(ctx, id)
		})
		if apierr.Is(err, apierr.ResourceNotFound) {
			c.routes.forget(id)
			return nil, apierr.NotFound()
		}
		if err != nil {
			return nil, err
		}
		r, err := c.newRoutes(m, (*c.routes.byTable.Load())[id])
		if err != nil {
			return nil, err
		}
		return c.routes.keep(r), nil
	})
}

// refreshRoutes asks for those maps that were used since the last time.
func (c *Client) refreshRoutes() {
	var used []table.ID
	for id, r := range *c.routes.byTable.Load() {
		if r.used.Swap(false) {
			used = append(used, id)
		} else if r.idle.Add(1) > dropIdleRoutes {
			c.routes.forget(id)
		}
	}
	ctx, cancel := context.WithTimeout(c.ctx, time.Second)
	defer cancel()
	eachUsed(used, func(id table.ID) {
		if _, err := c.fetchRoutes(ctx, id, false); err != nil && ctx.Err() == nil {
			c.cfg.Log.Debug("a partition map was not refreshed", "table", id, "error", err)
		}
	})
}

func describe(name string) func(context.Context, regionnode.Tables) (*table.Descriptor, error) {
	return func(ctx context.Context, t regionnode.Tables) (*table.Descriptor, error) {
		return t.DescribeTable(ctx, name)
	}
}
