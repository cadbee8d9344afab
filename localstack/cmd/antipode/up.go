package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"antipode/localstack/cluster"
	"antipode/regionnode/memory"
	"antipode/regionnode/node"
)

// defaultDir is where up keeps data and status looks for it.
const defaultDir = ".antipode"

// upFlags are what `antipode up` takes beyond cluster.Config.
type upFlags struct {
	config      cluster.Config
	json        bool
	credentials []string
	logLevel    string
}

func upCommand() *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "start regions and serve them until Ctrl-C",
		Long: `up starts the regions, prints where they are, and serves until Ctrl-C.

One port serves every region: the region is the one that the request is signed
for. Each region also has a port of its own. Data stays in --data: a second
start on the same directory has everything.

It spends up to 256 MB on collecting garbage less often; GOGC or GOMEMLIMIT in
the environment decide otherwise.`,
		Example: `  antipode up
  antipode up --regions us-east-1,us-west-2 --nodes 3 --data /var/tmp/antipode
  antipode up --in-memory --json --port 0`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.config.Regions, "regions", cluster.DefaultRegions, "regions to run")
	flags.IntVar(&f.config.NodesPerRegion, "nodes", 0, "storage nodes in each region (0: as many as the data directory has, or 1)")
	flags.IntVar(&f.config.Replication, "replication", 1, "nodes that hold each partition, at most --nodes; from 2 on a region survives nodes")
	flags.DurationVar(&f.config.ReplaceAfter, "replace-after", 5*time.Minute, "how long a node answers nothing before its replicas are made on others")
	flags.IntVar(&f.config.Port, "port", 8000, "port that serves every region; region i (from 1) also listens on port+i; 0 takes free ports")
	flags.StringVar(&f.config.Host, "host", "127.0.0.1", "address to serve clients on; what nodes say to one another stays on loopback")
	flags.StringVar(&f.config.Dir, "data", defaultDir, "data directory")
	flags.BoolVar(&f.config.InMemory, "in-memory", false, "keep everything in memory; gone at the end")
	flags.BoolVar(&f.config.Processes, "processes", false, "run each node, and each region's functions, as a process of its own")
	flags.IntVar(&f.config.Partitions, "partitions", 0, "partitions of a new table (0: the node's default)")
	f.config.Splits = node.DefaultSplits
	flags.Var(&f.config.Splits.Size, "split-size", "items and local indexes, in bytes, at which a partition is split; 0: never")
	flags.IntVar(&f.config.Splits.Load, "split-load", f.config.Splits.Load, "requests a second, over a minute, at which a partition is split; 0: never")
	flags.DurationVar(&f.config.IndexGrace, "index-grace", 20*time.Millisecond, "how long a write waits at most for global indexes to have it; 0 as DynamoDB: a read right behind it may miss it")
	flags.StringArrayVar(&f.credentials, "credentials", nil, "ACCESS_KEY:SECRET to accept, may be repeated; without any, signatures are not verified")
	flags.BoolVar(&f.json, "json", false, "print one line of JSON when ready, for scripts")
	flags.StringVar(&f.logLevel, "log-level", "warn", "debug, info, warn or error; logs go to stderr")
	return cmd
}

func (f *upFlags) run(ctx context.Context) error {
	began := time.Now()
	memory.Relax()
	if err := f.complete(); err != nil {
		return err
	}
	c, err := cluster.Start(ctx, f.config)
	if err != nil {
		return err
	}
	info := c.Info()
	if f.json {
		line, err := json.Marshal(info)
		if err != nil {
			return fmt.Errorf("print readiness: %w", err)
		}
		fmt.Println(string(line))
	} else {
		f.print(os.Stdout, &info, time.Since(began))
	}
	// What starting needed is garbage now; an idle cluster should not hold it.
	debug.FreeOSMemory()
	err = c.Wait(ctx)
	if !f.json {
		fmt.Println("\nstopping …")
	}
	if closeErr := c.Close(); err == nil {
		err = closeErr
	}
	return err
}

func (f *upFlags) complete() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return fmt.Errorf("--log-level %q: debug, info, warn or error", f.logLevel)
	}
	f.config.LogLevel = level
	f.config.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	for _, pair := range f.credentials {
		key, secret, ok := strings.Cut(pair, ":")
		if !ok || key == "" || secret == "" {
			return fmt.Errorf("--credentials %q: want ACCESS_KEY:SECRET", pair)
		}
		if f.config.Credentials == nil {
			f.config.Credentials = map[string]string{}
		}
		f.config.Credentials[key] = secret
	}
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own executable: %w", err)
	}
	f.config.Binaries = filepath.Dir(binary)
	return nil
}

// print says where everything is, and what to try as it was started.
func (f *upFlags) print(w io.Writer, info *cluster.Info, took time.Duration) {
	fmt.Fprintf(w, "antipode is ready (%d ms)\n\n", took.Milliseconds())
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(table, "every region\t%s\n", info.Endpoint)
	for _, r := range info.Regions {
		fmt.Fprintf(table, "%s\t%s\n", r.Region, r.Endpoint)
		for _, n := range r.Nodes {
			fmt.Fprintf(table, "  node %s\t%s\t%s/metrics\n", n.Name, n.Zone, n.Admin)
		}
	}
	_ = table.Flush()
	first := info.Regions[0].Region
	fmt.Fprintf(w, `
Try it:
  export %s AWS_ENDPOINT_URL_DYNAMODB=%s
  aws dynamodb create-table --region %s --table-name notes --billing-mode PAY_PER_REQUEST \
      --attribute-definitions AttributeName=id,AttributeType=S --key-schema AttributeName=id,KeyType=HASH
`, f.keys(), info.Endpoint, first)
	if len(info.Regions) > 1 {
		second := info.Regions[1].Region
		fmt.Fprintf(w, `  aws dynamodb update-table --region %s --table-name notes --replica-updates '[{"Create":{"RegionName":"%s"}}]'
  aws dynamodb put-item --region %s --table-name notes --item '{"id":{"S":"1"},"text":{"S":"hello"}}'
  aws dynamodb get-item --region %s --table-name notes --key '{"id":{"S":"1"}}'
`, first, second, first, second)
	}
	fmt.Fprintf(w, "  %s\n\nCtrl-C stops it.\n", f.status(info))
}

// keys are the variables that make a client's requests acceptable. A secret is
// not printed: output ends up in logs.
func (f *upFlags) keys() string {
	if len(f.credentials) == 0 {
		return "AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local"
	}
	key, _, _ := strings.Cut(f.credentials[0], ":")
	return "AWS_ACCESS_KEY_ID=" + key + " AWS_SECRET_ACCESS_KEY='its secret'"
}

// status is the command that finds this system: by its directory, or in memory,
// where there is none, by its nodes.
func (f *upFlags) status(info *cluster.Info) string {
	switch {
	case f.config.InMemory:
		var admins []string
		for _, r := range info.Regions {
			for _, n := range r.Nodes {
				admins = append(admins, n.Admin)
			}
		}
		return os.Args[0] + " status --admin " + strings.Join(admins, ",")
	case f.config.Dir != defaultDir:
		return os.Args[0] + " status --data " + f.config.Dir
	}
	return os.Args[0] + " status"
}
