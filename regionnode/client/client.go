package client

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"antipode/regionnode"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/table"
)

// Config is what a Client is made of. Seeds or LocalTables must be given.
type Config struct {
	// Seeds are rpc addresses of some nodes of the region.
	Seeds []string
	// Pool is shared with others; nil makes one of the client's own from the three
	// fields below, which Close closes.
	Pool *rpc.Pool
	// Cluster and Region are what nodes must agree to be; empty is not checked.
	Cluster, Region string
	// TLS secures connections; nil is plain TCP.
	TLS *tls.Config

	// Local finds nodes in this process: calls to them need no rpc. May be nil.
	Local func(table.NodeID) (regionnode.Data, bool)
	// LocalTables answers for the region's tables in this process, instead of the
	// seeds. May be nil.
	LocalTables regionnode.Tables

	// Refresh is how often what is in use is fetched anew; default 250 ms for
	// descriptors, eight times that for partition maps. Below 0 nothing is
	// refreshed but by calls of the client's own.
	Refresh time.Duration
	// Silence is how long a node that owes answers may be silent before it is given
	// up; default 9 s. It is the client's own Pool's.
	Silence time.Duration
	// Patience bounds how long a request is repeated while nothing serves it;
	// default 5 s.
	Patience time.Duration
	// Log may be nil.
	Log *slog.Logger
}

// ReplicatedSilence is Config.Silence for regions whose partitions have several
// replicas: another node takes over in about that time.
const ReplicatedSilence = 750 * time.Millisecond

// Client is a regionnode.Service for a whole region. It is safe for concurrent
// use.
type Client struct {
	cfg     Config
	ownPool bool

	descriptors descriptorCache
	routes      routeCache
	nodes       nodeTable
	flights     singleflight.Group

	ctx    context.Context
	cancel context.CancelFunc
	// background counts the refresher and what it started.
	background sync.WaitGroup
}

var _ regionnode.Service = (*Client)(nil)

// New makes a client. It connects to nothing before the first request.
func New(cfg Config) (*Client, error) {
	if len(cfg.Seeds) == 0 && cfg.LocalTables == nil {
		return nil, errors.New("client: Seeds or LocalTables must be given")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Refresh == 0 {
		cfg.Refresh = 250 * time.Millisecond
	}
	if cfg.Patience == 0 {
		cfg.Patience = 5 * time.Second
	}
	if cfg.Local == nil {
		cfg.Local = func(table.NodeID) (regionnode.Data, bool) { return nil, false }
	}
	c := &Client{cfg: cfg}
	if cfg.Pool == nil {
		c.ownPool = true
		c.cfg.Pool = rpc.NewPool(rpc.Config{
			Self: rpc.Identity{Cluster: cfg.Cluster, Region: cfg.Region}, TLS: cfg.TLS, Log: cfg.Log,
			KeepAlive: cfg.Silence / 3, DialTimeout: cfg.Silence / 2,
		})
	}
	c.descriptors.init()
	c.routes.init()
	c.nodes.init(c)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if cfg.Refresh > 0 {
		c.background.Go(c.refreshForever)
	}
	return c, nil
}

// Close ends what the client runs in the background. Requests under way are not
// waited for.
func (c *Client) Close() error {
	c.cancel()
	c.background.Wait()
	if c.ownPool {
		c.cfg.Pool.Close()
	}
	return nil
}

// routesEvery is how many refreshes of descriptors pass for one of partition
// maps.
const routesEvery = 8

// refreshForever refreshes what was used since the last time, at a constant
// rate, so that nodes see the same load whether caches are cold or warm.
func (c *Client) refreshForever() {
	tick := time.NewTicker(c.cfg.Refresh)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		c.refreshDescriptors()
		if n%routesEvery == 0 {
			c.refreshRoutes()
		}
	}
}

// maxConcurrentRefreshes bounds what one refresh asks of the region at once.
const maxConcurrentRefreshes = 8

// eachUsed calls f for keys, a few at a time, and waits.
func eachUsed[K any](keys []K, f func(K)) {
	next := make(chan K)
	var workers sync.WaitGroup
	for range min(len(keys), maxConcurrentRefreshes) {
		workers.Go(func() {
			for k := range next {
				f(k)
			}
		})
	}
	for _, k := range keys {
		next <- k
	}
	close(next)
	workers.Wait()
}

// nodeTable hands out one node for each id and address.
type nodeTable struct {
	c     *Client
	mu    sync.Mutex
	nodes map[nodeKey]*node
}

type nodeKey struct {
	id   table.NodeID
	addr string
}

// node is where data requests go.
type node struct {
	id    table.NodeID
	data  regionnode.Data
	local bool

	health health
}

func (t *nodeTable) init(c *Client) { t.c, t.nodes = c, map[nodeKey]*node{} }

func (t *nodeTable) of(h regionnode.Holder) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := nodeKey{h.Node, h.Addr}
	if n := t.nodes[key]; n != nil {
		return n
	}
	n := &node{id: h.Node}
	if n.data, n.local = t.c.cfg.Local(h.Node); !n.local {
		n.data = rpc.NewServiceClient(t.c.cfg.Pool, h.Addr)
	}
	t.nodes[key] = n
	return n
}

// addrs are the addresses of all nodes that were ever routed to.
func (t *nodeTable) addrs() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []string
	for k, n := range t.nodes {
		if !n.local && k.addr != "" && !slices.Contains(out, k.addr) {
			out = append(out, k.addr)
		}
	}
	slices.Sort(out)
	return out
}
