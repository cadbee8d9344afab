package rpc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// readBuffer is each connection's; bodies larger than it bypass it.
const readBuffer = 32 << 10

// errNotBegun is a call on a session that ended between being chosen and being
// used: the next choice is another.
var errNotBegun = errors.New("session over")

// errLost is why a session ended that the peer or the network closed.
var errLost = errors.New("connection lost")

// session is a pool's end of one connection.
type session struct {
	cfg  *Config
	addr string
	peer Identity
	conn net.Conn
	w    *writer

	used  atomic.Int64 // when something was last sent, in Unix ns
	heard *atomic.Bool // something arrived since the last tick

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]*waiter
	// retired sessions take no new calls: the server said so, or it is dead.
	retired bool
	err     error // set once the connection is dead
	dead    chan struct{}
}

// waiter is one call in flight. Exactly one answer is put into its channel, or
// the caller takes it out of session.waiting first.
type waiter struct {
	answer chan answer
}

type answer struct {
	kind frameKind
	body []byte
	err  error // the connection died
}

var waiters = sync.Pool{New: func() any { return &waiter{answer: make(chan answer, 1)} }}

// listening notes that bytes arrive, also in the middle of a large message.
type listening struct {
	net.Conn
	heard *atomic.Bool
}

func (l listening) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if n > 0 {
		l.heard.Store(true)
	}
	return n, err
}

func dialSession(ctx context.Context, p *Pool, addr string) (*session, error) {
	cfg, heard := &p.cfg, new(atomic.Bool)
	raw, err := cfg.Dial(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	conn, r, peer, err := clientHandshake(ctx, cfg, addr, listening{raw, heard})
	if err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("handshake: %w", err)
	}
	s := &session{
		cfg: cfg, addr: addr, peer: peer, conn: conn, heard: heard,
		waiting: map[uint64]*waiter{}, dead: make(chan struct{}),
	}
	s.used.Store(time.Now().UnixNano())
	s.w = newWriter(conn, cfg)
	p.running.Go(s.w.run)
	p.running.Go(func() { s.read(r) })
	p.running.Go(s.watch)
	return s, nil
}

// usable tells whether new calls may go this way.
func (s *session) usable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.retired
}

// call sends a request and waits for its answer, whose body goes back by
// release.
func (s *session) call(ctx context.Context, method string, body []byte) ([]byte, error) {
	wt := waiters.Get().(*waiter)
	id, ok := s.enter(wt)
	if !ok {
		return nil, errNotBegun
	}
	var head [64]byte
	place, err := s.w.push(ctx, frame{
		kind: kindRequest, id: id, body: body,
		head: appendRequestHead(head[:0], timeoutMicros(ctx), method),
	})
	if err != nil {
		s.leave(id)
		return nil, &Unreachable{s.addr, false, err}
	}
	s.used.Store(time.Now().UnixNano())
	select {
	case a := <-wt.answer:
		waiters.Put(wt)
		return s.result(a, place)
	case <-ctx.Done():
		if !s.leave(id) {
			return s.result(<-wt.answer, place) // it came in the same moment
		}
		s.w.force(frame{kind: kindCancel, id: id})
		return nil, fmt.Errorf("%s at %s: %w", method, s.addr, ctx.Err())
	}
}

// probeAfter is the silence after which a connection is not trusted with a
// request: the process may have been frozen, and the other end be long gone
// without this one having been told.
const probeAfter = 15 * time.Second

// probe tells whether the session may be used: after a long silence it waits for
// one ping to come back, and ends the session if it does not. That is better
// than a request with an unknown outcome.
func (s *session) probe(ctx context.Context) bool {
	if time.Since(time.Unix(0, s.used.Load())) < probeAfter {
		return true
	}
	limit := time.NewTimer(min(s.cfg.KeepAlive, time.Second))
	defer limit.Stop()
	wt := waiters.Get().(*waiter)
	id, ok := s.enter(wt)
	if !ok {
		return false
	}
	s.w.force(frame{kind: kindPing, id: id})
	select {
	case a := <-wt.answer:
		waiters.Put(wt)
		s.used.Store(time.Now().UnixNano())
		return a.err == nil
	case <-ctx.Done(): // the caller's own hurry says nothing about the connection
		s.leave(id)
	case <-limit.C:
		if s.leave(id) {
			s.fail(fmt.Errorf("%w: silent after a pause", errLost))
		}
	}
	return false
}

func (s *session) result(a answer, place uint64) ([]byte, error) {
	switch {
	case a.err != nil:
		return nil, &Unreachable{s.addr, s.w.wasTaken(place), a.err}
	case a.kind == kindReply:
		return a.body, nil
	}
	defer release(a.body)
	if a.kind == kindRefuse {
		return nil, &Unreachable{s.addr, false, errors.New(string(a.body))}
	}
	var e wireError
	if err := decode(a.body, &e); err != nil {
		return nil, &RemoteError{s.addr, err.Error()}
	}
	return nil, fromWire(s.addr, e)
}

// timeoutMicros is what is left until ctx's deadline, at least 1 when there is
// one: 0 is none.
func timeoutMicros(ctx context.Context) uint64 {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return uint64(max(1, time.Until(deadline).Microseconds()))
}

func (s *session) enter(wt *waiter) (id uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.retired {
		return 0, false
	}
	s.last++
	s.waiting[s.last] = wt
	return s.last, true
}

// leave takes a call out before its answer came; false when the answer was
// faster.
func (s *session) leave(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.waiting[id]
	delete(s.waiting, id)
	return ok
}

func (s *session) read(r *bufio.Reader) {
	for {
		h, err := readHeader(r)
		if err != nil {
			s.fail(fmt.Errorf("%w: %w", errLost, err))
			return
		}
		body, err := readPayload(r, h, s.cfg.MaxMessage)
		if err != nil {
			s.fail(fmt.Errorf("%w: %w", errLost, err))
			return
		}
		s.deliver(h, body)
	}
}

func (s *session) deliver(h header, body []byte) {
	switch h.kind {
	case kindReply, kindError, kindRefuse, kindPong:
		s.mu.Lock()
		wt := s.waiting[h.id]
		delete(s.waiting, h.id)
		s.mu.Unlock()
		if wt != nil {
			wt.answer <- answer{kind: h.kind, body: body}
			return
		}
	case kindGoAway:
		s.mu.Lock()
		s.retired = true
		s.mu.Unlock()
	}
	release(body)
}

// fail ends the session: whoever waits learns why.
func (s *session) fail(err error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	s.err, s.retired = err, true
	waiting := s.waiting
	s.waiting = nil
	close(s.dead)
	s.mu.Unlock()
	s.w.fail(err) // before the answers: wasTaken is final from here on
	_ = s.conn.Close()
	for _, wt := range waiting {
		wt.answer <- answer{err: err}
	}
}

// watch pings a peer that owes answers, gives it up when it stays silent, and
// closes the session when nobody uses it.
func (s *session) watch() {
	tick := time.NewTicker(s.cfg.KeepAlive)
	defer tick.Stop()
	silent := 0
	for {
		select {
		case <-s.dead:
			return
		case <-tick.C:
		}
		if s.heard.Swap(false) || s.w.progress.Swap(false) {
			silent = 0
		}
		idle := time.Since(time.Unix(0, s.used.Load()))
		switch owing, retired := s.owing(); {
		case !owing && (retired || idle > s.cfg.IdleTimeout):
			s.fail(errors.New("idle"))
			return
		case !owing && idle > s.cfg.KeepAlive:
			silent = 0
			continue
		}
		if silent++; silent > 3 {
			s.fail(fmt.Errorf("%w: silent for %v", errLost, 3*s.cfg.KeepAlive))
			return
		}
		s.w.force(frame{kind: kindPing})
	}
}

func (s *session) owing() (owing, retired bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) > 0, s.retired
}
