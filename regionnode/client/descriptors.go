package client

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// descriptorCache holds descriptors by name. A look-up reads one atomic pointer
// and one map.
type descriptorCache struct {
	byName atomic.Pointer[map[string]*descriptorEntry]
	// mu is held by whoever replaces the map.
	mu sync.Mutex
}

// descriptorEntry is a table that may be used without asking for it.
type descriptorEntry struct {
	d atomic.Pointer[table.Descriptor]
	// used is set by each look-up and taken back by each refresh; idle counts the
	// refreshes that found it unset.
	used atomic.Bool
	idle atomic.Int32
}

// After maxIdle refreshes without a look-up an entry is too old to be used
// unasked; after dropIdle it goes.
const (
	maxIdle  = 4
	dropIdle = 4000
)

func (k *descriptorCache) init() { k.byName.Store(&map[string]*descriptorEntry{}) }

// get finds a descriptor that is at most a few refreshes old.
func (k *descriptorCache) get(name string) *table.Descriptor {
	e := (*k.byName.Load())[name]
	if e == nil || e.idle.Load() >= maxIdle {
		return nil
	}
	if !e.used.Load() {
		e.used.Store(true)
	}
	return e.d.Load()
}

// old finds a descriptor of any age.
func (k *descriptorCache) old(name string) *table.Descriptor {
	if e := (*k.byName.Load())[name]; e != nil {
		return e.d.Load()
	}
	return nil
}

// byID finds the table that has an id, itself or for a global index.
func (k *descriptorCache) byID(id table.ID) *table.Descriptor {
	for _, e := range *k.byName.Load() {
		d := e.d.Load()
		if d.ID == id {
			return d
		}
		for i := range d.Globals {
			if d.Globals[i].Table == id {
				return d
			}
		}
	}
	return nil
}

// learn keeps the outcome of asking for a table. A table that is coming or going
// is not kept: its status changes in a moment.
func (k *descriptorCache) learn(name string, d *table.Descriptor, err error) {
	switch {
	case apierr.Is(err, apierr.ResourceNotFound):
		k.forget(name)
	case err != nil:
	case d.Status == table.Creating || d.Status == table.Deleting:
		k.forget(name)
	default:
		k.keep(name, d)
	}
}

// keep takes a descriptor in unless a newer one of the same table is there.
func (k *descriptorCache) keep(name string, d *table.Descriptor) {
	k.mu.Lock()
	defer k.mu.Unlock()
	held := *k.byName.Load()
	if e := held[name]; e != nil {
		// Ids grow: of two tables of one name the later has the greater.
		if was := e.d.Load(); was.ID < d.ID || was.ID == d.ID && was.Generation < d.Generation {
			e.d.Store(d)
		}
		e.idle.Store(0)
		return
	}
	next := maps.Clone(held)
	e := new(descriptorEntry)
	e.d.Store(d)
	next[name] = e
	k.byName.Store(&next)
}

func (k *descriptorCache) forget(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	held := *k.byName.Load()
	if held[name] == nil {
		return
	}
	next := maps.Clone(held)
	delete(next, name)
	k.byName.Store(&next)
}

// Descriptor answers with a table's descriptor, from the cache if that was
// confirmed a moment ago, or with apierr.NotFound. When the region's catalog
// does not answer, an older one must do.
func (c *Client) Descriptor(ctx context.Context, name string) (*table.Descriptor, error) {
	if d := c.descriptors.get(name); d != nil {
		return d, nil
	}
	d, err := shared(ctx, c, "d/"+name, func(ctx context.Context) (*table.Descriptor, error) { return c.DescribeTable(ctx, name) })
	if apierr.Is(err, apierr.ResourceNotFound) {
		return nil, apierr.NotFound()
	}
	if err != nil && ctx.Err() == nil {
		if d := c.descriptors.old(name); d != nil {
			return d, nil
		}
	}
	return d, err
}

// shared makes one call for all who want the same at the same time. The call
// outlives a caller that gives up.
func shared[T any](ctx context.Context, c *Client, key string, f func(context.Context) (T, error)) (T, error) {
	ch := c.flights.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(c.ctx, c.cfg.Patience)
		defer cancel()
		return f(ctx)
	})
	var none T
	select {
	case <-ctx.Done():
		return none, ctx.Err()
	case r := <-ch:
		if r.Err != nil {
			return none, r.Err
		}
		return r.Val.(T), nil
	}
}

// refreshDescriptors asks for those tables that were used since the last time.
func (c *Client) refreshDescriptors() {
	var used []string
	for name, e := range *c.descriptors.byName.Load() {
		if e.used.Swap(false) {
			used = append(used, name)
		} else if e.idle.Add(1) > dropIdle {
			c.descriptors.forget(name)
		}
	}
	ctx, cancel := context.WithTimeout(c.ctx, time.Second)
	defer cancel()
	eachUsed(used, func(name string) {
		d, err := tryTables(ctx, c, true, describe(name))
		c.descriptors.learn(name, d, err)
	})
}
