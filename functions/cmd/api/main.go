// Command api is antipode's request functions: DynamoDB's HTTP API for one
// region, over the nodes of that region. It serves HTTP, or runs as a Lambda
// function behind a function URL when the Lambda runtime starts it. It is
// stateless; run as many as you like.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"antipode/regionnode/memory"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(start(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// start runs the command and returns its exit status.
func start(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) int {
	o, err := parse(args, env, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "api: %v\nTry 'api --help'.\n", err)
		return 2
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: o.logLevel}))
	if env("AWS_LAMBDA_RUNTIME_API") != "" {
		err = serveLambda(ctx, o, log)
	} else {
		memory.Relax() // but not a Lambda function: its memory is small, and paid for
		err = serveHTTP(ctx, o, log, stdout)
	}
	if err != nil {
		log.Error("functions ended", "error", err)
		return 1
	}
	return 0
}
