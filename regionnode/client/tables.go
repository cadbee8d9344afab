package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/table"
)

// onTables calls f with the region's Tables: in this process, or on the nodes
// one after another until one answers. A call that got lost in the middle is
// repeated only if it reads.
func onTables[T any](ctx context.Context, c *Client, reads bool, f func(context.Context, regionnode.Tables) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Patience)
	defer cancel()
	for wait := minBackoff; ; wait = min(2*wait, maxBackoff) {
		v, err := tryTables(ctx, c, reads, f)
		if err == nil || !repeatable(err, reads) {
			return v, c.finalError(err, reads)
		}
		if pause(ctx, wait); ctx.Err() != nil {
			return v, c.finalError(err, reads)
		}
	}
}

// tryTables is one round over all nodes.
func tryTables[T any](ctx context.Context, c *Client, reads bool, f func(context.Context, regionnode.Tables) (T, error)) (v T, err error) {
	if c.cfg.LocalTables != nil {
		return f(ctx, c.cfg.LocalTables)
	}
	addrs := slices.Clone(c.cfg.Seeds)
	for _, a := range c.nodes.addrs() {
		if !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	for _, addr := range addrs {
		v, err = f(ctx, rpc.NewServiceClient(c.cfg.Pool, addr))
		if err == nil || !repeatable(err, reads) {
			break
		}
	}
	return v, err
}

// repeatable tells whether a call that failed with err may be made again: it was
// definitely not executed, or only reads and got lost.
func repeatable(err error, reads bool) bool {
	if rpc.NotExecuted(err) {
		return true
	}
	if !reads {
		return false
	}
	var lost *rpc.Unreachable
	var broken *rpc.RemoteError
	return errors.As(err, &lost) || errors.As(err, &broken)
}

// finalError is what the caller gets for err: an error of the API as it is, and
// of anything else that a request ended in, InternalServerError (I10).
func (c *Client) finalError(err error, reads bool) error {
	switch {
	case err == nil, apierr.Of(err) != nil:
		return err
	case reads && errors.Is(err, context.Canceled):
		return err
	}
	c.cfg.Log.Warn("a request ended without an answer", "error", err, "reads", reads)
	return fmt.Errorf("%w (%w)", apierr.Internal(), err)
}

// The pauses between attempts double from the one to the other.
const (
	minBackoff = time.Millisecond
	maxBackoff = 100 * time.Millisecond
)

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// CreateTable implements regionnode.Tables.
func (c *Client) CreateTable(ctx context.Context, r *regionnode.CreateTableRequest) (*table.Descriptor, error) {
	d, err := onTables(ctx, c, false, func(ctx context.Context, t regionnode.Tables) (*table.Descriptor, error) {
		return t.CreateTable(ctx, r)
	})
	c.descriptors.forget(r.Descriptor.Name)
	return d, err
}

// UpdateTable implements regionnode.Tables.
func (c *Client) UpdateTable(ctx context.Context, r *regionnode.UpdateTableRequest) (*table.Descriptor, error) {
	d, err := onTables(ctx, c, false, func(ctx context.Context, t regionnode.Tables) (*table.Descriptor, error) {
		return t.UpdateTable(ctx, r)
	})
	c.descriptors.forget(r.Descriptor.Name)
	return d, err
}

// DeleteTable implements regionnode.Tables.
func (c *Client) DeleteTable(ctx context.Context, name string) (*table.Descriptor, error) {
	d, err := onTables(ctx, c, false, func(ctx context.Context, t regionnode.Tables) (*table.Descriptor, error) {
		return t.DeleteTable(ctx, name)
	})
	c.descriptors.forget(name)
	return d, err
}

// DescribeTable implements regionnode.Tables. It always asks the region.
func (c *Client) DescribeTable(ctx context.Context, name string) (*table.Descriptor, error) {
	d, err := onTables(ctx, c, true, func(ctx context.Context, t regionnode.Tables) (*table.Descriptor, error) {
		return t.DescribeTable(ctx, name)
	})
	c.descriptors.learn(name, d, err)
	return d, err
}

// ListTables implements regionnode.Tables.
func (c *Client) ListTables(ctx context.Context, start string, limit int) (names []string, more bool, err error) {
	type page struct {
		names []string
		more  bool
	}
	p, err := onTables(ctx, c, true, func(ctx context.Context, t regionnode.Tables) (page, error) {
		names, more, err := t.ListTables(ctx, start, limit)
		return page{names, more}, err
	})
	return p.names, p.more, err
}

// Partitions implements regionnode.Tables from the cache: a caller whose request
// comes back Stale finds a newer map here.
func (c *Client) Partitions(ctx context.Context, id table.ID) (*regionnode.PartitionMap, error) {
	r, err := c.route(ctx, id)
	if err != nil {
		return nil, err
	}
	return r.m, nil
}
