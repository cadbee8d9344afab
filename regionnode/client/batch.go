package client

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// BatchGet implements regionnode.Data: it sends each partition its keys, all at
// once, and puts the answers in order. It answers all keys or none.
func (c *Client) BatchGet(ctx context.Context, r *regionnode.BatchGetRequest) (*regionnode.BatchGetResponse, error) {
	out := &regionnode.BatchGetResponse{Items: make([]regionnode.GetResponse, len(r.Keys))}
	b := newBatch(c, r.Target.Table, len(r.Keys), func(i int) []byte { return r.Keys[i] })
	b.reads, b.strong = true, r.Consistent
	b.unserved = func([]int) error { return apierr.Internal() }
	err := b.run(ctx, func(ctx context.Context, n regionnode.Data, target regionnode.Target, at []int) ([]int, error) {
		q := *r
		q.Target, q.Keys = target, pick(r.Keys, at)
		resp, err := n.BatchGet(ctx, &q)
		if err != nil {
			return nil, err
		}
		return nil, place(out.Items, resp.Items, at)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// errShort is a node's answer with another number of elements than asked for.
var errShort = errors.New("client: a batch came back with another length")

// BatchWrite implements regionnode.Data: as BatchGet, but each write has its own
// outcome. What was definitely not written is sent again for a while, and then
// reported as such; what nobody knows of is an InternalServerError (I10).
func (c *Client) BatchWrite(ctx context.Context, r *regionnode.BatchWriteRequest) (*regionnode.BatchWriteResponse, error) {
	out := &regionnode.BatchWriteResponse{Results: make([]regionnode.WriteResult, len(r.Writes))}
	b := newBatch(c, r.Target.Table, len(r.Writes), func(i int) []byte { return r.Writes[i].Key })
	b.lost = func(at []int, err error) {
		for _, k := range at {
			out.Results[k].Error = &regionnode.WriteError{API: outcome(err)}
		}
	}
	b.unserved = func(at []int) error {
		for _, k := range at {
			if e := out.Results[k].Error; e == nil {
				out.Results[k].Error = &regionnode.WriteError{Retry: "no node serves the partition"}
			}
		}
		return nil
	}
	err := b.run(ctx, func(ctx context.Context, n regionnode.Data, target regionnode.Target, at []int) ([]int, error) {
		resp, err := n.BatchWrite(ctx, &regionnode.BatchWriteRequest{Target: target, Writes: pick(r.Writes, at)})
		if err != nil {
			return nil, err
		}
		if err := place(out.Results, resp.Results, at); err != nil {
			return nil, err
		}
		var again []int
		for i, k := range at {
			if e := resp.Results[i].Error; e != nil && e.API == nil {
				again = append(again, k)
			}
		}
		return again, nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// outcome is the error of the API in err, or the InternalServerError that stands
// for it.
func outcome(err error) *apierr.Error {
	if api := apierr.Of(err); api != nil {
		return api
	}
	return apierr.Internal()
}

// batch is many requests on their way to the partitions of one table.
type batch struct {
	c             *Client
	table         table.ID
	n             int
	key           func(int) []byte
	reads, strong bool
	// lost books requests whose outcome is err; nil when that fails the whole
	// batch. So does unserved for requests that nobody served.
	lost     func(at []int, err error)
	unserved func(at []int) error
}

func newBatch(c *Client, id table.ID, n int, key func(int) []byte) *batch {
	return &batch{c: c, table: id, n: n, key: key}
}

// pick is the elements at the given places, which are ascending and distinct.
func pick[T any](all []T, at []int) []T {
	if len(at) == len(all) {
		return all
	}
	out := make([]T, len(at))
	for i, k := range at {
		out[i] = all[k]
	}
	return out
}

// place is the way back from pick.
func place[T any](all, part []T, at []int) error {
	if len(part) != len(at) {
		return errShort
	}
	for i, k := range at {
		all[k] = part[i]
	}
	return nil
}

// send makes one call for the requests at the given places, and returns those
// that were definitely not served.
type send func(ctx context.Context, n regionnode.Data, target regionnode.Target, at []int) (again []int, err error)

// run sends all requests, grouped by partition, until each has an outcome or
// patience ends.
func (b *batch) run(ctx context.Context, call send) error {
	pending := make([]int, b.n)
	for i := range pending {
		pending[i] = i
	}
	until := time.Now().Add(b.c.cfg.Patience)
	for wait := minBackoff; ; wait = min(2*wait, maxBackoff) {
		again, err := b.round(ctx, pending, call)
		if err != nil || len(again) == 0 {
			return err
		}
		if pause(ctx, wait); time.Now().After(until) || ctx.Err() != nil {
			return b.unserved(again)
		}
		pending = again
	}
}

// round sends each partition its part once (a part that was not executed at all
// is sent again by its attempt), and returns what is to be sent again.
func (b *batch) round(ctx context.Context, pending []int, call send) ([]int, error) {
	routes, err := b.c.route(ctx, b.table)
	if err != nil {
		a := attempt{c: b.c, table: b.table}
		return nil, a.unroutable(ctx, err)
	}
	groups := b.group(routes, pending)
	if len(groups) == 1 {
		return b.part(ctx, routes, &groups[0], call)
	}
	left, errs := make([][]int, len(groups)), make([]error, len(groups))
	var parts sync.WaitGroup
	for i := range groups {
		parts.Go(func() { left[i], errs[i] = b.part(ctx, routes, &groups[i], call) })
	}
	parts.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	again := slices.Concat(left...)
	slices.Sort(again)
	return again, nil
}

// group is the requests for one partition.
type group struct {
	way *route
	at  []int
}

// group sorts requests by partition. Mostly there is one.
func (b *batch) group(routes *tableRoutes, pending []int) []group {
	var groups []group
	index := map[*route]int{}
	for n, k := range pending {
		way := routes.find(table.Hash(b.key(k)))
		if groups == nil {
			groups = []group{{way, pending[:0:0]}}
		}
		if len(groups) == 1 && way == groups[0].way {
			groups[0].at = pending[: n+1 : n+1]
			continue
		}
		index[groups[0].way] = 0
		i, ok := index[way]
		if !ok {
			i, index[way] = len(groups), len(groups)
			groups = append(groups, group{way: way})
		}
		groups[i].at = append(groups[i].at, k)
	}
	return groups
}

// part sends one partition its requests. Behind a Stale they are grouped anew.
func (b *batch) part(ctx context.Context, routes *tableRoutes, g *group, call send) ([]int, error) {
	w, at := g.way, g.at
	a := attempt{c: b.c, table: b.table, reads: b.reads, strong: b.strong, routes: routes, partition: w.id, epoch: w.rangeEpoch}
	if err := a.aim(ctx); err != nil {
		return nil, err
	}
	target := regionnode.Target{Table: b.table, Partition: w.id, Range: w.rangeEpoch}
	for {
		n, err := a.next(ctx, &target)
		if err != nil {
			return nil, err
		}
		again, err := call(ctx, n, target, at)
		if err == nil {
			a.served()
			return again, nil
		}
		failure := a.failed(ctx, err)
		if failure == nil {
			continue
		}
		if _, stale := errors.AsType[*regionnode.Stale](failure); stale {
			return at, nil
		}
		if b.lost == nil || apierr.Is(failure, apierr.ResourceNotFound) {
			return nil, failure
		}
		b.lost(at, failure)
		return nil, nil
	}
}
