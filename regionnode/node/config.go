package node

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode/client"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/table"
	"antipode/replication"
)

// Config of a node. Zero fields mean the defaults named beside them.
type Config struct {
	// Cluster names the deployment: nodes of another refuse to talk.
	Cluster string // "antipode"
	Region  replication.Region
	// Name tells the node from others of its region; it must stay the same over
	// restarts. Zone is where it stands.
	Name string
	Zone string

	// Dir holds the node's data. With FS set, Dir is a path in it.
	Dir string
	FS  vfs.FS // the machine's file system
	// InMemory keeps everything in a file system of its own in memory.
	InMemory bool
	// Cache may be shared by several nodes of a process.
	Cache *pebble.Cache // one of store.DefaultCacheSize

	// Listen is the rpc listener's address, Advertise what others dial.
	Listen    string // 127.0.0.1:0
	Advertise string // the listener's address
	// Admin serves metrics, health and status over plain HTTP.
	Admin string // 127.0.0.1:0
	// Gossip is the address of the region's Serf pool, Join its seeds. A node
	// without seeds starts the region's catalog; one with seeds joins it.
	Gossip string // 127.0.0.1:0
	Join   []string
	// BootstrapExpect is how many nodes start the region together, this one among
	// them: each is told the same number and finds the others through Join. They
	// hold the catalog, one replica each. 0 leaves it to Join who starts it.
	BootstrapExpect int
	// Replication is how many nodes hold each partition of a new table, where
	// there are as many. From 2 on, timers are set for members that fail.
	Replication int // 1
	// NoReadLeases has every strong read of a replicated partition confirmed by a
	// majority. Otherwise it rests on promises between nodes, and on clocks that
	// do not stand still while a node, or the machine under it, does.
	NoReadLeases bool
	// MaxRaftLog is how large a partition's raft log may grow, in bytes, while a
	// member is away that lacks its entries. Beyond it the log is cut off above
	// the member, which is shown as stranded and gets a snapshot when it is back.
	MaxRaftLog uint64 // 1 GB
	// SnapshotRate bounds the bytes of partitions' snapshots that the node sends in
	// a second, so that its disk and network have room for what clients want.
	SnapshotRate uint64 // 64 MB
	// ReplaceAfter is for how long a node of the region answers nothing before its
	// replicas are made on others; a node that is only started again should be back
	// before.
	ReplaceAfter time.Duration // 5 min

	// Peers are rpc addresses of nodes of the other regions. Regions are
	// configuration, never learned from gossip.
	Peers map[replication.Region][]string

	// TLS secures rpc in both directions; nil only on loopback.
	ServerTLS, ClientTLS *tls.Config

	// Partitions of a new table that names no number.
	Partitions int // 1
	// Splits says when partitions are split by themselves.
	Splits SplitConfig
	// CollectionSize bounds the items of one partition key, in bytes and with their
	// local index entries, in tables with local indexes.
	CollectionSize Size // DefaultCollectionSize
	// Indexes says how writes and global indexes keep pace with one another.
	Indexes IndexConfig
	// Expiry says how items with a time to live are deleted.
	Expiry ExpiryConfig
	// Scrub says how replicas are compared.
	Scrub ScrubConfig
	// MaxOffset is how far a remote clock may be ahead (I12).
	MaxOffset time.Duration // 500 ms
	// Physical is the clock, in nanoseconds since 1970.
	Physical func() int64 // time.Now
	Log      *slog.Logger // discards
}

// SplitConfig says when a partition is split by itself. The node that leads the
// region's catalog decides; all should be told the same.
type SplitConfig struct {
	// Size is how many bytes of items and local index entries a partition holds
	// then; 0 for no limit.
	Size Size
	// Load is how many requests a second it serves then, over a minute; 0 for no
	// limit.
	Load int
}

// DefaultSplits are the limits of commands that are told none; see
// internal/controller/DESIGN.md for why.
var DefaultSplits = SplitConfig{Size: 10 << 30, Load: 10_000}

// DefaultCollectionSize is DynamoDB's bound of an item collection.
const DefaultCollectionSize Size = table.MaxCollectionSize

// IndexConfig says how writes and global indexes keep pace with one another.
type IndexConfig struct {
	// MaxRecords and MaxAge bound how far an index may be behind before writes
	// wait for it.
	MaxRecords uint64        // 10,000 changes
	MaxAge     time.Duration // 10 s
	// Grace is how long a write, once it is durable, waits for the indexes to have
	// it. With none, who reads an index right behind a write may miss it.
	Grace time.Duration // none
}

// fill sets defaults and lists every fault.
func (c *Config) fill() error {
	setDefault(&c.Cluster, "antipode")
	setDefault(&c.Listen, "127.0.0.1:0")
	setDefault(&c.Admin, "127.0.0.1:0")
	setDefault(&c.Gossip, "127.0.0.1:0")
	if c.InMemory {
		c.FS, c.Dir = vfs.NewMem(), "memory"
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.Partitions == 0 {
		c.Partitions = 1
	}
	if c.Replication == 0 {
		c.Replication = 1
	}
	if c.CollectionSize == 0 {
		c.CollectionSize = DefaultCollectionSize
	}
	if c.MaxOffset == 0 {
		c.MaxOffset = 500 * time.Millisecond
	}
	if c.Physical == nil {
		c.Physical = func() int64 { return time.Now().UnixNano() }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	var faults []error
	if c.Region == "" {
		faults = append(faults, errors.New("a region is needed"))
	}
	if c.Name == "" {
		faults = append(faults, errors.New("a name is needed"))
	}
	if c.Dir == "" {
		faults = append(faults, errors.New("a data directory is needed"))
	}
	if _, own := c.Peers[c.Region]; own {
		faults = append(faults, fmt.Errorf("region %s is its own peer", c.Region))
	}
	if c.Partitions < 1 || c.Partitions > 1024 {
		faults = append(faults, fmt.Errorf("%d partitions a table: 1 to 1024", c.Partitions))
	}
	if c.Splits.Size < 0 || c.Splits.Load < 0 || c.Splits.Load > 1<<31 {
		faults = append(faults, fmt.Errorf("splits at %d bytes or %d requests a second: not below 0", c.Splits.Size, c.Splits.Load))
	}
	if c.CollectionSize < 0 {
		faults = append(faults, fmt.Errorf("item collections of %d bytes: not below 0", c.CollectionSize))
	}
	if c.Replication < 1 || c.Replication > 7 {
		faults = append(faults, fmt.Errorf("replication %d: 1 to 7", c.Replication))
	}
	if c.BootstrapExpect < 0 || c.BootstrapExpect > 7 {
		faults = append(faults, fmt.Errorf("%d nodes to start the region: 0 to 7", c.BootstrapExpect))
	}
	return errors.Join(faults...)
}

// patience says how soon a silent node is given up. Where another one can take
// over, that is soon, also for a node that is frozen: its kernel still accepts
// connections.
func (c *Config) patience(r rpc.Config) rpc.Config {
	if c.Replication > 1 {
		r.KeepAlive = client.ReplicatedSilence / 3
		r.DialTimeout = client.ReplicatedSilence / 2
	}
	return r
}

// pace sets raft's timers where several nodes hold a partition: a leader that is
// silent for 500 ms to 1 s is replaced.
func (c *Config) pace(p *partition.Config) {
	if c.Replication > 1 {
		p.TickInterval, p.HeartbeatTicks, p.ElectionTicks = 25*time.Millisecond, 3, 20
	}
}

func setDefault(s *string, value string) {
	if *s == "" {
		*s = value
	}
}
