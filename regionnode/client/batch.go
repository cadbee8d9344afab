package client

import (
	"context"
	"errors"
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
		q.Target, q.Keys = target, make([][]byte, len(at))
		for i, k := range at {
			q.Keys[i] = r.Keys[k]
		}
		resp, err := n.BatchGet(ctx, &q)
		if err != nil {
			return nil, err
		}
		if len(resp.Items) != len(at) {
			return nil, errShort
		}
		for i, k := range at {
			out.Items[k] = resp.Items[i]
		}
		return nil, nil
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
		q := regionnode.BatchWriteRequest{Target: target, Writes: make([]regionnode.Write, len(at))}
		for i, k := range at {
			q.Writes[i] = r.Writes[k]
		}
		resp, err := n.BatchWrite(ctx, &q)
		if err != nil {
			return nil, err
		}
		if len(resp.Results) != len(at) {
			return nil, errShort
		}
		var again []int
		for i, k := range at {
			out.Results[k] = resp.Results[i]
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
	hashes        []uint64
	reads, strong bool
	// lost books requests whose outcome is err; nil when that fails the whole
	// batch. So does unserved for requests that nobody served.
	lost     func(at []int, err error)
	unserved func(at []int) error
}

func newBatch(c *Client, id table.ID, n int, key func(int) []byte) *batch {
	b := &batch{c: c, table: id, hashes: make([]uint64, n)}
	for i := range b.hashes {
		b.hashes[i] = table.Hash(key(i))
	}
	return b
}

// send makes one call for the requests at the given places, and returns those
// that were definitely not served.
type send func(ctx context.Context, n regionnode.Data, target regionnode.Target, at []int) (again []int, err error)

// run sends all requests, grouped by partition, until each has an outcome or
// patience ends.
func (b *batch) run(ctx context.Context, call send) error {
	pending := make([]int, len(b.hashes))
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
	groups := map[*route][]int{}
	for _, k := range pending {
		w := routes.find(b.hashes[k])
		groups[w] = append(groups[w], k)
	}
	var mu sync.Mutex
	var again []int
	var failure error
	var parts sync.WaitGroup
	for w, at := range groups {
		part := func() {
			left, err := b.part(ctx, routes, w, at, call)
			mu.Lock()
			defer mu.Unlock()
			again = append(again, left...)
			if err != nil && failure == nil {
				failure = err
			}
		}
		if len(groups) == 1 {
			part()
		} else {
			parts.Go(part)
		}
	}
	parts.Wait()
	return again, failure
}

// part sends one partition its requests. Behind a Stale they are grouped anew.
func (b *batch) part(ctx context.Context, routes *tableRoutes, w *route, at []int, call send) ([]int, error) {
	a := attempt{c: b.c, table: b.table, reads: b.reads, strong: b.strong, routes: routes, partition: w.id}
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
