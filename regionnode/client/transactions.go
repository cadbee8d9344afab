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

// onParticipants calls the partitions of one table for n keys, each with the
// places of its own, all at once. All calls may be repeated.
func (c *Client) onParticipants(ctx context.Context, id table.ID, n int, key func(int) []byte,
	call func(ctx context.Context, p regionnode.Participants, target regionnode.Target, at []int) error,
) error {
	b := newBatch(c, id, n, key)
	b.reads, b.strong = true, true
	b.unserved = func([]int) error { return apierr.Internal() }
	return b.run(ctx, func(ctx context.Context, n regionnode.Data, target regionnode.Target, at []int) ([]int, error) {
		p, ok := n.(regionnode.Participants)
		if !ok {
			return nil, errNoTransactions
		}
		return nil, call(ctx, p, target, at)
	})
}

// Prepare implements regionnode.Participants: it asks each partition for its
// part, all at once.
func (c *Client) Prepare(ctx context.Context, r *regionnode.PrepareRequest) (*regionnode.PrepareResponse, error) {
	if r.AtOnce {
		return c.doAtOnce(ctx, r)
	}
	out := &regionnode.PrepareResponse{Votes: make([]regionnode.Vote, len(r.Writes))}
	var mu sync.Mutex
	err := c.onParticipants(ctx, r.Target.Table, len(r.Writes), func(i int) []byte { return r.Writes[i].Key },
		func(ctx context.Context, p regionnode.Participants, target regionnode.Target, at []int) error {
			q := *r
			q.Target, q.Writes = target, pick(r.Writes, at)
			resp, err := p.Prepare(ctx, &q)
			if err != nil {
				return err
			}
			mu.Lock()
			out.Clock = later(out.Clock, resp.Clock)
			mu.Unlock()
			return place(out.Votes, resp.Votes, at)
		})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// doAtOnce asks one partition to do the transaction, if it holds all items;
// otherwise nothing is done.
func (c *Client) doAtOnce(ctx context.Context, r *regionnode.PrepareRequest) (*regionnode.PrepareResponse, error) {
	first := r.Writes[0].Key
	a := attempt{c: c, table: r.Target.Table, hash: table.Hash(first)}
	q := *r
	for {
		n, err := a.next(ctx, &q.Target)
		if err != nil {
			return nil, err
		}
		p, ok := n.(regionnode.Participants)
		if !ok {
			return nil, errNoTransactions
		}
		for i := range r.Writes {
			if a.routes.find(table.Hash(r.Writes[i].Key)) != a.way {
				return &regionnode.PrepareResponse{Votes: make([]regionnode.Vote, len(r.Writes))}, nil
			}
		}
		resp, err := p.Prepare(ctx, &q)
		if err == nil {
			a.served()
			if len(resp.Votes) != len(r.Writes) {
				return nil, errShort
			}
			return resp, nil
		}
		if err := a.failed(ctx, err); err != nil {
			return nil, err
		}
	}
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
	err := c.onParticipants(ctx, r.Target.Table, len(r.Keys), func(i int) []byte { return r.Keys[i] },
		func(ctx context.Context, p regionnode.Participants, target regionnode.Target, at []int) error {
			q := *r
			q.Target, q.Keys = target, pick(r.Keys, at)
			resp, err := p.Finish(ctx, &q)
			if err != nil {
				return err
			}
			return place(out.Collections, resp.Collections, at)
		})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Settle implements regionnode.Participants: it asks the partition that has the
// key now.
func (c *Client) Settle(ctx context.Context, r *regionnode.SettleRequest) (*regionnode.SettleResponse, error) {
	a := attempt{c: c, table: r.Target.Table, hash: table.Hash(r.Key), reads: true, strong: true}
	q := *r
	for {
		n, err := a.next(ctx, &q.Target)
		if err != nil {
			return nil, err
		}
		p, ok := n.(regionnode.Participants)
		if !ok {
			return nil, errNoTransactions
		}
		resp, err := p.Settle(ctx, &q)
		if err == nil {
			a.served()
			return resp, nil
		}
		if err := a.failed(ctx, err); err != nil {
			return nil, err
		}
	}
}

// ReadMarked implements regionnode.Participants, as Prepare does.
func (c *Client) ReadMarked(ctx context.Context, r *regionnode.ReadMarkedRequest) (*regionnode.ReadMarkedResponse, error) {
	out := &regionnode.ReadMarkedResponse{Items: make([]regionnode.MarkedItem, len(r.Keys))}
	err := c.onParticipants(ctx, r.Target.Table, len(r.Keys), func(i int) []byte { return r.Keys[i] },
		func(ctx context.Context, p regionnode.Participants, target regionnode.Target, at []int) error {
			q := *r
			q.Target, q.Keys = target, pick(r.Keys, at)
			if len(r.Projections) > 0 {
				q.Projections = pick(r.Projections, at)
			}
			resp, err := p.ReadMarked(ctx, &q)
			if err != nil {
				return err
			}
			return place(out.Items, resp.Items, at)
		})
	if err != nil {
		return nil, err
	}
	return out, nil
}
