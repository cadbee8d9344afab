package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/table"
)

// ClientConfig is what a Client is made of.
type ClientConfig struct {
	Pool *rpc.Pool
	// Local is this node's Catalog, nil where it holds no replica of the system
	// partition.
	Local Registry
	// Addrs are the addresses of nodes that may hold a replica, in any order; it is
	// called anew for each search of the leader.
	Addrs func() []string
	// Resolve finds a node's address; it may know none.
	Resolve func(id table.NodeID) (addr string, ok bool)
	// Patience bounds how long a call looks for a leader when its context sets no
	// deadline; default 10 s.
	Patience time.Duration
	// Log may be nil.
	Log *slog.Logger
}

// Client is a Registry that finds the catalog's leader: the node itself, or
// another one by rpc. It repeats what was definitely not done until its context
// ends; of a call that may have been done it reports the error (I10), except that
// it repeats reads.
type Client struct {
	cfg ClientConfig
	// leader is where the last call was answered: an address, "" for Local.
	leader atomic.Pointer[string]
}

// NewClient makes a client.
func NewClient(cfg ClientConfig) (*Client, error) {
	if cfg.Local == nil && cfg.Addrs == nil {
		return nil, errors.New("catalog client: Local or Addrs must be given")
	}
	if cfg.Addrs == nil {
		cfg.Addrs = func() []string { return nil }
	}
	if cfg.Resolve == nil {
		cfg.Resolve = func(table.NodeID) (string, bool) { return "", false }
	}
	if cfg.Patience == 0 {
		cfg.Patience = 10 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{cfg: cfg}, nil
}

// Follow runs one request where the catalog's leader is: local if that is this
// node (which must have a Local), or remote with the leader's address. With
// repeatable set, a call whose answer was lost on the way is made again.
func Follow[T any](ctx context.Context, c *Client, repeatable bool, local func(context.Context) (T, error), remote func(ctx context.Context, addr string) (T, error)) (T, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	try := func(at string) (T, error) {
		if at == "" {
			return local(ctx)
		}
		return remote(ctx, at)
	}
	var none T
	var last error
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		for _, at := range c.candidates() {
			v, err := try(at)
			for range maxHints {
				hinted, ok := c.hint(err, at)
				if !ok {
					break
				}
				at = hinted
				v, err = try(at)
			}
			if err == nil || !again(err, repeatable) {
				if err == nil {
					c.leader.Store(&at)
				}
				return v, err
			}
			last = err
			if ctx.Err() != nil {
				return none, last
			}
		}
		if last == nil {
			last = errors.New("no node of the catalog is known")
		}
		select {
		case <-ctx.Done():
			return none, fmt.Errorf("find the catalog's leader: %w", last)
		case <-time.After(wait):
		}
	}
}

// maxHints bounds how many NotLeader answers are followed before the other
// candidates are tried: hints may go in a circle during an election.
const maxHints = 3

// again tells whether a call may be sent once more: it was definitely not
// executed, or is repeatable and failed on the way.
func again(err error, repeatable bool) bool {
	if rpc.NotExecuted(err) {
		return true
	}
	var lost *rpc.Unreachable
	return repeatable && errors.As(err, &lost)
}

// hint is where a NotLeader points to, unless that is where it came from.
func (c *Client) hint(err error, from string) (string, bool) {
	var moved *regionnode.NotLeader
	if !errors.As(err, &moved) || moved.Leader == 0 {
		return "", false
	}
	addr, ok := c.cfg.Resolve(moved.Leader)
	return addr, ok && addr != from && addr != ""
}

// candidates are where a leader may be, the likeliest first; "" is Local.
func (c *Client) candidates() []string {
	var out []string
	if at := c.leader.Load(); at != nil {
		out = append(out, *at)
	}
	if c.cfg.Local != nil && !slices.Contains(out, "") {
		out = append(out, "")
	}
	for _, a := range c.cfg.Addrs() {
		if a != "" && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.cfg.Patience)
}

// ask is call for a request that is the same here and there.
func ask[Req, Resp any](ctx context.Context, c *Client, method string, repeatable bool, q *Req, local func(context.Context, Registry) (*Resp, error)) (*Resp, error) {
	return Follow(ctx, c, repeatable,
		func(ctx context.Context) (*Resp, error) { return local(ctx, c.cfg.Local) },
		func(ctx context.Context, addr string) (*Resp, error) {
			return rpc.Call[Req, Resp](ctx, c.cfg.Pool, addr, method, q)
		})
}

// askList is ask for lists.
func askList[T any](ctx context.Context, c *Client, method string, local func(Registry) func(context.Context) ([]T, error)) ([]T, error) {
	l, err := ask(ctx, c, method, true, &empty{}, func(ctx context.Context, r Registry) (*list[T], error) {
		rows, err := local(r)(ctx)
		return &list[T]{rows}, err
	})
	if err != nil {
		return nil, err
	}
	return l.Rows, nil
}

// CreateTable implements regionnode.Tables.
func (c *Client) CreateTable(ctx context.Context, q *regionnode.CreateTableRequest) (*table.Descriptor, error) {
	return ask(ctx, c, methodCreateTable, false, q, func(ctx context.Context, r Registry) (*table.Descriptor, error) { return r.CreateTable(ctx, q) })
}

// UpdateTable implements regionnode.Tables.
func (c *Client) UpdateTable(ctx context.Context, q *regionnode.UpdateTableRequest) (*table.Descriptor, error) {
	return ask(ctx, c, methodUpdateTable, false, q, func(ctx context.Context, r Registry) (*table.Descriptor, error) { return r.UpdateTable(ctx, q) })
}

// DescribeTable implements regionnode.Tables.
func (c *Client) DescribeTable(ctx context.Context, name string) (*table.Descriptor, error) {
	return ask(ctx, c, methodDescribeTable, true, &named{name}, func(ctx context.Context, r Registry) (*table.Descriptor, error) { return r.DescribeTable(ctx, name) })
}

// DeleteTable implements regionnode.Tables.
func (c *Client) DeleteTable(ctx context.Context, name string) (*table.Descriptor, error) {
	return ask(ctx, c, methodDeleteTable, false, &named{name}, func(ctx context.Context, r Registry) (*table.Descriptor, error) { return r.DeleteTable(ctx, name) })
}

// ListTables implements regionnode.Tables.
func (c *Client) ListTables(ctx context.Context, start string, limit int) (names []string, more bool, err error) {
	l, err := ask(ctx, c, methodListTables, true, &listTables{start, limit}, func(ctx context.Context, r Registry) (*tableNames, error) {
		names, more, err := r.ListTables(ctx, start, limit)
		return &tableNames{names, more}, err
	})
	if err != nil {
		return nil, false, err
	}
	return l.Names, l.More, nil
}

// Partitions implements regionnode.Tables.
func (c *Client) Partitions(ctx context.Context, id table.ID) (*regionnode.PartitionMap, error) {
	return ask(ctx, c, methodPartitions, true, &numbered{id}, func(ctx context.Context, r Registry) (*regionnode.PartitionMap, error) { return r.Partitions(ctx, id) })
}

// TableByID implements Registry.
func (c *Client) TableByID(ctx context.Context, id table.ID) (*table.Descriptor, error) {
	return ask(ctx, c, methodTableByID, true, &numbered{id}, func(ctx context.Context, r Registry) (*table.Descriptor, error) { return r.TableByID(ctx, id) })
}

// Descriptors implements Registry.
func (c *Client) Descriptors(ctx context.Context) ([]*table.Descriptor, error) {
	return askList(ctx, c, methodDescriptors, func(r Registry) func(context.Context) ([]*table.Descriptor, error) { return r.Descriptors })
}

// RegisterNode implements Registry. It may be repeated: an id that a new disk was
// given and did not hear of is replaced, and an epoch counted twice only skipped.
func (c *Client) RegisterNode(ctx context.Context, n Node) (Node, error) {
	made, err := ask(ctx, c, methodRegisterNode, true, &n, func(ctx context.Context, r Registry) (*Node, error) {
		made, err := r.RegisterNode(ctx, n)
		return &made, err
	})
	if err != nil {
		return Node{}, err
	}
	return *made, nil
}

// DrainNode implements Registry.
func (c *Client) DrainNode(ctx context.Context, id table.NodeID, draining bool) error {
	return done(ctx, c, methodDrainNode, &drainNode{id, draining}, func(ctx context.Context, r Registry) error { return r.DrainNode(ctx, id, draining) })
}

// done is ask for a change that sets a row to a value, so that it may be
// repeated, and answers nothing.
func done[Req any](ctx context.Context, c *Client, method string, q *Req, local func(context.Context, Registry) error) error {
	_, err := ask(ctx, c, method, true, q, func(ctx context.Context, r Registry) (*empty, error) { return &empty{}, local(ctx, r) })
	return err
}

// Nodes implements Registry.
func (c *Client) Nodes(ctx context.Context) ([]Node, error) {
	return askList(ctx, c, methodNodes, func(r Registry) func(context.Context) ([]Node, error) { return r.Nodes })
}

// SetPeer implements Registry.
func (c *Client) SetPeer(ctx context.Context, p Peer) error {
	return done(ctx, c, methodSetPeer, &p, func(ctx context.Context, r Registry) error { return r.SetPeer(ctx, p) })
}

// RemovePeer implements Registry.
func (c *Client) RemovePeer(ctx context.Context, region string) error {
	return done(ctx, c, methodRemovePeer, &named{region}, func(ctx context.Context, r Registry) error { return r.RemovePeer(ctx, region) })
}

// Peers implements Registry.
func (c *Client) Peers(ctx context.Context) ([]Peer, error) {
	return askList(ctx, c, methodPeers, func(r Registry) func(context.Context) ([]Peer, error) { return r.Peers })
}

// PutAccessKey implements Registry.
func (c *Client) PutAccessKey(ctx context.Context, k AccessKey) error {
	return done(ctx, c, methodPutAccessKey, &k, func(ctx context.Context, r Registry) error { return r.PutAccessKey(ctx, k) })
}

// DeleteAccessKey implements Registry.
func (c *Client) DeleteAccessKey(ctx context.Context, id string) error {
	return done(ctx, c, methodDeleteAccessKey, &named{id}, func(ctx context.Context, r Registry) error { return r.DeleteAccessKey(ctx, id) })
}

// AccessKeys implements Registry.
func (c *Client) AccessKeys(ctx context.Context) ([]AccessKey, error) {
	return askList(ctx, c, methodAccessKeys, func(r Registry) func(context.Context) ([]AccessKey, error) { return r.AccessKeys })
}

// Jobs implements Registry.
func (c *Client) Jobs(ctx context.Context) ([]Job, error) {
	return askList(ctx, c, methodJobs, func(r Registry) func(context.Context) ([]Job, error) { return r.Jobs })
}

var (
	_ Registry = (*Catalog)(nil)
	_ Registry = (*Client)(nil)
)
