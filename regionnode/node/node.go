package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/internal/controller"
	"antipode/regionnode/internal/gossip"
	"antipode/regionnode/internal/liveness"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/internal/store"
	"antipode/regionnode/internal/transaction"
	"antipode/regionnode/table"
	"antipode/replication/hlc"
	"antipode/replication/link"
)

// Node is one running storage node. It implements regionnode.Service for the
// partitions that it holds and, through the catalog's leader, for all tables of
// its region.
type Node struct {
	config  Config
	id      table.NodeID
	started time.Time

	store      *store.Store
	clock      *hlc.Clock
	listener   net.Listener
	server     *rpc.Server
	pool       *rpc.Pool
	gossip     *gossip.Pool
	partitions *partition.Host
	liveness   *liveness.Monitor // nil where no partition has several replicas
	news       news
	registry   *catalog.Client
	// catalog and controller work while the system partition is led here.
	catalog    *catalog.Catalog
	controller *controller.Controller
	host       *host
	links      *links
	linkView   linkView
	letters    *deadLetters
	// corruptible is partitions, for the store's goroutines.
	corruptible atomic.Pointer[partition.Host]
	// transactions is set before rpc is served.
	transactions *transaction.Coordinator
	metrics      *metrics
	admin        *admin
	rpcAddr      string

	addresses addressBook
	// relink is raised when partitions or their leaders have changed.
	relink flag
	// reindex is raised with relink, for those who keep global indexes.
	reindex flag
	// recatalog is raised when the system partition here, or its leader, has
	// changed.
	recatalog flag
	// founding are the nodes that start the region, while this one is about to be
	// one of them; else nil.
	founding []table.NodeID
	// ctx ends with the node; background counts what Close waits for.
	ctx        context.Context
	cancel     context.CancelFunc
	background sync.WaitGroup
	// closers end what was started, the newest first.
	closers []func() error
}

var _ regionnode.Service = (*Node)(nil)

// Ready says where a node is once it serves.
type Ready struct {
	Ready  bool   `json:"ready"`
	ID     string `json:"id"` // in hex
	Name   string `json:"name"`
	RPC    string `json:"rpc"`
	Admin  string `json:"admin"`
	Gossip string `json:"gossip"`
}

// Start starts a node and returns when it serves and its region's catalog knows
// it. A cancelled ctx ends starting; Close ends the node.
func Start(ctx context.Context, config Config) (*Node, error) {
	if err := config.fill(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	n := &Node{config: config, started: time.Now(), relink: make(flag, 1), reindex: make(flag, 1), recatalog: make(flag, 1), news: news{wake: make(flag, 1)}}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.metrics = newMetrics(n)
	for _, step := range []func(context.Context) error{
		n.openStore, n.openNetwork, n.identify, n.openLiveness, n.openPartitions, n.openCatalog, n.openLinks, n.openReplication, n.openIndexes, n.openCounts, n.openStreams, n.openExpiry, n.openScrub, n.openTransactions, n.serve, n.register, n.openAdmin,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(n.corruptStore(err), n.Close())
		}
	}
	return n, nil
}

// onClose has f called by Close, before what was registered earlier.
func (n *Node) onClose(f func() error) { n.closers = append(n.closers, f) }

// Close ends the node. What was acknowledged is on disk already.
func (n *Node) Close() error {
	n.resign()
	n.cancel()
	var errs []error
	for i := len(n.closers) - 1; i >= 0; i-- {
		errs = append(errs, n.closers[i]())
	}
	n.closers = nil
	n.background.Wait()
	return errors.Join(errs...)
}

// resignPatience is how long a node that stops may take to hand over what it
// leads.
const resignPatience = 3 * time.Second

// resign hands over what this node leads, once it has served.
func (n *Node) resign() {
	if n.admin == nil {
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, resignPatience)
	defer cancel()
	if handed, kept := n.partitions.Resign(ctx); handed+kept > 0 {
		n.config.Log.Info("leaderships handed over before the end", "handed", handed, "kept", kept)
	}
}

// ID is the node's id; Ready's is the same in hex.
func (n *Node) ID() table.NodeID { return n.id }

// Ready says where the node is.
func (n *Node) Ready() Ready {
	return Ready{
		Ready: true, ID: strconv.FormatUint(uint64(n.id), 16), Name: n.config.Name,
		RPC: n.rpcAddr, Admin: n.admin.addr, Gossip: n.gossip.LocalAddr(),
	}
}

func (n *Node) openStore(context.Context) error {
	var err error
	n.store, err = store.Open(store.Config{Dir: n.config.Dir, FS: n.config.FS, Cache: n.config.Cache, Log: n.config.Log, Fatal: n.storeFailed, Corrupt: n.storeCorrupt})
	if err != nil {
		return err
	}
	n.onClose(n.store.Close)
	known, err := readIdentity(n.store)
	if err != nil {
		return fmt.Errorf("read identity: %w", err)
	}
	if err := known.check(&n.config); err != nil {
		return err
	}
	n.id = known.id
	bound, err := readBound(n.store)
	if err != nil {
		return fmt.Errorf("read clock bound: %w", err)
	}
	n.clock, err = hlc.New(hlc.Config{
		Physical: n.config.Physical, MaxOffset: n.config.MaxOffset, Bound: bound,
		PersistBound: func(wall int64) error { return writeBound(n.store, wall) },
	})
	if err != nil {
		return fmt.Errorf("start clock: %w", err)
	}
	n.onClose(func() error { n.clock.Close(); return nil })
	return nil
}

// openNetwork listens for rpc, which waits until serve, and meets the region.
func (n *Node) openNetwork(context.Context) error {
	self := rpc.Identity{Cluster: n.config.Cluster, Region: string(n.config.Region), Node: n.config.Name}
	n.server = rpc.NewServer(rpc.Config{Self: self, TLS: n.config.ServerTLS, Log: n.config.Log})
	n.pool = rpc.NewPool(n.config.patience(rpc.Config{Self: self, TLS: n.config.ClientTLS, Log: n.config.Log}))
	n.onClose(func() error { n.pool.Close(); return nil })
	listener, err := net.Listen("tcp", n.config.Listen)
	if err != nil {
		return fmt.Errorf("listen for rpc: %w", err)
	}
	n.rpcAddr = listener.Addr().String()
	if n.config.Advertise != "" {
		n.rpcAddr = n.config.Advertise
	}
	n.listener = listener
	n.onClose(func() error { n.server.Close(); return listenerClosed(listener.Close()) })
	n.gossip, err = gossip.Start(gossip.Config{
		Cluster: n.config.Cluster, Region: string(n.config.Region), Name: n.config.Name, Node: n.id,
		Zone: n.config.Zone, RPCAddr: n.rpcAddr, Bind: n.config.Gossip, Seeds: n.config.Join,
		Expect: n.config.BootstrapExpect,
		Local:  isLoopback(n.config.Gossip), Log: n.config.Log,
	})
	if err != nil {
		return err
	}
	n.onClose(n.leaveGossip)
	n.background.Go(n.followGossip)
	return nil
}

// serve begins to answer rpc, now that everything that answers is registered,
// and to work for the region.
func (n *Node) serve(context.Context) error {
	controller.ServeFront(n.server, n.controller.Region(), n.registry, n.pool)
	n.background.Go(func() {
		if err := n.server.Serve(n.listener); err != nil && n.ctx.Err() == nil {
			n.config.Log.Error("rpc ended", "error", err)
		}
	})
	n.upkeep(n.controller.Run)
	n.upkeep(n.sweepForever)
	return nil
}

// goodbye is how long leaving the gossip may take; a member that does not say
// goodbye is found out soon.
const goodbye = time.Second

func (n *Node) leaveGossip() error {
	if len(n.gossip.Members()) < 2 {
		return n.gossip.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	if err := n.gossip.Leave(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

func listenerClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && net.ParseIP(host).IsLoopback()
}

// identify gives a new disk its id: nodes that start a region take the first
// ones, the others ask the catalog.
func (n *Node) identify(ctx context.Context) error {
	if n.id != 0 {
		return nil
	}
	// A founder's identity becomes durable behind the catalog's replica:
	// foundCatalog.
	switch {
	case n.config.BootstrapExpect > 0:
		var err error
		n.founding, err = n.bootstrap(ctx)
		if err != nil || n.founding != nil {
			return err
		}
	case len(n.config.Join) == 0:
		n.id = catalog.BootstrapNode(string(n.config.Region), 0)
		n.founding = []table.NodeID{n.id}
		return nil
	}
	{
		registry, err := n.newRegistry(nil)
		if err != nil {
			return err
		}
		row, err := registry.RegisterNode(ctx, n.row())
		if err != nil {
			return fmt.Errorf("join region %s: %w", n.config.Region, err)
		}
		n.id = row.ID
	}
	return identity{id: n.id, region: string(n.config.Region)}.write(n.store)
}

// row is what the catalog is to know of this node. On a new disk the id is 0: it
// is the catalog's to give.
func (n *Node) row() catalog.Node {
	return catalog.Node{ID: n.id, Name: n.config.Name, Addr: n.rpcAddr, Zone: n.config.Zone}
}

func (n *Node) openPartitions(context.Context) error {
	config := partition.Config{
		Node: n.id, Region: n.config.Region, Store: n.store, Clock: n.clock,
		Send: n.sendRaft, SendSnapshot: n.sendSnapshot, SnapshotRate: n.config.SnapshotRate,
		Liveness: n.liveness, NoLeases: n.config.NoReadLeases, Log: n.config.Log, OnChange: n.partitionChanged, MaxRaftLogBytes: n.config.MaxRaftLog,
		MaxCollectionBytes: int64(n.config.CollectionSize),
		MaxIndexRecords:    n.config.Indexes.MaxRecords, MaxIndexAge: n.config.Indexes.MaxAge, IndexGrace: n.config.Indexes.Grace,
	}
	n.config.pace(&config)
	partitions, err := partition.NewHost(config)
	if err != nil {
		return err
	}
	n.partitions = partitions
	n.corruptible.Store(partitions)
	n.host = &host{partitions: partitions, self: n.id, moved: make(flag, 1)}
	n.onClose(n.closePartitions)
	rpc.HandleOneWay(n.server, raftMethod, func(_ string, payload []byte) { n.receiveRaft(payload) })
	rpc.HandleRaw(n.server, snapshotMethod, partitions.ReceiveSnapshot)
	rpc.RegisterService(n.server, n)
	n.keepLiveness()
	return nil
}

// partitionChanged hears of leaders and terms, on a partition's worker.
func (n *Node) partitionChanged(s partition.Status) {
	n.relink.raise()
	n.reindex.raise()
	if s.ID == catalog.SystemPartition(string(n.config.Region)) {
		n.recatalog.raise()
	}
}

func (n *Node) openAdmin(context.Context) error {
	var err error
	if n.admin, err = startAdmin(n); err != nil {
		return fmt.Errorf("listen for administration: %w", err)
	}
	n.onClose(func() error { n.admin.close(); return nil })
	return nil
}

// openLinks begins to ship, and to take in what other regions ship.
func (n *Node) openLinks(context.Context) error {
	n.letters = &deadLetters{n.store}
	transport := &linkTransport{pool: n.pool, peers: peerAddresses(n.config.Peers).of}
	var err error
	n.links, err = newLinks(link.Config{
		Region: n.config.Region, Transport: transport, Logger: n.config.Log, Shipped: n.metrics.shipped,
	}, n.partitions.Led, n.relink)
	if err != nil {
		return err
	}
	inbound := &sink{self: n.id, partitions: n.partitions, registry: n.registry, pool: n.pool, groups: map[string]*target{}}
	inbound.serveApply(n.server)
	receiver, err := link.NewReceiver(link.ReceiverConfig{
		Region: n.config.Region, DeadLetters: n.letters, Logger: n.config.Log, Sink: inbound,
	})
	if err != nil {
		return err
	}
	serveLink(n.server, receiver)
	n.host.links = n.links
	controller.ServeHost(n.server, n.host)
	n.links.run(n.ctx)
	n.onClose(func() error { n.cancel(); n.links.close(); return nil })
	n.links.refresh()
	return nil
}
