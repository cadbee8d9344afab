package rpc

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type echo struct {
	Number int    `msgpack:"n"`
	Text   string `msgpack:"t"`
	Bytes  []byte `msgpack:"b"`
}

// testLog shows what is logged only when the test fails.
func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// serve starts a server on loopback that echoes on "Echo".
func serve(t testing.TB, cfg Config) (*Server, string) {
	t.Helper()
	cfg.Log = testLog(t)
	s := NewServer(cfg)
	Handle(s, "Echo", func(_ context.Context, r *echo) (*echo, error) { return r, nil })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return s, run(t, s, ln)
}

func run(t testing.TB, s *Server, ln net.Listener) string {
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr().String()
}

func dial(t testing.TB, cfg Config) *Pool {
	cfg.Log = testLog(t)
	p := NewPool(cfg)
	t.Cleanup(p.Close)
	return p
}

// within bounds a test's calls, so that a hang fails instead of blocking.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestManyCallersShareConnections(t *testing.T) {
	_, addr := serve(t, Config{})
	p := dial(t, Config{Connections: 2})
	ctx := within(t)
	var wg sync.WaitGroup
	for caller := range 64 {
		wg.Go(func() {
			for i := range 50 {
				want := echo{i, fmt.Sprint(caller), bytes.Repeat([]byte{byte(caller)}, i*37)}
				got, err := Call[echo, echo](ctx, p, addr, "Echo", &want)
				if err != nil {
					t.Errorf("caller %d, call %d: %v", caller, i, err)
					return
				}
				if got.Number != want.Number || got.Text != want.Text || !bytes.Equal(got.Bytes, want.Bytes) {
					t.Errorf("caller %d, call %d: got %d %q and %d bytes", caller, i, got.Number, got.Text, len(got.Bytes))
				}
			}
		})
	}
	wg.Wait()
}
