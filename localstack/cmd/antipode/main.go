// Command antipode runs and watches regions on this machine: `antipode up`
// starts them, `antipode status` looks at them, `antipode partition` splits
// their partitions, `antipode bench` measures them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait for what the first one ends
	err := command().ExecuteContext(ctx)
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "antipode:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "antipode",
		Short: "DynamoDB with Global Tables, on your machine",
		Long: `antipode runs a DynamoDB-compatible database whose tables live in several
regions at once. Start it and point any AWS SDK at the endpoint it prints.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(upCommand(), statusCommand(), nodeCommand(), partitionCommand(), benchCommand())
	return root
}
