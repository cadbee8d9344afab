package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// attempt is one data request on its way to the node that serves it. It lives on
// the caller's stack.
type attempt struct {
	c     *Client
	table table.ID
	hash  uint64
	// reads may be repeated whatever became of them; strong ones and writes need
	// the leader.
	reads, strong bool
	// partition, when the caller chose one, is the only one that will do, with the
	// range that it had in the caller's map: that is epoch. With anyRange the
	// caller knows no range.
	partition table.PartitionID
	epoch     uint32
	anyRange  bool

	routes *tableRoutes
	way    *route
	at     int // index in way.nodes
	tries  int
	asked  int // replicas that did not serve, since the last hint
	wait   time.Duration
	// until is when to give up; set by the first failure.
	until time.Time
}

// next finds the node to ask now, and says in target what it is asked for.
func (a *attempt) next(ctx context.Context, target *regionnode.Target) (regionnode.Data, error) {
	if a.routes == nil {
		r, err := a.c.route(ctx, a.table)
		if err != nil {
			return nil, a.unroutable(ctx, err)
		}
		a.routes = r
		if err := a.aim(ctx); err != nil {
			return nil, err
		}
	}
	if a.partition == 0 {
		target.Partition, target.Range = a.way.id, a.way.rangeEpoch
	}
	return a.ask().data, nil
}

// aim picks the partition and the first node to ask.
func (a *attempt) aim(ctx context.Context) error {
	if !a.point(a.routes) {
		return a.moved(ctx, &regionnode.Stale{Partition: a.partition, Reason: "not in the partition map"})
	}
	return nil
}

// point aims by a map; false when that does not have what the caller chose.
func (a *attempt) point(routes *tableRoutes) bool {
	w := routes.find(a.hash)
	if a.partition != 0 {
		if w = routes.byID[a.partition]; w == nil || !a.anyRange && w.rangeEpoch != a.epoch {
			return false
		}
	}
	a.routes, a.way = routes, w
	a.at = int(w.leader.Load())
	if a.reads && !a.strong {
		for i, n := range w.nodes {
			if n.local {
				a.at = i
				break
			}
		}
	}
	return true
}

// served notes who answered, for the next request.
func (a *attempt) served() {
	a.tell(nil)
	if (!a.reads || a.strong) && int(a.way.leader.Load()) != a.at {
		a.way.leader.Store(int32(a.at))
	}
}

// failed decides what follows from a failure: nil to ask again (next knows
// where), or the error for the caller.
func (a *attempt) failed(ctx context.Context, err error) error {
	a.tell(err)
	if api := apierr.Of(err); api != nil {
		return err
	}
	if stale, ok := errors.AsType[*regionnode.Stale](err); ok {
		if err := a.moved(ctx, stale); err != nil {
			return err
		}
		return a.pauseAfter(ctx, err)
	}
	if !repeatable(err, a.reads) {
		return a.c.finalError(err, a.reads)
	}
	if moved, ok := errors.AsType[*regionnode.NotLeader](err); ok && a.lead(ctx, moved.Leader) {
		return a.pauseAfter(ctx, err)
	}
	a.at = (a.at + 1) % len(a.way.nodes)
	if a.asked++; a.asked%len(a.way.nodes) == 0 {
		a.refetch(ctx)
	}
	return a.pauseAfter(ctx, err)
}

// refetch fetches the partition map anew after no replica served the request:
// nodes may have come back elsewhere. Without an answer the old map must do.
func (a *attempt) refetch(ctx context.Context) {
	fresh, err := a.c.fetchRoutes(ctx, a.table, false)
	if err != nil || fresh == a.routes {
		return
	}
	was := a.way.nodes[a.at]
	old := a.way
	a.routes, a.way = fresh, nil
	if a.partition == 0 {
		a.way = fresh.find(a.hash)
	} else if a.way = fresh.byID[a.partition]; a.way == nil {
		a.way = old // its nodes will say that it is gone
		return
	}
	a.at = a.way.of(was.id, 0)
}

// lead goes to the leader that a replica names. One that the map does not know
// has become a member since: the map is fetched anew.
func (a *attempt) lead(ctx context.Context, leader table.NodeID) bool {
	if a.follow(leader) {
		return true
	}
	if leader == 0 || a.way.nodes[a.at].id == leader {
		return false
	}
	a.refetch(ctx)
	return a.follow(leader)
}

// follow goes to the node that a NotLeader names, if it holds a replica and is
// not the one that was just asked.
func (a *attempt) follow(leader table.NodeID) bool {
	for i, n := range a.way.nodes {
		if n.id == leader && i != a.at {
			a.at = i
			return true
		}
	}
	return false
}

// freeTries are the attempts before the first pause: a stale map or an old
// leader costs one each.
const freeTries = 2

// pauseAfter waits before the next attempt, or gives up with err.
func (a *attempt) pauseAfter(ctx context.Context, err error) error {
	now := time.Now()
	if a.until.IsZero() {
		a.until = now.Add(a.c.cfg.Patience)
	}
	a.tries++
	if now.After(a.until) {
		return a.c.finalError(fmt.Errorf("%d attempts: %w", a.tries, err), a.reads)
	}
	if a.tries > freeTries {
		a.wait = min(max(2*a.wait, minBackoff), maxBackoff)
		pause(ctx, a.wait)
	}
	if ctx.Err() != nil {
		return a.c.finalError(fmt.Errorf("%w: %w", ctx.Err(), err), a.reads)
	}
	return nil
}

// moved fetches the partition map anew after a Stale. A caller that chose the
// partition itself gets the Stale back if that map has it no more: it must choose
// again. A map that says what the old one did is about to change, as in the
// middle of a split, or a replica is behind: another one is asked then.
func (a *attempt) moved(ctx context.Context, stale *regionnode.Stale) error {
	fresh, err := a.c.fetchRoutes(ctx, a.table, true)
	if err != nil {
		return a.unroutable(ctx, err)
	}
	old, at := a.way, a.at
	if !a.point(fresh) {
		return stale
	}
	if old != nil && old.id == a.way.id && old.rangeEpoch == a.way.rangeEpoch {
		a.at = (a.way.of(old.nodes[at].id, a.at) + 1) % len(a.way.nodes)
	}
	return nil
}

// unroutable is what a request ends in whose table has no partitions. If the
// table's name has another table by now, the caller worked with an outdated
// descriptor, and learns that from a Stale; else the table is gone.
func (a *attempt) unroutable(ctx context.Context, err error) error {
	if !apierr.Is(err, apierr.ResourceNotFound) {
		return err
	}
	old := a.c.descriptors.byID(a.table)
	if old == nil {
		return err
	}
	d, described := a.c.DescribeTable(ctx, old.Name)
	if described == nil && d.ID != old.ID && (d.Status == table.Active || d.Status == table.Updating) {
		return &regionnode.Stale{Reason: fmt.Sprintf("table %s is a new one of that name", d.Name)}
	}
	return err
}
