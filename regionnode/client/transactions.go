package client

import (
	"context"
	"errors"
	"sync"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
	"antipode/replication/hlc"
)

var (
	_ regionnode.Transactions = (*Client)(nil)
	_ regionnode.Participants = (*Client)(nil)
)

var errNoTransactions = errors.New("node has no transactions")

// TransactWrite implements regionnode.Transactions: the node that leads the
// first item's partition coordinates, because it is likely to lead others. A
// request with a Token is sent again also when its outcome is unknown.
func (c *Client) TransactWrite(ctx context.Context, r *regionnode.TransactWriteRequest) (*regionnode.TransactWriteResponse, error) {
	first := &r.Writes[0]
	return onCoordinator(ctx, c, first.Table, first.Write.Key, r.Token != "", func(t regionnode.Transactions) (*regionnode.TransactWriteResponse, error) {
		return t.TransactWrite(ctx, r)
	})
}

// TransactGet implements regionnode.Transactions, as TransactWrite does.
func (c *Client) TransactGet(ctx context.Context, r *regionnode.TransactGetRequest) (*regionnode.TransactGetResponse, error) {
	first := &r.Reads[0]
	return onCoordinator(ctx, c, first.Table, first.Key, true, func(t regionnode.Transactions) (*regionnode.TransactGetResponse, error) {
		return t.TransactGet(ctx, r)
	})
}

// onCoordinator calls f with a node that is near a key; repeatable calls may be
// made twice.
func onCoordinator[T any](ctx context.Context, c *Client, id table.ID, key []byte, repeatable bool, f func(regionnode.Transactions) (T, error)) (T, error) {
	var none T
	a := attempt{c: c, table: id, hash: table.Hash(key), reads: repeatable, strong: true}
	var target regionnode.Target
	for {
		n, err := a.next(ctx, &target)
		if err != nil {
			return none, err
		}
		t, ok := n.(regionnode.Transactions)
		if !ok {
			return none, c.finalError(errNoTransactions, true)
		}
		resp, err := f(t)
		if err == nil {
			a.tell(nil)
			return resp, nil
		}
		if err := a.failed(ctx, err); err != nil {
			return none, err
		}
	}
}

// participants makes a batch of calls to the partitions of one table, all of
// which may be repeated.
func (c *Client) participants(id table.ID, n int, key func(int) []byte) *batch {
	b := newBatch(c, id, n, key)
	b.reads, b.strong = true, true
	b.unserved = func([]int) error { return apierr.Internal() }
	return b
}

// Prepare implements regionnode.Participants: it asks each partition for its
// part, all at once.
func (c *Client) Prepare(ctx context.Context, r *regionnode.PrepareRequest) (*regionnode.PrepareResponse, error) {
	out := &regionnode.PrepareResponse{Votes: make([]regionnode.Vote, len(r.Writes))}
	var mu sync.Mutex
	err := c.participants(r.Target.Table, len(r.Writes), func(i int) []byte { return r.Writes[i].Key }).run(ctx,
		func(ctx context.Context, n regionnode.Data, target regionnode.Target, at []int) ([]int, error) {
			p, ok := n.(regionnode.Participants)
			if !ok {
				return nil, errNoTransactions
			}
			q := *r
			q.Target, q.Writes = target, make([]regionnode.Write, len(at))
			for i, k := range at {
				q.Writes[i] = r.Writes[k]
			}
			resp, err := p.Prepare(ctx, &q)
			if err != nil {
				return nil, err
			}
			if len(resp.Votes) != len(at) {
				return nil, errShort
			}
			for i, k := range at {
				out.Votes[k] = resp.Votes[i]
			}
			mu.Lock()
			defer mu.Unlock()
			out.Clock = later(out.Clock, resp.Clock)
			return nil, nil
		})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func later(a, b hlc.Timestamp) hlc.Timestamp {
	if a.Less(b) {
		return b
	}
	return a
}

// Finish implements regionnode.Participants, as Prepare does.
func (c *Client) Finish(ctx context.Context, r *regionnode.FinishRequest) (*regionnode.FinishResponse, error) {
	out := &regionnode.FinishResponse{Collections: make([]int64, len(r.Keys))}
	err := c.participants(r.Target.Table, len(r.Keys), func(i int) []byte { return r.Keys[i] }).run(ctx,
		func(ctx context.Context, n regionnode.Data, target regionnode.Target, at []int) ([]int, error) {
			p, ok := n.(regionnode.Participants)
			if !ok {
				return nil, errNoTransactions
			}
			q := *r
			q.Target, q.Keys = target, pick(r.Keys, at)
			resp, err := p.Finish(ctx, &q)
			if err != nil {
				return nil, err
			}
			if len(resp.Collections) != len(at) {
				return nil, errShort
			}
			for i, k := range at {
				out.Collections[k] = resp.Collections[i]
			}
			return nil, nil
		})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ReadMarked implements regionnode.Participants, as Prepare does.
func (c *Client) ReadMarked(ctx context.Context, r *regionnode.ReadMarkedRequest) (*regionnode.ReadMarkedResponse, error) {
	out := &regionnode.ReadMarkedResponse{Items: make([]regionnode.MarkedItem, len(r.Keys))}
	err := c.participants(r.Target.Table, len(r.Keys), func(i int) []byte { return r.Keys[i] }).run(ctx,
		func(ctx context.Context, n regionnode.Data, target regionnode.Target, at []int) ([]int, error) {
			p, ok := n.(regionnode.Participants)
			if !ok {
				return nil, errNoTransactions
			}
			q := *r
			q.Target, q.Keys = target, pick(r.Keys, at)
			if len(r.Projections) > 0 {
				q.Projections = pick(r.Projections, at)
			}
			resp, err := p.ReadMarked(ctx, &q)
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

// pick is the elements at the given places.
func pick[T any](all []T, at []int) []T {
	out := make([]T, len(at))
	for i, k := range at {
		out[i] = all[k]
	}
	return out
}
