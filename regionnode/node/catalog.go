package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"antipode/regionnode"
	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/internal/controller"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/internal/ring"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/table"
	"antipode/replication"
)

// newRegistry finds the catalog's leader through gossip; local is this node's
// own catalog, if it has one.
func (n *Node) newRegistry(local *catalog.Catalog) (*catalog.Client, error) {
	config := catalog.ClientConfig{Pool: n.pool, Addrs: n.others, Resolve: n.addresses.of, Log: n.config.Log}
	if local != nil {
		config.Local = local
	}
	return catalog.NewClient(config)
}

// voters are the members of a system partition that this node may have to make:
// nil where it joins a region that others have started.
func (n *Node) voters() []table.NodeID {
	if n.config.BootstrapExpect == 0 && len(n.config.Join) == 0 {
		return []table.NodeID{n.id}
	}
	return n.founding
}

// openCatalog makes the region's system partition on its first nodes, and starts
// catalog and controller wherever the system partition is.
func (n *Node) openCatalog(ctx context.Context) error {
	region := string(n.config.Region)
	names := []string{region}
	for peer := range n.config.Peers {
		names = append(names, string(peer))
	}
	if err := ring.CheckRegions(names); err != nil {
		return err
	}
	id := catalog.SystemPartition(region)
	if voters := n.voters(); voters != nil {
		err := n.partitions.Create(ctx, partition.Spec{
			ID: id, Table: table.ID(id), Epoch: regionnode.Epoch{Range: 1, Members: 1},
			Members: voters, Incarnation: uint64(id), Generation: replication.Generation(id),
		})
		if err != nil {
			return fmt.Errorf("make the region's catalog: %w", err)
		}
	}
	if n.founding != nil {
		if err := (identity{id: n.id, region: region, founders: len(n.founding)}).write(n.store); err != nil {
			return err
		}
	}
	system, holds := n.partitions.Partition(id)
	if holds {
		if err := n.startCatalog(system); err != nil {
			return err
		}
	}
	var err error
	n.registry, err = n.newRegistry(n.catalog)
	return err
}

func (n *Node) startCatalog(system *partition.Partition) error {
	kv := newCatalogKV(system, n.recatalog)
	n.background.Go(func() { kv.watch(n.ctx) })
	abroad := &abroad{own: string(n.config.Region), pool: n.pool, peers: n.config.Peers}
	var err error
	n.catalog, err = catalog.New(catalog.Config{
		KV: kv, Region: string(n.config.Region), Partitions: n.config.Partitions, Replication: n.config.Replication,
		Abroad: abroad, Log: n.config.Log,
	})
	if err != nil {
		return err
	}
	catalog.Register(n.server, n.catalog)
	n.controller, err = controller.New(controller.Config{
		Catalog: n.catalog, Regions: abroad, Log: n.config.Log,
		Splits: catalog.SplitLimits{Bytes: int64(n.config.Splits.Size), Load: uint32(n.config.Splits.Load)},
		Nodes: &nodes{local: n.host, remote: func(row catalog.Node) controller.Host {
			n.addresses.set(row.ID, row.Addr)
			return controller.RemoteHost(n.pool, row.Addr)
		}},
	})
	if err != nil {
		return err
	}
	controller.Serve(n.server, n.controller)
	abroad.self = n.controller.Region()
	return nil
}

// abroad reaches the regions of the deployment (controller.Regions,
// catalog.Abroad).
type abroad struct {
	own   string
	self  controller.Region
	pool  *rpc.Pool
	peers map[replication.Region][]string
}

// Names are all regions, this one included, in order.
func (a *abroad) Names() []string {
	out := []string{a.own}
	for peer := range a.peers {
		out = append(out, string(peer))
	}
	slices.Sort(out)
	return out
}

// Region is part of controller.Regions.
func (a *abroad) Region(name string) controller.Region {
	if name == a.own {
		return a.self
	}
	addrs := a.peers[replication.Region(name)]
	if len(addrs) == 0 {
		return nil
	}
	return controller.RemoteRegion(a.pool, addrs)
}

var errNoRegion = errors.New("region is no peer of this one")

// Describe is part of catalog.Abroad.
func (a *abroad) Describe(ctx context.Context, region, name string) (*table.Descriptor, error) {
	r := a.Region(region)
	if r == nil {
		return nil, fmt.Errorf("%s: %w", region, errNoRegion)
	}
	return r.Describe(ctx, name)
}

// Update is part of catalog.Abroad.
func (a *abroad) Update(ctx context.Context, region string, u *catalog.GlobalUpdate) (*table.Descriptor, error) {
	r := a.Region(region)
	if r == nil {
		return nil, fmt.Errorf("%s: %w", region, errNoRegion)
	}
	return r.Update(ctx, u)
}

// register tells the catalog where this node is, and, on nodes that hold the
// catalog, which regions are its peers. The node serves from then on.
func (n *Node) register(ctx context.Context) error {
	row, err := n.registry.RegisterNode(ctx, n.row())
	if err != nil {
		return fmt.Errorf("register with the region's catalog: %w", err)
	}
	if row.ID != n.id {
		return fmt.Errorf("the catalog knows the name %s as node %x, this disk is of node %x", n.config.Name, row.ID, n.id)
	}
	n.addresses.set(n.id, n.rpcAddr)
	if err := n.gossip.Announce(n.id, n.rpcAddr); err != nil {
		return err
	}
	if n.catalog == nil {
		return nil
	}
	for peer, addrs := range n.config.Peers {
		if err := n.registry.SetPeer(ctx, catalog.Peer{Region: string(peer), Addrs: addrs}); err != nil {
			return fmt.Errorf("note peer %s: %w", peer, err)
		}
	}
	return nil
}
