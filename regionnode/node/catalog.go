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
// own catalog, once it has one.
func (n *Node) newRegistry(local *catalog.Catalog) (*catalog.Client, error) {
	config := catalog.ClientConfig{Pool: n.pool, Addrs: n.others, Resolve: n.addresses.of, Log: n.config.Log}
	if local != nil {
		config.Local = local
	}
	return catalog.NewClient(config)
}

// openCatalog makes the region's system partition where this node is one of those
// that start the region, and starts catalog and controller: the system partition
// may come to any node, and go.
func (n *Node) openCatalog(ctx context.Context) error {
	region := string(n.config.Region)
	names := []string{region}
	for peer := range n.config.Peers {
		names = append(names, string(peer))
	}
	if err := ring.CheckRegions(names); err != nil {
		return err
	}
	if n.founding != nil {
		if err := n.foundCatalog(ctx); err != nil {
			return err
		}
	}
	if err := n.startCatalog(); err != nil {
		return err
	}
	var err error
	n.registry, err = n.newRegistry(n.catalog)
	return err
}

// foundCatalog makes the system partition on a new disk, and then gives the disk
// its identity: a disk that has one never makes another system partition, as its
// own may have moved away.
func (n *Node) foundCatalog(ctx context.Context) error {
	region := string(n.config.Region)
	id := catalog.SystemPartition(region)
	err := n.partitions.Create(ctx, partition.Spec{
		ID: id, Table: table.ID(id), Epoch: regionnode.Epoch{Range: 1, Members: 1},
		Members: n.founding, Incarnation: uint64(id), Generation: replication.Generation(id),
	})
	if err != nil {
		return fmt.Errorf("make the region's catalog: %w", err)
	}
	who := identity{id: n.id, region: region}
	if n.config.BootstrapExpect > 0 {
		who.founders = len(n.founding)
	}
	return who.write(n.store)
}

func (n *Node) startCatalog() error {
	kv := &catalogKV{
		partitions: n.partitions, id: catalog.SystemPartition(string(n.config.Region)),
		changed: n.recatalog, moved: n.host.moved,
	}
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
		Catalog: n.catalog, Regions: abroad, Log: n.config.Log, ReplaceAfter: n.config.ReplaceAfter,
		Splits: catalog.SplitLimits{Bytes: int64(n.config.Splits.Size), Load: uint32(n.config.Splits.Load)},
		Nodes: &nodes{local: n.host, remote: func(row catalog.Node) controller.Host {
			n.addresses.set(row.ID, row.Addr)
			return controller.RemoteHost(n.pool, row.Name, row.Addr)
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
	if !n.holdsCatalog() {
		return nil
	}
	for peer, addrs := range n.config.Peers {
		if err := n.registry.SetPeer(ctx, catalog.Peer{Region: string(peer), Addrs: addrs}); err != nil {
			return fmt.Errorf("note peer %s: %w", peer, err)
		}
	}
	return nil
}

// holdsCatalog tells whether this node has a replica of the system partition.
func (n *Node) holdsCatalog() bool {
	_, ok := n.partitions.Partition(catalog.SystemPartition(string(n.config.Region)))
	return ok
}
