package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"antipode/functions"
)

// shutdownPatience is how long requests under way may take once the process is
// told to end.
const shutdownPatience = 20 * time.Second

// ready is the line on standard output that says where the server listens.
type ready struct {
	Ready    bool   `json:"ready"`
	Region   string `json:"region"`
	Endpoint string `json:"endpoint"`
}

// serveHTTP serves until ctx ends, and then lets requests under way finish.
func serveHTTP(ctx context.Context, o *options, log *slog.Logger, stdout io.Writer) error {
	backend, err := o.connect(log)
	if err != nil {
		return fmt.Errorf("connect to nodes: %w", err)
	}
	defer backend.Close()
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := functions.NewServer(functions.New(o.config(backend, log)))
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	if err := json.NewEncoder(stdout).Encode(ready{true, o.region, "http://" + listener.Addr().String()}); err != nil {
		return fmt.Errorf("write ready line: %w", err)
	}
	log.Info("functions are serving", "region", o.region, "address", listener.Addr().String())
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownPatience)
	defer cancel()
	if err := server.Shutdown(patience); err != nil {
		return fmt.Errorf("shut down: %w", errors.Join(err, server.Close()))
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
