package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// rawHandler answers a request; it keeps no part of body. Ownership of the
// answer goes to the server.
type rawHandler func(ctx context.Context, body []byte) ([]byte, error)

// oneWayHandler takes a message, which it may keep.
type oneWayHandler func(from string, payload []byte)

// Server is the answering side. Handlers may be added while it serves. Requests
// run concurrently, each in a goroutine with the caller's deadline, cancelled
// when the caller gives up or is gone; one-way messages run one after another
// for each connection.
type Server struct {
	cfg    Config
	ctx    context.Context // done when the server is closed
	cancel context.CancelFunc

	calls     atomic.Int64
	callBytes atomic.Int64

	mu        sync.RWMutex
	requests  map[string]rawHandler
	oneWays   map[string]oneWayHandler
	listeners map[net.Listener]struct{}
	conns     map[*serverConn]struct{}
	addr      net.Addr
	closing   bool
	running   sync.WaitGroup // handlers and connections
}

// NewServer makes a Server without handlers.
func NewServer(cfg Config) *Server {
	s := &Server{
		cfg:      cfg.withDefaults(),
		requests: map[string]rawHandler{}, oneWays: map[string]oneWayHandler{},
		listeners: map[net.Listener]struct{}{}, conns: map[*serverConn]struct{}{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Serve accepts connections until the server is closed, and then returns nil.
// The listener is closed in any case.
func (s *Server) Serve(ln net.Listener) error {
	defer ln.Close()
	if s.cfg.TLS != nil {
		ln = tls.NewListener(ln, s.cfg.TLS)
	}
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return nil
	}
	s.listeners[ln] = struct{}{}
	s.addr = ln.Addr()
	s.mu.Unlock()
	for {
		conn, err := ln.Accept()
		if err == nil {
			s.start(conn)
			continue
		}
		if s.ctx.Err() != nil || s.isClosing() {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accept: %w", err)
		}
		// Out of descriptors, or a connection that was gone at once: both pass.
		s.cfg.Log.Warn("rpc: accept", "err", err)
		select {
		case <-time.After(acceptPause):
		case <-s.ctx.Done():
		}
	}
}

// acceptPause is how long a failed accept is not tried again.
const acceptPause = 20 * time.Millisecond

func (s *Server) isClosing() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.closing
}

// Addr is the last listener's address, nil before Serve.
func (s *Server) Addr() net.Addr {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.addr
}

func (s *Server) start(conn net.Conn) {
	c := &serverConn{s: s, conn: conn, cancels: map[uint64]context.CancelFunc{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		_ = conn.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.running.Go(func() {
		c.serve()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	})
}

// beginClose stops listening and returns the connections.
func (s *Server) beginClose() []*serverConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	for ln := range s.listeners {
		_ = ln.Close()
	}
	var conns []*serverConn
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

// Shutdown refuses new requests, as definitely not executed, lets those under
// way finish until ctx is done, and then closes.
func (s *Server) Shutdown(ctx context.Context) error {
	conns := s.beginClose()
	for _, c := range conns {
		c.goAway()
	}
	var err error
	for _, c := range conns {
		if err = c.drain(ctx); err != nil {
			break
		}
	}
	s.Close()
	return err
}

// Close ends all connections, cancels the handlers under way and returns when
// they have ended: after it no handler touches anything.
func (s *Server) Close() {
	conns := s.beginClose()
	s.cancel()
	for _, c := range conns {
		_ = c.conn.Close()
	}
	s.running.Wait()
}

// admit takes a request's place and bytes from the bounds.
func (s *Server) admit(size int) bool {
	if s.calls.Add(1) > int64(s.cfg.MaxCalls) || s.callBytes.Add(int64(size)) > s.cfg.MaxCallBytes {
		s.leave(size)
		return false
	}
	return true
}

func (s *Server) leave(size int) {
	s.calls.Add(-1)
	s.callBytes.Add(-int64(size))
}

func (s *Server) request(method []byte) rawHandler {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.requests[string(method)]
}

func (s *Server) oneWay(method []byte) oneWayHandler {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.oneWays[string(method)]
}

var errPanic = errors.New("internal fault")

// run calls h and turns a panic into an error.
func (s *Server) run(ctx context.Context, method string, h rawHandler, body []byte) (answer []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.cfg.Log.Error("rpc: handler panicked", "method", method, "panic", v, "stack", string(debug.Stack()))
			answer, err = nil, errPanic
		}
	}()
	return h(ctx, body)
}

func (s *Server) runOneWay(method []byte, h oneWayHandler, from string, payload []byte) {
	defer func() {
		if v := recover(); v != nil {
			s.cfg.Log.Error("rpc: handler panicked", "method", string(method), "panic", v, "stack", string(debug.Stack()))
		}
	}()
	h(from, payload)
}
