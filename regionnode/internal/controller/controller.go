package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/table"
)

// Config is what a Controller is made of.
type Config struct {
	// Catalog is this node's; the controller works while it leads.
	Catalog *catalog.Catalog
	Nodes   Nodes
	// Regions are the others; nil where there are none.
	Regions Regions
	// Tick is how often the controller looks for work that no event announced;
	// default 1 s.
	Tick time.Duration
	// MaxTables bounds how many tables are worked on at one time; default 64.
	MaxTables int
	// Splits says when partitions are split by themselves; they never are without.
	Splits catalog.SplitLimits
	// ReplaceAfter is for how long a node answers nothing before its replicas are
	// made elsewhere; default 5 min.
	ReplaceAfter time.Duration
	// MaxMoves bounds how many partitions change their members at one time;
	// default 4, as each may copy a whole partition.
	MaxMoves int
	// Log may be nil.
	Log *slog.Logger
}

// Controller makes a region as its catalog says, while its node leads the
// catalog. It is safe for concurrent use.
type Controller struct {
	cfg Config

	// leaders remembers who led a partition when last asked.
	leaders sync.Map // table.PartitionID → table.NodeID

	mu       sync.Mutex
	running  map[string]bool
	attempts map[string]int // failed ones in a row
	finished chan struct{}  // has something when a worker ended

	moves moveCounts
	look  time.Duration // lookPause, but for tests
}

// New makes a controller; Run makes it work.
func New(cfg Config) (*Controller, error) {
	if cfg.Catalog == nil || cfg.Nodes == nil {
		return nil, errors.New("controller: Catalog and Nodes must be given")
	}
	if cfg.Regions == nil {
		cfg.Regions = alone{}
	}
	if cfg.Tick <= 0 {
		cfg.Tick = time.Second
	}
	if cfg.MaxTables <= 0 {
		cfg.MaxTables = 64
	}
	if cfg.ReplaceAfter <= 0 {
		cfg.ReplaceAfter = DefaultReplaceAfter
	}
	if cfg.MaxMoves <= 0 {
		cfg.MaxMoves = 4
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Controller{cfg: cfg, running: map[string]bool{}, attempts: map[string]int{}, finished: make(chan struct{}, 1), look: lookPause}, nil
}

// alone is a deployment of one region.
type alone struct{}

func (alone) Region(string) Region { return nil }
func (alone) Names() []string      { return nil }

// Run works until ctx ends, and returns when everything that it started has
// ended.
func (c *Controller) Run(ctx context.Context) {
	tick := time.NewTicker(c.cfg.Tick)
	defer tick.Stop()
	for ctx.Err() == nil {
		term, leads := c.cfg.Catalog.KV().Leads()
		if leads {
			c.lead(ctx, term, tick.C)
			continue
		}
		select {
		case <-ctx.Done():
		case <-c.cfg.Catalog.KV().Changed():
		case <-tick.C:
		}
	}
}

// lead works for one term of leadership.
func (c *Controller) lead(ctx context.Context, term uint64, tick <-chan time.Time) {
	ctx, stop := context.WithCancel(ctx)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer stop()
	look := true // for partitions to split, once for each tick
	workers.Go(func() { newTender(c).run(ctx) })
	for ctx.Err() == nil {
		if now, leads := c.cfg.Catalog.KV().Leads(); !leads || now != term {
			return
		}
		changed := c.cfg.Catalog.Watch()
		work, err := c.cfg.Catalog.Work(ctx)
		if err != nil {
			c.cfg.Log.Debug("the catalog does not answer its controller", "error", err)
			pause(ctx, 10*time.Millisecond)
			continue
		}
		c.start(ctx, &workers, work)
		if look {
			c.work(ctx, &workers, "looking for partitions to split", c.splitDue)
			look = false
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-c.finished:
		case <-c.cfg.Catalog.KV().Changed():
		case <-tick:
			look = true
		}
	}
}

// start makes a worker for each piece of work that has none yet.
func (c *Controller) start(ctx context.Context, workers *sync.WaitGroup, work *catalog.Work) {
	for _, name := range work.Tables {
		if c.busy() >= c.cfg.MaxTables+len(work.Jobs)+len(work.Splits)+len(work.Moves) {
			break
		}
		c.work(ctx, workers, "table "+name, func(ctx context.Context) error { return c.reconcile(ctx, name) })
	}
	for _, s := range work.Splits {
		c.work(ctx, workers, fmt.Sprintf("split of partition %d", s.Partition), func(ctx context.Context) error { return c.split(ctx, s) })
	}
	for _, j := range work.Jobs {
		if j.Kind == catalog.ReplicaJobKind {
			c.work(ctx, workers, jobName(j), func(ctx context.Context) error { return c.runReplicaJob(ctx, j) })
		}
	}
	for _, id := range work.Moves {
		c.work(ctx, workers, fmt.Sprintf("move of partition %d", id), func(ctx context.Context) error { return c.runMove(ctx, id) })
	}
}

func (c *Controller) busy() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.running)
}

// work runs f once, unless a worker of that name runs already. After a failure
// the worker's name stays taken for a while.
func (c *Controller) work(ctx context.Context, workers *sync.WaitGroup, name string, f func(context.Context) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running[name] {
		return
	}
	c.running[name] = true
	workers.Go(func() {
		err := f(ctx)
		c.mu.Lock()
		if err == nil {
			delete(c.attempts, name)
		} else {
			c.attempts[name]++
		}
		failures := c.attempts[name]
		c.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			c.cfg.Log.Warn("work for the region failed and will be tried again", "work", name, "failures", failures, "error", err)
			pause(ctx, backoff(failures))
		}
		c.mu.Lock()
		delete(c.running, name)
		c.mu.Unlock()
		select {
		case c.finished <- struct{}{}:
		default:
		}
	})
}

// backoff is how long to wait after so many failures in a row: 20 ms doubling to
// 5 s, less up to a half at random so that workers spread.
func backoff(failures int) time.Duration {
	d := min(20*time.Millisecond<<min(failures-1, 10), 5*time.Second)
	return d - rand.N(d/2+1)
}

// pause waits, or returns early when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// maxCall bounds one call to a node.
const maxCall = 15 * time.Second

// onLeader makes one idempotent call to a partition's leader, which it looks for
// among the replicas until the call is served or maxCall is over.
func onLeader[T any](ctx context.Context, c *Controller, w *catalog.TableWork, p *catalog.Partition, f func(context.Context, Host) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, maxCall)
	defer cancel()
	return onLeaderUntil(ctx, c, w, p, f)
}

// onLeaderUntil is onLeader for a call that may take as long as ctx lasts; the
// pauses between calls that were not served add up to maxCall at most.
func onLeaderUntil[T any](ctx context.Context, c *Controller, w *catalog.TableWork, p *catalog.Partition, f func(context.Context, Host) (T, error)) (T, error) {
	at := p.Replicas[0]
	if known, ok := c.leaders.Load(p.ID); ok {
		at = known.(table.NodeID)
	}
	waited := time.Duration(0)
	for try := 1; ; try++ {
		v, err := callAt(ctx, c, w, at, f)
		if err == nil {
			c.leaders.Store(p.ID, at)
			return v, nil
		}
		var moved *regionnode.NotLeader
		if errors.As(err, &moved) && moved.Leader != 0 && moved.Leader != at {
			at = moved.Leader
		} else {
			at = p.Replicas[try%len(p.Replicas)]
		}
		wait := min(time.Duration(try)*time.Millisecond, 100*time.Millisecond)
		waited += wait
		if pause(ctx, wait); ctx.Err() != nil || waited > maxCall {
			return v, err
		}
	}
}

func callAt[T any](ctx context.Context, c *Controller, w *catalog.TableWork, at table.NodeID, f func(context.Context, Host) (T, error)) (T, error) {
	n, ok := w.Nodes[at]
	if !ok {
		var none T
		return none, &regionnode.Stale{Reason: "its node is not in the catalog"}
	}
	return f(ctx, c.cfg.Nodes.Host(n))
}
