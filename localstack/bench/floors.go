package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// ServeEcho is the first floor: a bare net/http server that sends the request's
// body back. It serves until ctx ends.
func ServeEcho(ctx context.Context, listener net.Listener) error {
	return serve(ctx, listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}))
}

// ServeSyncedWrite is the second floor: net/http and one synced Pebble write of
// the body under a new key for each request, with the memtable size that nodes
// use. It serves until ctx ends.
func ServeSyncedWrite(ctx context.Context, listener net.Listener, dir string) error {
	db, err := pebble.Open(dir, &pebble.Options{MemTableSize: 32 << 20, MemTableStopWritesThreshold: 4})
	if err != nil {
		return fmt.Errorf("open floor store: %w", err)
	}
	defer db.Close()
	var sequence atomic.Uint64
	return serve(ctx, listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		key := binary.BigEndian.AppendUint64(nil, sequence.Add(1)%keyCount)
		if err := db.Set(key, body, pebble.Sync); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Length", "2")
		_, _ = io.WriteString(w, "{}")
	}))
}

func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
