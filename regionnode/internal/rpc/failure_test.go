package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
)

func TestErrorsCross(t *testing.T) {
	s, addr := serve(t, Config{})
	var give error
	Handle(s, "Fail", func(context.Context, *echo) (*echo, error) { return nil, give })
	p := dial(t, Config{})
	api := &apierr.Error{
		Code: apierr.TransactionCanceled, Message: "cancelled", Item: []byte{1, 2},
		Reasons: []apierr.Reason{{Code: "None"}, {Code: "ConditionalCheckFailed", Message: "m", Item: []byte{3}}},
	}
	stale := &regionnode.Stale{Partition: 7, Reason: "split"}
	elsewhere := &regionnode.NotLeader{Partition: 8, Leader: 0xfedcba9876543210}
	for _, c := range []struct {
		name        string
		give, want  error
		notExecuted bool
	}{
		{"api", api, api, false},
		{"wrapped api", fmt.Errorf("write: %w", api), api, false},
		{"stale", stale, stale, true},
		{"not leader", fmt.Errorf("x: %w", elsewhere), elsewhere, true},
		{"other", errors.New("disk on fire"), &RemoteError{addr, "disk on fire"}, false},
		{"nested", &Unreachable{"elsewhere", false, errors.New("no")}, &RemoteError{addr, "elsewhere: unreachable: no"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			give = c.give
			_, err := Call[echo, echo](within(t), p, addr, "Fail", &echo{})
			if !reflect.DeepEqual(err, c.want) {
				t.Errorf("got %#v", err)
			}
			if NotExecuted(err) != c.notExecuted {
				t.Errorf("NotExecuted is %v", !c.notExecuted)
			}
		})
	}
	for _, want := range []error{context.DeadlineExceeded, context.Canceled} {
		give = fmt.Errorf("propose: %w", want)
		if _, err := Call[echo, echo](within(t), p, addr, "Fail", &echo{}); !errors.Is(err, want) || NotExecuted(err) {
			t.Errorf("%v came as %v", want, err)
		}
	}
}

func TestPanicIsAnError(t *testing.T) {
	s, addr := serve(t, Config{})
	Handle(s, "Panic", func(context.Context, *echo) (*echo, error) { panic("boom") })
	HandleOneWay(s, "Panic", func(string, []byte) { panic("boom") })
	p := dial(t, Config{})
	_, err := Call[echo, echo](within(t), p, addr, "Panic", &echo{})
	if r, ok := errors.AsType[*RemoteError](err); !ok || strings.Contains(r.Message, "boom") {
		t.Errorf("got %v", err)
	}
	if err := p.Send(addr, "Panic", nil); err != nil {
		t.Error(err)
	}
	if _, err := Call[echo, echo](within(t), p, addr, "Echo", &echo{}); err != nil {
		t.Errorf("after that: %v", err)
	}
}

func TestRefusalsAreNotExecuted(t *testing.T) {
	s, addr := serve(t, Config{MaxCalls: 1})
	entered, leave := make(chan struct{}), make(chan struct{})
	Handle(s, "Block", func(context.Context, *echo) (*echo, error) {
		close(entered)
		<-leave
		return nil, nil
	})
	p := dial(t, Config{})
	wantRefusal := func(method, why string) {
		t.Helper()
		_, err := Call[echo, echo](within(t), p, addr, method, &echo{})
		if u, ok := errors.AsType[*Unreachable](err); !ok || u.Sent || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: got %v, want %q", method, err, why)
		}
	}
	wantRefusal("Nothing", "no method")
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := Call[echo, echo](within(t), p, addr, "Block", &echo{}); err != nil {
			t.Errorf("the call under way: %v", err)
		}
	})
	await(t, entered, "call")
	wantRefusal("Echo", "overloaded")
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(within(t)) }()
	for !s.isClosing() {
		runtime.Gosched()
	}
	// New connections are not accepted, the old one refuses.
	_, err := Call[echo, echo](within(t), p, addr, "Echo", &echo{})
	if !NotExecuted(err) {
		t.Errorf("while shutting down: %v", err)
	}
	close(leave)
	wg.Wait()
	if err := await(t, stopped, "end of Shutdown"); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestShutdownGivesUp(t *testing.T) {
	s, addr := serve(t, Config{})
	entered := make(chan struct{})
	Handle(s, "Block", func(ctx context.Context, _ *echo) (*echo, error) {
		close(entered)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	p := dial(t, Config{})
	failed := make(chan error, 1)
	go func() {
		_, err := Call[echo, echo](within(t), p, addr, "Block", &echo{})
		failed <- err
	}()
	await(t, entered, "call")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
	if err := await(t, failed, "answer"); err == nil || NotExecuted(err) {
		t.Errorf("call got %v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	var dials int
	var mu sync.Mutex
	p := dial(t, Config{
		MinBackoff: time.Hour, MaxBackoff: time.Hour,
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			dials++
			return dialTCP(ctx, addr)
		},
	})
	for range 3 {
		_, err := Call[echo, echo](within(t), p, addr, "Echo", &echo{})
		if u, ok := errors.AsType[*Unreachable](err); !ok || u.Sent || u.Addr != addr {
			t.Errorf("got %v", err)
		}
	}
	if dials != 1 {
		t.Errorf("dialed %d times in the pause", dials)
	}
	expired, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Call[echo, echo](expired, p, addr, "Echo", &echo{}); !NotExecuted(err) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled beforehand: %v", err)
	}
	p.Close()
	if _, err := Call[echo, echo](within(t), p, addr, "Echo", &echo{}); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if err := p.Send(addr, "Raft", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestServerKilledInTheMiddle(t *testing.T) {
	s, addr := serve(t, Config{})
	entered := make(chan struct{}, 8)
	Handle(s, "Block", func(ctx context.Context, _ *echo) (*echo, error) {
		entered <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	p := dial(t, Config{MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
	failed := make(chan error, 8)
	for range 8 {
		go func() {
			_, err := Call[echo, echo](within(t), p, addr, "Block", &echo{})
			failed <- err
		}()
	}
	for range 8 {
		await(t, entered, "call")
	}
	s.Close()
	for range 8 {
		err := await(t, failed, "answer")
		if u, ok := errors.AsType[*Unreachable](err); !ok || !u.Sent {
			t.Errorf("got %v", err)
		}
	}
	if _, err := Call[echo, echo](within(t), p, addr, "Echo", &echo{}); !NotExecuted(err) {
		t.Errorf("while it is down: %v", err)
	}
	again, _ := serveAt(t, Config{}, addr)
	Handle(again, "Echo", func(_ context.Context, r *echo) (*echo, error) { return r, nil })
	ctx := within(t)
	for {
		_, err := Call[echo, echo](ctx, p, addr, "Echo", &echo{})
		if err == nil {
			break
		}
		if !NotExecuted(err) || ctx.Err() != nil {
			t.Fatalf("after the restart: %v", err)
		}
	}
}

// gate is a connection whose writes block once it is shut.
type gate struct {
	net.Conn
	shut   chan struct{}
	closed chan struct{}
	once   *sync.Once
}

func (g gate) Write(b []byte) (int, error) {
	select {
	case <-g.shut:
		<-g.closed
		return 0, net.ErrClosed
	default:
		return g.Conn.Write(b)
	}
}

func (g gate) Close() error {
	g.once.Do(func() { close(g.closed) })
	return g.Conn.Close()
}

func TestQueuedButNotSent(t *testing.T) {
	_, addr := serve(t, Config{})
	shut := make(chan struct{})
	var conns []gate
	p := dial(t, Config{
		MinBackoff: time.Hour,
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			c, err := dialTCP(ctx, addr)
			g := gate{c, shut, make(chan struct{}), new(sync.Once)}
			conns = append(conns, g)
			return g, err
		},
	})
	if _, err := Call[echo, echo](within(t), p, addr, "Echo", &echo{}); err != nil {
		t.Fatal(err)
	}
	close(shut)
	s, err := p.session(within(t), addr, classCalls)
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	call := func(started func() bool) {
		go func() {
			_, err := Call[echo, echo](within(t), p, addr, "Echo", &echo{})
			failed <- err
		}()
		for !started() {
			runtime.Gosched()
		}
	}
	progress := func() (queued, taken uint64) {
		s.w.mu.Lock()
		defer s.w.mu.Unlock()
		return s.w.queued, s.w.taken
	}
	call(func() bool { _, taken := progress(); return taken == 2 }) // stuck in Write: may have left
	call(func() bool { queued, _ := progress(); return queued == 3 })
	conns[0].Close()
	sent := map[bool]int{}
	for range 2 {
		u, ok := errors.AsType[*Unreachable](await(t, failed, "answer"))
		if !ok {
			t.Fatal("not Unreachable")
		}
		sent[u.Sent]++
	}
	if sent[true] != 1 || sent[false] != 1 {
		t.Errorf("Sent: %v", sent)
	}
}

// mute is a listener whose connections are accepted and stay silent.
func mute(t *testing.T) (accepted <-chan net.Conn, addr string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns, ended := make(chan net.Conn, 16), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			conns <- c
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-ended
	})
	return conns, ln.Addr().String()
}

func TestSilentPeerIsGivenUp(t *testing.T) {
	accepted, addr := mute(t)
	cfg := Config{}.withDefaults()
	go func() { _, _, _ = serverHandshake(&cfg, <-accepted) }() // and not a word more
	p := dial(t, Config{KeepAlive: 10 * time.Millisecond})
	_, err := Call[echo, echo](within(t), p, addr, "Echo", &echo{})
	if u, ok := errors.AsType[*Unreachable](err); !ok || !u.Sent || !strings.Contains(err.Error(), "silent") {
		t.Errorf("got %v", err)
	}
}

// abyss is a connection whose writes vanish once it is open to it.
type abyss struct {
	net.Conn
	open *atomic.Bool
}

func (a abyss) Write(b []byte) (int, error) {
	if a.open.Load() {
		return len(b), nil
	}
	return a.Conn.Write(b)
}

// TestThawedCallerProbesFirst has a network that forgot the connection while the
// caller was frozen: without the probe the request would be lost in it.
func TestThawedCallerProbesFirst(t *testing.T) {
	_, addr := serve(t, Config{})
	var dials atomic.Int32
	gone := new(atomic.Bool)
	p := dial(t, Config{
		KeepAlive: 50 * time.Millisecond, IdleTimeout: time.Hour,
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			c, err := dialTCP(ctx, addr)
			if dials.Add(1) == 1 {
				return abyss{c, gone}, err
			}
			return c, err
		},
	})
	thaw := func() {
		t.Helper()
		s, err := p.session(within(t), addr, classCalls)
		if err != nil {
			t.Fatal(err)
		}
		s.used.Store(time.Now().Add(-time.Minute).UnixNano())
		if _, err := Call[echo, echo](within(t), p, addr, "Echo", &echo{}); err != nil {
			t.Fatal(err)
		}
	}
	thaw()
	thaw()
	if n := dials.Load(); n != 1 {
		t.Errorf("%d connections while the first was good", n)
	}
	gone.Store(true)
	thaw()
	if n := dials.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	_, addr := serve(t, Config{Self: Identity{Cluster: "a"}})
	for name, c := range map[string]struct {
		cfg Config
		why string
	}{
		"cluster": {Config{Self: Identity{Cluster: "b"}}, `cluster "b", here "a"`},
		"clock": {Config{Observe: func(Identity, []byte) error {
			return errors.New("too far ahead")
		}}, "too far ahead"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Call[echo, echo](within(t), dial(t, c.cfg), addr, "Echo", &echo{})
			if !NotExecuted(err) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("protocol", func(t *testing.T) {
		cfg := Config{}.withDefaults()
		for _, h := range []hello{{Newest: 0, Oldest: 0}, {Newest: 99, Oldest: 98}} {
			if err := accept(&cfg, nil, h); err == nil || !strings.Contains(err.Error(), "protocol") {
				t.Errorf("%+v: %v", h, err)
			}
		}
		if err := accept(&cfg, nil, hello{Newest: 99, Oldest: 1}); err != nil {
			t.Error(err)
		}
	})
	t.Run("http", func(t *testing.T) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("read %d bytes", n)
		}
	})
	t.Run("a cluster not known yet", func(t *testing.T) {
		if _, err := Call[echo, echo](within(t), dial(t, Config{}), addr, "Echo", &echo{}); err != nil {
			t.Error(err)
		}
	})
}
