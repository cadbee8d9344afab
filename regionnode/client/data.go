package client

import (
	"context"

	"antipode/regionnode"
	"antipode/regionnode/table"
)

// Get implements regionnode.Data. It fills in r's partition.
func (c *Client) Get(ctx context.Context, r *regionnode.GetRequest) (*regionnode.GetResponse, error) {
	a := attempt{c: c, table: r.Target.Table, hash: table.Hash(r.Key), reads: true, strong: r.Consistent}
	for {
		n, err := a.next(ctx, &r.Target)
		if err != nil {
			return nil, err
		}
		resp, err := n.Get(ctx, r)
		if err == nil {
			a.served()
			return resp, nil
		}
		if err := a.failed(ctx, err); err != nil {
			return nil, err
		}
	}
}

// Write implements regionnode.Data. It fills in r's partition. It repeats a
// write only when that was definitely not applied (I10).
func (c *Client) Write(ctx context.Context, r *regionnode.WriteRequest) (*regionnode.WriteResponse, error) {
	a := attempt{c: c, table: r.Target.Table, hash: table.Hash(r.Write.Key)}
	for {
		n, err := a.next(ctx, &r.Target)
		if err != nil {
			return nil, err
		}
		resp, err := n.Write(ctx, r)
		if err == nil {
			a.served()
			return resp, nil
		}
		if err := a.failed(ctx, err); err != nil {
			return nil, err
		}
	}
}

// Range implements regionnode.Data. A request that names no partition goes to
// the one that holds After, or else Low; one that names a partition, and the
// range that it had, comes back as *regionnode.Stale once Partitions knows better.
func (c *Client) Range(ctx context.Context, r *regionnode.RangeRequest) (*regionnode.RangeResponse, error) {
	from := r.Low
	if r.After != nil {
		from = r.After
	}
	q := *r
	a := attempt{c: c, table: r.Target.Table, hash: table.Hash(from), reads: true, strong: r.Consistent, partition: r.Target.Partition, epoch: r.Target.Range}
	for {
		n, err := a.next(ctx, &q.Target)
		if err != nil {
			return nil, err
		}
		resp, err := n.Range(ctx, &q)
		if err == nil {
			a.served()
			return resp, nil
		}
		if err := a.failed(ctx, err); err != nil {
			return nil, err
		}
	}
}
