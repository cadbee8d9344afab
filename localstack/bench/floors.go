package bench

import (
	"bytes"
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

// What a request asks of a floor, as headers that the product does not look at.
const (
	answerHeader = "X-Answer-Bytes" // how long the answer is to be
	syncHeader   = "X-Sync"         // once for each synced write to make
)

// maxAnswer bounds what ServeAnswers sends: DynamoDB's largest answer.
const maxAnswer = 16 << 20

// ServeAnswers is the floor of reads: a bare net/http server that reads a request
// and answers with as many bytes as it asks for. It serves until ctx ends.
func ServeAnswers(ctx context.Context, listener net.Listener) error {
	answer := bytes.Repeat([]byte{'x'}, maxAnswer)
	return serve(ctx, listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		n, err := strconv.Atoi(r.Header.Get(answerHeader))
		if err != nil || n < 0 || n > maxAnswer {
			http.Error(w, answerHeader+" is missing", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(n))
		_, _ = w.Write(answer[:n])
	}))
}

// ServeSyncedWrite is the floor of writes: net/http and synced Pebble writes of
// the body, each under a new key and begun when the one before is done, with the
// memtable size that nodes use. It serves until ctx ends.
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
		for range r.Header.Values(syncHeader) {
			key := binary.BigEndian.AppendUint64(nil, sequence.Add(1)%keyCount)
			if err := db.Set(key, body, pebble.Sync); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
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
