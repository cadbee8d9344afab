package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"antipode/regionnode/client"
	"antipode/regionnode/node"
)

// DefaultRegions are the regions of a cluster that names none.
var DefaultRegions = []string{"us-east-1", "eu-west-1", "ap-northeast-1"}

// Config of a cluster.
type Config struct {
	// Regions by name, each once, at most 16.
	Regions []string
	// NodesPerRegion is how many nodes each region has; 0 is as many as the data
	// directory knows, or one. The first node of a region holds its catalog; with
	// replication, the first nodes do.
	NodesPerRegion int
	// Replication is how many nodes of a region hold each partition; default 1, at
	// most NodesPerRegion.
	Replication int
	// ReplaceAfter is for how long a node answers nothing before its replicas are
	// made on others; 0 for the node's default.
	ReplaceAfter time.Duration
	// Port serves every region; region i (from 1) also listens on Port+i. 0
	// takes free ports.
	Port int
	// Host is the address to serve clients on, 127.0.0.1 when empty. What nodes say
	// to one another stays on loopback.
	Host string
	// Dir keeps data and the layout file; unused when InMemory.
	Dir      string
	InMemory bool
	// Processes runs nodes and functions as OS processes; Binaries is the folder
	// that holds regionnode and api.
	Processes bool
	Binaries  string
	// NodeArgs are further arguments of a node's process, by its name and rpc
	// address; tests put proxies in between and switch faults with it. May be nil.
	NodeArgs func(name, rpc string) ([]string, error)
	// Credentials are access keys and their secrets; with none, signatures are
	// parsed but not verified.
	Credentials map[string]string
	// Partitions of a new table, 0 for the node's default.
	Partitions int
	// Splits says when partitions are split by themselves; never when zero.
	Splits node.SplitConfig
	// CollectionSize bounds an item collection of a table with local indexes, in
	// bytes; DynamoDB's 10 GB when zero.
	CollectionSize node.Size
	// IndexGrace is how long a durable write waits for global indexes to have it,
	// so that tests may read an index right behind a write. 0 does not wait.
	IndexGrace time.Duration
	// LogLevel of the processes started; the in-process nodes use Log.
	LogLevel slog.Level
	Log      *slog.Logger
}

var regionName = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)

// silence is when functions give up a silent node, 0 for their default.
func (c *Config) silence() time.Duration {
	if c.Replication > 1 {
		return client.ReplicatedSilence
	}
	return 0
}

// fill sets defaults and lists every fault of the configuration.
func (c *Config) fill() error {
	if len(c.Regions) == 0 {
		c.Regions = DefaultRegions
	}
	if c.Replication == 0 {
		c.Replication = 1
	}
	if c.Host == "" {
		c.Host = "127.0.0.1"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	var faults []error
	seen := map[string]bool{}
	for _, r := range c.Regions {
		if !regionName.MatchString(r) {
			faults = append(faults, fmt.Errorf("%q is not a region name such as us-east-1", r))
		}
		if seen[r] {
			faults = append(faults, fmt.Errorf("region %s is named twice", r))
		}
		seen[r] = true
	}
	if len(c.Regions) > 16 {
		faults = append(faults, fmt.Errorf("%d regions: at most 16", len(c.Regions)))
	}
	if c.NodesPerRegion < 0 || c.NodesPerRegion > 99 {
		faults = append(faults, fmt.Errorf("%d nodes per region: 1 to 99", c.NodesPerRegion))
	}
	if c.Replication < 1 || c.Replication > 7 {
		faults = append(faults, fmt.Errorf("replication %d: 1 to 7", c.Replication))
	}
	if c.Port < 0 || c.Port+len(c.Regions) > 65535 {
		faults = append(faults, fmt.Errorf("port %d: 0 to %d", c.Port, 65535-len(c.Regions)))
	}
	if !c.InMemory && c.Dir == "" {
		faults = append(faults, errors.New("a data directory is needed, or --in-memory"))
	}
	return errors.Join(faults...)
}
