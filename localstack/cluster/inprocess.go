package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"

	"antipode/functions"
	"antipode/regionnode/client"
	"antipode/regionnode/node"
	"antipode/replication"
)

// cacheBytes bounds the block cache that all nodes of a process share. Memtables
// under load come out of the same bound; an idle process uses little of it.
const cacheBytes = 512 << 20

// startInProcess runs every node and every region's functions as goroutines.
func (c *Cluster) startInProcess(ctx context.Context, plan *layout, d *doors) error {
	cache := pebble.NewCache(cacheBytes)
	c.closers = append(c.closers, func() error { cache.Unref(); return nil })
	regions := map[string]functions.Backend{}
	started := make(chan startedRegion, len(c.config.Regions))
	for _, region := range c.config.Regions {
		go func() { started <- c.startRegion(ctx, plan, region, cache) }()
	}
	byName := map[string]startedRegion{}
	var failure error
	for range c.config.Regions {
		r := <-started
		c.closers = append(c.closers, r.close)
		byName[r.name] = r
		if failure == nil {
			failure = r.err
		}
	}
	if failure != nil {
		return failure
	}
	for i, region := range c.config.Regions {
		r := byName[region]
		backend, err := node.NewClient(r.nodes...)
		if err != nil {
			return fmt.Errorf("functions of %s: %w", region, err)
		}
		c.closers = append(c.closers, backend.Close)
		regions[region] = backend
		c.addRegion(RegionInfo{
			Region: region, Endpoint: "http://" + d.ports[i], PID: os.Getpid(), Nodes: r.info,
		})
	}
	c.openDoors(d, regions)
	return nil
}

// openDoors serves the shared port and each region's own from this process.
func (c *Cluster) openDoors(d *doors, regions map[string]functions.Backend) {
	for i, l := range d.regions {
		own := c.edge(regions)
		own.Region = c.config.Regions[i]
		c.serve(l, functions.New(own))
	}
	c.serveShared(d, regions)
}

func (c *Cluster) serveShared(d *doors, regions map[string]functions.Backend) {
	c.serve(d.shared, functions.New(c.edge(regions)))
}

func (c *Cluster) edge(regions map[string]functions.Backend) functions.Config {
	edge := functions.Config{Regions: regions, Partitions: c.config.Partitions, Logger: c.config.Log}
	if len(c.config.Credentials) > 0 {
		edge.Credentials = functions.StaticCredentials(c.config.Credentials)
	}
	return edge
}

// startedRegion is one region's nodes, or why they did not start.
type startedRegion struct {
	name  string
	nodes []*node.Node
	info  []NodeInfo
	err   error
}

func (r startedRegion) close() error {
	var first error
	for i := len(r.nodes) - 1; i >= 0; i-- {
		if err := r.nodes[i].Close(); first == nil {
			first = err
		}
	}
	return first
}

// startRegion starts a region's first node, which brings the catalog, then the
// others; or all together.
func (c *Cluster) startRegion(ctx context.Context, plan *layout, region string, cache *pebble.Cache) startedRegion {
	out := startedRegion{name: region}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type start struct {
		place nodePlace
		node  *node.Node
		err   error
		done  chan struct{}
	}
	var starts []*start
	for _, place := range plan.Nodes {
		if place.Region != region {
			continue
		}
		config := c.nodeConfig(plan, place)
		config.Cache = cache
		s := &start{place: place, done: make(chan struct{})}
		starts = append(starts, s)
		go func() {
			defer close(s.done)
			if s.node, s.err = node.Start(ctx, config); s.err != nil {
				cancel() // the others may wait for this one
			}
		}()
		if !plan.together() {
			if <-s.done; s.err != nil {
				break
			}
		}
	}
	for _, s := range starts {
		<-s.done
		place, n := s.place, s.node
		if s.err != nil {
			out.err = errors.Join(out.err, fmt.Errorf("start node %s: %w", place.Name, s.err))
			continue
		}
		out.nodes = append(out.nodes, n)
		ready := n.Ready()
		out.info = append(out.info, NodeInfo{
			ID: ready.ID, Name: place.Name, Zone: place.Zone, PID: os.Getpid(),
			Admin: "http://" + ready.Admin, RPC: ready.RPC,
		})
	}
	return out
}

func (c *Cluster) nodeConfig(plan *layout, place nodePlace) node.Config {
	seeds, expect := plan.joins(place)
	config := node.Config{
		Region:   replication.Region(place.Region),
		Name:     place.Name,
		Zone:     place.Zone,
		Dir:      filepath.Join(c.config.Dir, place.Name),
		InMemory: c.config.InMemory,
		Listen:   place.RPC,
		Admin:    place.Admin,
		Gossip:   place.Gossip,
		Join:     seeds, BootstrapExpect: expect, Replication: c.config.Replication,
		ReplaceAfter:   c.config.ReplaceAfter,
		Peers:          plan.peers(place.Region),
		Partitions:     c.config.Partitions,
		Splits:         c.config.Splits,
		CollectionSize: c.config.CollectionSize,
		Indexes:        node.IndexConfig{Grace: c.config.IndexGrace},
		Log:            c.config.Log.With("node", place.Name),
	}
	return config
}

// peers are the rpc addresses of all other regions' nodes.
func (l *layout) peers(own string) map[replication.Region][]string {
	out := map[replication.Region][]string{}
	for _, p := range l.Nodes {
		if p.Region != own {
			out[replication.Region(p.Region)] = append(out[replication.Region(p.Region)], p.RPC)
		}
	}
	return out
}

var _ functions.Backend = (*client.Client)(nil)
