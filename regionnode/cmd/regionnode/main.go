// Command regionnode runs one storage node of one region.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"antipode/regionnode/memory"
	"antipode/regionnode/node"
	"antipode/replication"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "regionnode:", err)
		os.Exit(1)
	}
}

// flags is the command line; it becomes a node.Config.
type flags struct {
	config           node.Config
	region           string
	peers            []string
	inMemory         bool
	logLevel         string
	cert, key, roots string
}

func command() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "regionnode",
		Short: "one storage node of one region of antipode",
		Long: `regionnode keeps partitions on disk and serves them over rpc. The first node of
a region starts without --join and holds the region's catalog, or several start
together with --bootstrap-expect and hold a replica of it each; the others join
through gossip. When it serves, it prints one line of JSON on stdout.

It spends up to 256 MB on collecting garbage less often; GOGC or GOMEMLIMIT in
the environment decide otherwise.`,
		Example:       `  regionnode --region us-east-1 --name a --data /var/lib/antipode --listen 10.0.1.5:7400 --gossip 10.0.1.5:7946`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context()) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.config.Cluster, "cluster", "antipode", "name of the deployment; nodes of another refuse to talk")
	fs.StringVar(&f.region, "region", "", "AWS region name (required)")
	fs.StringVar(&f.config.Name, "name", "", "the node's name in its region, the same over restarts (required)")
	fs.StringVar(&f.config.Zone, "zone", "", "availability zone")
	fs.StringVar(&f.config.Dir, "data", "", "data directory (required)")
	fs.BoolVar(&f.inMemory, "in-memory", false, "keep everything in memory; gone at the end")
	fs.StringVar(&f.config.Listen, "listen", "127.0.0.1:7400", "rpc address")
	fs.StringVar(&f.config.Advertise, "advertise", "", "rpc address that others dial (default: --listen's)")
	fs.StringVar(&f.config.Admin, "admin", "127.0.0.1:7401", "address of metrics, health and status")
	fs.StringVar(&f.config.Gossip, "gossip", "127.0.0.1:7946", "address of the region's gossip, TCP and UDP")
	fs.StringSliceVar(&f.config.Join, "join", nil, "gossip addresses of nodes to join; none starts the region's catalog")
	fs.StringArrayVar(&f.peers, "peer", nil, "REGION=ADDR[,ADDR…]: rpc addresses of another region's nodes; repeated")
	fs.IntVar(&f.config.BootstrapExpect, "bootstrap-expect", 0, "how many nodes start the region together, this one among them; all are told the same and --join one another")
	fs.IntVar(&f.config.Replication, "replication", 1, "nodes that hold each partition of a new table, where there are as many")
	fs.BoolVar(&f.config.NoReadLeases, "no-read-leases", false, "confirm every strong read with a majority instead of relying on promises and clocks")
	fs.DurationVar(&f.config.ReplaceAfter, "replace-after", 5*time.Minute, "how long a node of the region answers nothing before its replicas are made on others")
	fs.Uint64Var(&f.config.MaxRaftLog, "max-raft-log", 1<<30, "bytes up to which a partition's raft log is kept for a member that is away")
	fs.Uint64Var(&f.config.SnapshotRate, "snapshot-rate", 64<<20, "bytes of partitions' snapshots that the node sends in a second")
	fs.IntVar(&f.config.Partitions, "partitions", 1, "partitions of a new table")
	f.config.Splits = node.DefaultSplits
	fs.Var(&f.config.Splits.Size, "split-size", "items and local indexes, in bytes, at which a partition is split; 0: never")
	f.config.CollectionSize = node.DefaultCollectionSize
	fs.Var(&f.config.CollectionSize, "collection-size", "items of one partition key, in bytes, that a table with local indexes takes")
	fs.IntVar(&f.config.Splits.Load, "split-load", f.config.Splits.Load, "requests a second, over a minute, at which a partition is split; 0: never")
	fs.Uint64Var(&f.config.Indexes.MaxRecords, "index-max-records", 10_000, "changes that a global index may be behind before writes wait")
	fs.DurationVar(&f.config.Indexes.MaxAge, "index-max-age", 10*time.Second, "time that a global index may be behind before writes wait")
	fs.DurationVar(&f.config.Indexes.Grace, "index-grace", 0, "how long a durable write waits for global indexes to have it")
	fs.DurationVar(&f.config.Expiry.Interval, "ttl-interval", time.Second, "pause between two looks for expired items in a partition")
	fs.DurationVar(&f.config.Expiry.Delay, "ttl-delay", 0, "how long expired items are kept at least")
	fs.IntVar(&f.config.Expiry.BytesPerSecond, "ttl-rate", 8<<20, "bytes that the node reads in a second in search of expired items")
	fs.DurationVar(&f.config.Scrub.Interval, "scrub-interval", 24*time.Hour, "how often the replicas of a partition are compared; below 0: never")
	fs.IntVar(&f.config.Scrub.BytesPerSecond, "scrub-rate", 4<<20, "bytes that the node hashes in a second to compare replicas of the partitions that it leads")
	fs.StringVar(&f.cert, "tls-cert", "", "certificate (PEM) for rpc in both directions")
	fs.StringVar(&f.key, "tls-key", "", "its key (PEM)")
	fs.StringVar(&f.roots, "tls-ca", "", "certificate authorities (PEM) that peers must be signed by")
	fs.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error; logs go to stderr as JSON")
	f.faultFlags(cmd)
	return cmd
}

func (f *flags) run(ctx context.Context) error {
	if err := f.complete(); err != nil {
		return err
	}
	memory.Relax()
	n, err := node.Start(ctx, f.config)
	if err != nil {
		return err
	}
	line, err := json.Marshal(n.Ready())
	if err != nil {
		return fmt.Errorf("print readiness: %w", err)
	}
	fmt.Println(string(line))
	<-ctx.Done()
	return n.Close()
}

func (f *flags) complete() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return fmt.Errorf("--log-level %q: debug, info, warn or error", f.logLevel)
	}
	f.config.Log = slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	f.config.Region = replication.Region(f.region)
	f.config.InMemory = f.inMemory
	f.config.Peers = map[replication.Region][]string{}
	for _, p := range f.peers {
		region, addrs, ok := strings.Cut(p, "=")
		if !ok || region == "" || addrs == "" {
			return fmt.Errorf("--peer %q: want REGION=ADDR[,ADDR…]", p)
		}
		f.config.Peers[replication.Region(region)] = strings.Split(addrs, ",")
	}
	return f.config.LoadTLS(f.cert, f.key, f.roots)
}
