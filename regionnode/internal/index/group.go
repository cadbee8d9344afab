package index

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"antipode/regionnode/table"
)

func (c *Config) fill() error {
	if c.Sender == nil || c.Partitions == nil {
		return errors.New("index: Config needs Sender and Partitions")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.BatchRecords = cmp.Or(c.BatchRecords, 1000)
	c.BatchBytes = cmp.Or(c.BatchBytes, 512<<10)
	c.SaveRecords = cmp.Or(c.SaveRecords, 1000)
	c.SaveInterval = cmp.Or(c.SaveInterval, time.Second)
	c.FillRecords = cmp.Or(c.FillRecords, 500)
	c.FillBytes = cmp.Or(c.FillBytes, 512<<10)
	c.Fills = cmp.Or(c.Fills, 8)
	c.SendTimeout = cmp.Or(c.SendTimeout, 10*time.Second)
	c.RetryMin = cmp.Or(c.RetryMin, 2*time.Millisecond)
	c.RetryMax = cmp.Or(c.RetryMax, time.Second)
	return nil
}

type followerKey struct {
	partition table.PartitionID
	index     table.ID
}

// Group runs all followers of a node. Safe for concurrent use.
type Group struct {
	cfg    Config
	routes *routes
	fills  chan struct{} // a place for each back-fill that may run
	ctx    context.Context
	cancel context.CancelFunc

	set       sync.Mutex // serialises Set and Close
	mu        sync.Mutex
	closed    bool
	followers map[followerKey]*follower
}

// NewGroup makes a Group without followers.
func NewGroup(cfg Config) (*Group, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	g := &Group{cfg: cfg, fills: make(chan struct{}, cfg.Fills), followers: map[followerKey]*follower{}}
	g.routes = newRoutes(cfg.Partitions)
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g, nil
}

// Set makes the running followers those of specs: it starts what is new, stops
// what is gone, and replaces what has another source or term. It returns when
// what it stopped has ended. After Close it does nothing.
func (g *Group) Set(specs []Spec) {
	g.set.Lock()
	defer g.set.Unlock()
	want := make(map[followerKey]Spec, len(specs))
	for _, s := range specs {
		want[followerKey{s.Source.ID(), s.Index.Table}] = s
	}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return
	}
	var gone []*follower
	for key, f := range g.followers {
		if s, ok := want[key]; !ok || s.Source != f.src || s.Term != f.term {
			f.cancel()
			gone = append(gone, f)
			delete(g.followers, key)
		}
	}
	g.mu.Unlock()
	for _, f := range gone {
		<-f.done
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	used := make(map[table.ID]bool, len(want))
	for key, s := range want {
		used[key.index] = true
		if g.followers[key] == nil {
			g.followers[key] = g.start(s)
		}
	}
	g.routes.keep(used)
}

func (g *Group) start(s Spec) *follower {
	f := newFollower(g, s)
	ctx, cancel := context.WithCancel(g.ctx)
	f.cancel = cancel
	go func() {
		defer close(f.done)
		f.run(ctx)
	}()
	return f
}

// Drop stops the followers of a source that is about to go.
func (g *Group) Drop(id table.PartitionID) {
	g.set.Lock()
	defer g.set.Unlock()
	g.mu.Lock()
	var gone []*follower
	for key, f := range g.followers {
		if key.partition == id {
			f.cancel()
			gone = append(gone, f)
			delete(g.followers, key)
		}
	}
	g.mu.Unlock()
	for _, f := range gone {
		<-f.done
	}
}

// Stats is every follower now, by partition and name of index.
func (g *Group) Stats() []Stats {
	g.mu.Lock()
	followers := slices.Collect(maps.Values(g.followers))
	g.mu.Unlock()
	out := make([]Stats, len(followers))
	for i, f := range followers {
		out[i] = f.stats()
	}
	slices.SortFunc(out, func(a, b Stats) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Index, b.Index))
	})
	return out
}

// Close stops every follower and returns when all have ended.
func (g *Group) Close() {
	g.cancel()
	g.set.Lock()
	defer g.set.Unlock()
	g.mu.Lock()
	g.closed = true
	followers := g.followers
	g.followers = nil
	g.mu.Unlock()
	for _, f := range followers {
		<-f.done
	}
}
