package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/table"
)

const (
	// DefaultReplaceAfter is Config.ReplaceAfter's default: longer than a node
	// takes to start again, or its machine to be rebooted.
	DefaultReplaceAfter = 5 * time.Minute
	// pingEvery is how often every node is asked whether it lives, at most: small
	// values of ReplaceAfter need it more often.
	pingEvery = time.Second
	// pingPatience is how long it may take to answer.
	pingPatience = 2 * time.Second
	maxPings     = 32
)

// moveCounts count what the controller has done since the process began.
type moveCounts struct {
	mu   sync.Mutex
	done map[catalog.Reason]int
	gone int // undone
}

func (k *moveCounts) ended(m *catalog.Move) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if m.Undo {
		k.gone++
		return
	}
	if k.done == nil {
		k.done = map[catalog.Reason]int{}
	}
	k.done[m.Reason]++
}

// Moves counts the changes of members that this controller has finished, by
// reason; those that it gave up are under "undone".
func (c *Controller) Moves() map[string]int {
	c.moves.mu.Lock()
	defer c.moves.mu.Unlock()
	out := map[string]int{"undone": c.moves.gone}
	for reason := catalog.Lost; reason <= catalog.Broken; reason++ {
		out[reason.String()] = c.moves.done[reason]
	}
	return out
}

// tender looks after nodes and places for one term of leadership: it asks nodes
// whether they live, and decides which partitions move.
type tender struct {
	c *Controller
	// handed are draining nodes whose leaderships were handed over once.
	handed map[table.NodeID]bool
	// idle is the catalog's generation at which there was nothing to do while all
	// nodes were well.
	idle uint64
	// strangers are nodes that hold partitions and that the catalog has never heard
	// of, or no more, and since when: the others that start a region are such until
	// they come.
	strangers map[table.NodeID]time.Time
}

func newTender(c *Controller) *tender {
	return &tender{c: c, handed: map[table.NodeID]bool{}, strangers: map[table.NodeID]time.Time{}}
}

func (t *tender) run(ctx context.Context) {
	t.c.cfg.Catalog.ForgetSeen()
	defer t.c.cfg.Catalog.ForgetSeen()
	var pings sync.WaitGroup
	defer pings.Wait()
	pings.Go(func() { t.pingForever(ctx) })
	tick := time.NewTicker(t.every())
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := t.round(ctx); err != nil && ctx.Err() == nil {
			t.c.cfg.Log.Debug("the region's nodes could not be looked after", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (t *tender) every() time.Duration {
	return min(pingEvery, max(t.c.cfg.ReplaceAfter/8, 10*time.Millisecond))
}

// round looks at everything once.
func (t *tender) round(ctx context.Context) error {
	generation, nodes, err := t.c.cfg.Catalog.Standing(ctx)
	if err != nil || generation == t.idle && t.well(nodes) {
		return err
	}
	place, err := t.c.cfg.Catalog.Placement(ctx)
	if err != nil {
		return err
	}
	if err := t.adopt(ctx, place); err != nil {
		return err
	}
	if slices.ContainsFunc(place.Nodes, func(n catalog.Node) bool { return n.Leaving }) {
		if err := t.c.cfg.Catalog.FinishRemovals(ctx); err != nil {
			return err
		}
	}
	t.handAway(ctx, place)
	return t.decide(ctx, place)
}

// pingForever asks every node whether it lives, over and over.
func (t *tender) pingForever(ctx context.Context) {
	tick := time.NewTicker(t.every())
	defer tick.Stop()
	for last := time.Now(); ctx.Err() == nil; {
		nodes, err := t.c.cfg.Catalog.Nodes(ctx)
		if err == nil {
			answered := t.ping(ctx, nodes)
			now := time.Now()
			more := min(now.Sub(last), pingPatience+pingEvery)
			last = now
			for _, n := range nodes {
				if !answered[n.ID] && ctx.Err() == nil {
					t.c.cfg.Catalog.Missed(n.ID, more)
				}
			}
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// ping asks every node once.
func (t *tender) ping(ctx context.Context, nodes []catalog.Node) map[table.NodeID]bool {
	ctx, cancel := context.WithTimeout(ctx, pingPatience)
	defer cancel()
	var mu sync.Mutex
	answered := map[table.NodeID]bool{}
	var all errgroup.Group
	all.SetLimit(maxPings)
	for _, n := range nodes {
		all.Go(func() error {
			held, err := t.c.cfg.Nodes.Host(n).Ping(ctx)
			if _, answers := errors.AsType[*rpc.RemoteError](err); answers {
				held, err = &Holdings{Held: -1, Led: -1, Format: 1}, nil // an older node, that knows no pings
			}
			if err != nil {
				return nil
			}
			t.c.cfg.Catalog.Saw(n.ID, held.Held, held.Led, held.Format)
			t.c.cfg.Catalog.SawBroken(n.ID, held.Broken)
			mu.Lock()
			defer mu.Unlock()
			answered[n.ID] = true
			return nil
		})
	}
	_ = all.Wait() // never fails
	return answered
}

// adopt gives the system partition its row.
func (t *tender) adopt(ctx context.Context, place *catalog.Placement) error {
	id := t.c.cfg.Catalog.System()
	if slices.ContainsFunc(place.Partitions, func(p catalog.Partition) bool { return p.ID == id }) || len(place.Nodes) == 0 {
		return nil
	}
	row := &catalog.Partition{ID: id}
	for _, n := range place.Nodes {
		row.Replicas = append(row.Replicas, n.ID)
	}
	now, err := t.membership(ctx, place, row, true)
	if err != nil {
		return fmt.Errorf("find the members of the system partition: %w", err)
	}
	return t.c.cfg.Catalog.AdoptSystem(ctx, now.Members, now.Epoch)
}

func (t *tender) membership(ctx context.Context, place *catalog.Placement, row *catalog.Partition, confirm bool) (*Membership, error) {
	r := &MembershipRequest{Partition: row.ID, Confirm: confirm}
	return askLeader(ctx, t.c, nodesOf(place), row, true, func(ctx context.Context, h Host) (*Membership, error) { return h.Membership(ctx, r) })
}

func nodesOf(place *catalog.Placement) *catalog.TableWork {
	w := &catalog.TableWork{Nodes: map[table.NodeID]catalog.Node{}}
	for _, n := range place.Nodes {
		w.Nodes[n.ID] = n
	}
	return w
}

// well tells whether all nodes answer with nothing broken, and none shall go.
func (t *tender) well(nodes []catalog.Node) bool {
	return !slices.ContainsFunc(nodes, func(n catalog.Node) bool {
		return !n.Takes() || len(t.c.cfg.Catalog.BrokenOn(n.ID)) > 0 || t.c.cfg.Catalog.SilentFor(n.ID) >= min(catalog.SilentAfter, t.c.cfg.ReplaceAfter)
	})
}

// decide begins the moves that are due.
func (t *tender) decide(ctx context.Context, place *catalog.Placement) error {
	p := &plan{place: place, silent: map[table.NodeID]time.Duration{}, broken: map[table.NodeID][]table.PartitionID{}, replaceAfter: t.c.cfg.ReplaceAfter, budget: t.c.cfg.MaxMoves, handed: t.handed}
	strangers := t.findStrangers(place)
	for id, since := range strangers {
		p.silent[id] = time.Since(since)
	}
	for _, n := range place.Nodes {
		p.silent[n.ID] = t.c.cfg.Catalog.SilentFor(n.ID)
		p.broken[n.ID] = t.c.cfg.Catalog.BrokenOn(n.ID)
	}
	p.make()
	for _, n := range place.Nodes {
		t.c.cfg.Catalog.Wait(n.ID, p.waits[n.ID])
	}
	if len(p.moves) > 0 {
		return t.begin(ctx, place, p.moves)
	}
	if even := t.evenLeaders(ctx, place, p); even && len(strangers) == 0 {
		t.idle = place.Generation
	}
	return nil
}

// begin notes moves in the catalog, which sets workers to them.
func (t *tender) begin(ctx context.Context, place *catalog.Placement, moves []plannedMove) error {
	for _, m := range moves {
		if m.move.Reason == catalog.Lost && t.heard(ctx, place, m) {
			continue
		}
		err := t.c.cfg.Catalog.StartMove(ctx, m.partition, m.move)
		if err != nil && !errors.Is(err, catalog.ErrConflict) {
			return err
		}
	}
	return nil
}

// findStrangers brings strangers up to date.
func (t *tender) findStrangers(place *catalog.Placement) map[table.NodeID]time.Time {
	now := map[table.NodeID]time.Time{}
	known := nodesOf(place).Nodes
	for i := range place.Partitions {
		for _, id := range place.Partitions[i].Replicas {
			if _, ok := known[id]; ok {
				continue
			}
			if now[id] = t.strangers[id]; now[id].IsZero() {
				now[id] = time.Now()
			}
		}
	}
	t.strangers = now
	return now
}

// heard tells whether the partition's own leader hears of a node that seems to
// be gone: then only the way from here to there is cut.
func (t *tender) heard(ctx context.Context, place *catalog.Placement, m plannedMove) bool {
	now, err := t.membership(ctx, place, m.partition, false)
	if err != nil {
		t.c.cfg.Log.Debug("a partition that lost a replica has no leader", "partition", m.partition.ID, "error", err)
		return true
	}
	return slices.ContainsFunc(m.move.Remove, func(id table.NodeID) bool { return slices.Contains(now.Heard, id) })
}
