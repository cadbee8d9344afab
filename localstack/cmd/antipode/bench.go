package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"antipode/localstack/bench"
	"antipode/regionnode/memory"
)

func benchCommand() *cobra.Command {
	c := bench.Config{Stderr: os.Stderr, Progress: os.Stderr}
	var jsonFile string
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "measure this machine's floors, antipode on top of them, and replication lag",
		Long: `bench measures, in one run: net/http servers that answer with as many bytes as
antipode does, or make one or two synced Pebble writes, then antipode's
operations, each driven by the same raw load generator, and prints the ratios
to these floors. Then it counts what one write makes the store write with global
indexes (not with --only), and measures the time from the acknowledgement of a
write in one region to its visibility in another.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if c.Binary, err = os.Executable(); err != nil {
				return fmt.Errorf("find own executable: %w", err)
			}
			report, err := bench.Run(cmd.Context(), c)
			if err != nil {
				return err
			}
			report.Print(os.Stdout)
			return saveReport(report, jsonFile)
		},
	}
	flags := cmd.Flags()
	flags.IntSliceVar(&c.Connections, "connections", []int{1, 32, 128}, "degrees of concurrency")
	flags.DurationVar(&c.Duration, "duration", 2*time.Second, "of one measurement")
	flags.IntVar(&c.Rounds, "rounds", 2, "how often each measurement is made")
	flags.IntVar(&c.LagRate, "lag-rate", 2000, "writes a second under which lag is measured; 0: no lag")
	flags.DurationVar(&c.LagDuration, "lag-duration", 10*time.Second, "how long lag is measured")
	flags.StringSliceVar(&c.Only, "only", nil, "measure only operations whose names begin so (put, get, query, update)")
	flags.StringVar(&c.Dir, "dir", "", "where the servers keep their data (default: the system's temporary directory)")
	flags.StringVar(&jsonFile, "json-file", "", "also write the report as JSON to this file")
	cmd.AddCommand(floorCommand())
	return cmd
}

func saveReport(report *bench.Report, path string) error {
	if path == "" {
		return nil
	}
	data, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// floorCommand serves one floor: bench starts it as a process of its own.
func floorCommand() *cobra.Command {
	var kind, data string
	cmd := &cobra.Command{
		Use:    "floor",
		Short:  "serve one of the floors",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return fmt.Errorf("listen: %w", err)
			}
			fmt.Printf(`{"ready":true,"endpoint":"http://%s"}`+"\n", listener.Addr())
			memory.Relax() // as the product, or the ratios would flatter it
			switch kind {
			case "answers":
				return bench.ServeAnswers(cmd.Context(), listener)
			case "write":
				return bench.ServeSyncedWrite(cmd.Context(), listener, data)
			}
			return fmt.Errorf("--kind %q: answers or write", kind)
		},
	}
	cmd.Flags().StringVar(&kind, "kind", "answers", "answers or write")
	cmd.Flags().StringVar(&data, "data", "", "data directory of the write floor")
	return cmd
}
