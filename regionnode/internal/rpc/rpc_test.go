package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"slices"
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
	s, addr := serveAt(t, cfg, "127.0.0.1:0")
	Handle(s, "Echo", func(_ context.Context, r *echo) (*echo, error) { return r, nil })
	return s, addr
}

func serveAt(t testing.TB, cfg Config, addr string) (*Server, string) {
	t.Helper()
	cfg.Log = testLog(t)
	s := NewServer(cfg)
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, ln.Addr().String()
}

func dial(t testing.TB, cfg Config) *Pool {
	cfg.Log = testLog(t)
	p := NewPool(cfg)
	t.Cleanup(p.Close)
	return p
}

// within bounds a test's calls, so that a hang fails instead of blocking.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// await takes from ch, or fails.
func await[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(30 * time.Second):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

func TestManyCallersShareConnections(t *testing.T) {
	_, addr := serve(t, Config{})
	p := dial(t, Config{Connections: 2})
	ctx := within(t)
	var wg sync.WaitGroup
	for caller := range 32 {
		wg.Go(func() {
			for i := range 40 {
				want := echo{i, fmt.Sprint(caller), bytes.Repeat([]byte{byte(caller)}, i*1037)}
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

func TestLargePayloads(t *testing.T) {
	_, addr := serve(t, Config{})
	p := dial(t, Config{})
	for _, size := range []int{0, 1, looseBytes - 1, looseBytes, 1 << 16, bulkBytes, 1 << 20, 16 << 20} {
		want := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		for _, ctx := range []context.Context{within(t), Bulk(within(t)), Snapshot(within(t))} {
			got, err := Call[echo, echo](ctx, p, addr, "Echo", &echo{Bytes: want})
			if err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			if !bytes.Equal(got.Bytes, want) {
				t.Errorf("%d bytes: got %d others", size, len(got.Bytes))
			}
		}
	}
	if len(p.lanes) != p.cfg.Connections+2 {
		t.Errorf("%d kinds of connection", len(p.lanes))
	}
}

func TestMessageLimits(t *testing.T) {
	s, addr := serve(t, Config{MaxMessage: 1000})
	Handle(s, "Long", func(context.Context, *echo) (*echo, error) {
		return &echo{Bytes: make([]byte, 2000)}, nil
	})
	p := dial(t, Config{MaxMessage: 1000})
	_, err := Call[echo, echo](within(t), p, addr, "Echo", &echo{Bytes: make([]byte, 2000)})
	if !NotExecuted(err) {
		t.Errorf("request too long: %v", err)
	}
	if _, err = Call[echo, echo](within(t), p, addr, "Long", &echo{}); err == nil || NotExecuted(err) {
		t.Errorf("answer too long: %v", err)
	}
	if _, err = Call[echo, echo](within(t), p, addr, "Echo", &echo{Bytes: make([]byte, 500)}); err != nil {
		t.Errorf("after that: %v", err)
	}
}

func TestRawCallsKeepTheirBytes(t *testing.T) {
	s, addr := serve(t, Config{})
	var kept [][]byte
	var mu sync.Mutex
	HandleRaw(s, "Keep", func(_ context.Context, req []byte) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		kept = append(kept, req)
		return req, nil
	})
	p := dial(t, Config{})
	sizes := []int{0, 10, 600, 5000, looseBytes, 300 << 10}
	var answers [][]byte
	for i, size := range sizes {
		req := bytes.Repeat([]byte{byte(i + 1)}, size)
		got, err := p.CallRaw(within(t), addr, "Keep", req)
		if err != nil {
			t.Fatal(err)
		}
		clear(req)
		answers = append(answers, got)
	}
	for range 100 { // give recycled buffers the chance to be written to
		if _, err := Call[echo, echo](within(t), p, addr, "Echo", &echo{Bytes: make([]byte, 700)}); err != nil {
			t.Fatal(err)
		}
	}
	for i, size := range sizes {
		want := bytes.Repeat([]byte{byte(i + 1)}, size)
		if !bytes.Equal(kept[i], want) || !bytes.Equal(answers[i], want) {
			t.Errorf("%d bytes changed afterwards", size)
		}
	}
}

func TestOneWayArrivesInOrder(t *testing.T) {
	s, addr := serve(t, Config{})
	const n = 5000
	got := make(chan string, n)
	HandleOneWay(s, "Raft", func(from string, payload []byte) { got <- from + string(payload) })
	p := dial(t, Config{Self: Identity{Node: "n1:"}})
	for i := range n { // the first ones go before there is a connection
		if err := p.Send(addr, "Raft", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		if m := await(t, got, "message"); m != fmt.Sprint("n1:", i) {
			t.Fatalf("message %d is %q", i, m)
		}
	}
}

func TestSendDropsWhenFull(t *testing.T) {
	s, addr := serve(t, Config{})
	release := make(chan struct{})
	HandleOneWay(s, "Raft", func(string, []byte) { <-release })
	defer close(release)
	p := dial(t, Config{QueueBytes: 1 << 20})
	var err error
	for range 1000 { // far more than the queue and the kernel take
		if err = p.Send(addr, "Raft", make([]byte, 1<<20)); err != nil {
			break
		}
	}
	if u, ok := errors.AsType[*Unreachable](err); !ok || u.Sent || !errors.Is(err, ErrQueueFull) {
		t.Fatalf("got %v", err)
	}
	// Calls have connections of their own, and pass.
	if _, err := Call[echo, echo](within(t), p, addr, "Echo", &echo{}); err != nil {
		t.Error(err)
	}
}

func TestDeadlineReachesTheHandler(t *testing.T) {
	s, addr := serve(t, Config{})
	left := make(chan time.Duration, 1)
	Handle(s, "Deadline", func(ctx context.Context, _ *echo) (*echo, error) {
		deadline, ok := ctx.Deadline()
		if !ok {
			left <- 0
			return nil, nil
		}
		left <- time.Until(deadline)
		return nil, nil
	})
	p := dial(t, Config{})
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if _, err := Call[echo, echo](ctx, p, addr, "Deadline", &echo{}); err != nil {
		t.Fatal(err)
	}
	if d := <-left; d < 50*time.Minute || d > time.Hour {
		t.Errorf("handler has %v", d)
	}
	if _, err := Call[echo, echo](context.Background(), p, addr, "Deadline", &echo{}); err != nil {
		t.Fatal(err)
	}
	if d := <-left; d != 0 {
		t.Errorf("handler has %v without a deadline", d)
	}
}

func TestCancellationReachesTheHandler(t *testing.T) {
	s, addr := serve(t, Config{})
	entered, cancelled := make(chan struct{}), make(chan error, 1)
	Handle(s, "Wait", func(ctx context.Context, _ *echo) (*echo, error) {
		entered <- struct{}{}
		<-ctx.Done()
		cancelled <- ctx.Err()
		return nil, ctx.Err()
	})
	p := dial(t, Config{})
	ctx, cancel := context.WithCancel(context.Background())
	failed := make(chan error, 1)
	go func() {
		_, err := Call[echo, echo](ctx, p, addr, "Wait", &echo{})
		failed <- err
	}()
	await(t, entered, "call")
	cancel()
	if err := await(t, failed, "answer"); !errors.Is(err, context.Canceled) || NotExecuted(err) {
		t.Errorf("caller got %v", err)
	}
	if err := await(t, cancelled, "cancellation"); !errors.Is(err, context.Canceled) {
		t.Errorf("handler got %v", err)
	}
	// The connection is still good.
	if _, err := Call[echo, echo](within(t), p, addr, "Echo", &echo{}); err != nil {
		t.Error(err)
	}
}

func TestHandlersEndWithTheirCaller(t *testing.T) {
	s, addr := serve(t, Config{})
	entered, cancelled := make(chan struct{}), make(chan struct{})
	Handle(s, "Wait", func(ctx context.Context, _ *echo) (*echo, error) {
		close(entered)
		<-ctx.Done()
		close(cancelled)
		return nil, ctx.Err()
	})
	p := dial(t, Config{})
	go func() { _, _ = Call[echo, echo](context.Background(), p, addr, "Wait", &echo{}) }()
	await(t, entered, "call")
	p.Close()
	await(t, cancelled, "cancellation")
}

func TestPeerKnowsWhoCalls(t *testing.T) {
	server, client := Identity{"c", "eu", "1"}, Identity{"c", "us", "2"}
	var clocks []string
	var mu sync.Mutex
	observe := func(peer Identity, clock []byte) error {
		mu.Lock()
		defer mu.Unlock()
		clocks = append(clocks, peer.Region+string(clock))
		return nil
	}
	s, addr := serve(t, Config{Self: server, Clock: func() []byte { return []byte("7") }, Observe: observe})
	callers := make(chan Identity, 1)
	Handle(s, "Who", func(ctx context.Context, _ *echo) (*echo, error) {
		callers <- Peer(ctx)
		return nil, nil
	})
	p := dial(t, Config{Self: client, Clock: func() []byte { return []byte("9") }, Observe: observe})
	if _, err := Call[echo, echo](within(t), p, addr, "Who", &echo{}); err != nil {
		t.Fatal(err)
	}
	if got := <-callers; got != client {
		t.Errorf("server sees %+v", got)
	}
	if got, err := p.Peer(within(t), addr); err != nil || got != server {
		t.Errorf("client sees %+v, %v", got, err)
	}
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(clocks)
	if want := []string{"eu7", "us9"}; !slices.Equal(clocks, want) {
		t.Errorf("clocks observed: %q", clocks)
	}
}

// TestToNode calls a node by its address: another one that answers there is not
// asked.
func TestToNode(t *testing.T) {
	s, addr := serve(t, Config{Self: Identity{Node: "new"}})
	Handle(s, "Who", func(context.Context, *echo) (*echo, error) { return nil, nil })
	p := dial(t, Config{})
	for name, want := range map[string]bool{"new": true, "old": false} {
		_, err := Call[echo, echo](ToNode(within(t), name), p, addr, "Who", &echo{})
		if (err == nil) != want || err != nil && !NotExecuted(err) {
			t.Errorf("a call to %s: %v", name, err)
		}
	}
}

func TestIdleConnectionsClose(t *testing.T) {
	s, addr := serve(t, Config{})
	p := dial(t, Config{IdleTimeout: time.Millisecond, KeepAlive: 5 * time.Millisecond})
	for range 3 {
		if _, err := Call[echo, echo](within(t), p, addr, "Echo", &echo{}); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(30 * time.Second); ; {
			s.mu.RLock()
			n := len(s.conns)
			s.mu.RUnlock()
			if n == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d connections left", n)
			}
			runtime.Gosched()
		}
	}
}
