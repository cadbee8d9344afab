package rpc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// bulkBytes is from which request size on a call takes the bulk connection, so
// that small calls need not wait behind it.
const bulkBytes = 256 << 10

// class separates traffic by connection: what shares one waits for its turn.
type class uint8

const (
	classCalls class = iota
	classBulk
	classOneWay
	classApart
	classSnapshot
)

// Pool is the calling side: connections by address and class, dialed when first
// needed, shared by any number of callers. Safe for concurrent use.
type Pool struct {
	cfg    Config
	ctx    context.Context // done when the pool is closed
	cancel context.CancelFunc
	turn   atomic.Uint32
	// running counts the goroutines of dials and sessions.
	running sync.WaitGroup

	mu    sync.RWMutex
	lanes map[laneKey]*lane
}

type laneKey struct {
	addr  string
	class class
	index int // among an address's Connections
}

// NewPool makes a Pool. It dials nothing yet.
func NewPool(cfg Config) *Pool {
	p := &Pool{cfg: cfg.withDefaults(), lanes: map[laneKey]*lane{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Close ends all connections and returns when none of the pool's goroutines is
// left; calls in flight fail as Unreachable.
func (p *Pool) Close() {
	p.cancel()
	p.mu.Lock()
	lanes := p.lanes
	p.lanes = nil
	p.mu.Unlock()
	for _, l := range lanes {
		l.close()
	}
	p.running.Wait()
}

// Peer is who answers at addr, connecting if need be.
func (p *Pool) Peer(ctx context.Context, addr string) (Identity, error) {
	s, err := p.session(ctx, addr, classCalls)
	if err != nil {
		return Identity{}, err
	}
	return s.peer, nil
}

// CallRaw is Call for payloads that are already bytes. The answer belongs to the
// caller; req must not change until CallRaw returns.
func (p *Pool) CallRaw(ctx context.Context, addr, method string, req []byte) ([]byte, error) {
	if len(req) > looseBytes {
		// The writer may still hold a loose body when a cancelled call returns.
		req = append([]byte(nil), req...)
	}
	return p.call(ctx, addr, method, req)
}

// call hands req over: when it is loose it is never touched again.
func (p *Pool) call(ctx context.Context, addr, method string, req []byte) ([]byte, error) {
	if len(req) > p.cfg.MaxMessage-len(method)-32 {
		return nil, &Unreachable{addr, false, errTooLarge}
	}
	c := classOf(ctx, len(req))
	for ctx.Err() == nil {
		s, err := p.session(ctx, addr, c)
		if err != nil {
			return nil, err
		}
		if want, ok := ctx.Value(nodeKey{}).(string); ok && s.peer.Node != want {
			return nil, &Unreachable{addr, false, fmt.Errorf("node %q answers there, not %q", s.peer.Node, want)}
		}
		if !s.probe(ctx) {
			continue
		}
		answer, err := s.call(ctx, method, req)
		if !errors.Is(err, errNotBegun) {
			return answer, err
		}
	}
	return nil, &Unreachable{addr, false, ctx.Err()}
}

var errTooLarge = errors.New("message too large")

// Send queues a one-way message and returns at once; an error says that it was
// dropped, nil does not say that it arrives. While there is no connection, one
// is dialed and the message is dropped. Messages of one pool to one address
// arrive in order. payload must not change afterwards.
func (p *Pool) Send(addr, method string, payload []byte) error {
	return p.sendBy(classOneWay, addr, method, payload)
}

// SendApart is Send by a connection of its own, for small messages that must not
// wait behind others. Their order is kept among themselves alone.
func (p *Pool) SendApart(addr, method string, payload []byte) error {
	return p.sendBy(classApart, addr, method, payload)
}

func (p *Pool) sendBy(c class, addr, method string, payload []byte) error {
	l, err := p.lane(laneKey{addr: addr, class: c})
	if err != nil {
		return &Unreachable{addr, false, err}
	}
	s, _, err := l.ready(p)
	if err != nil {
		return &Unreachable{addr, false, err}
	}
	if s == nil {
		return l.hold(method, payload)
	}
	return s.send(method, payload)
}

func (s *session) send(method string, payload []byte) error {
	var head [64]byte
	err := s.w.tryPush(frame{kind: kindOneWay, head: appendMethod(head[:0], method), body: payload})
	if err != nil {
		return &Unreachable{s.addr, false, err}
	}
	s.used.Store(time.Now().UnixNano())
	return nil
}

func (p *Pool) session(ctx context.Context, addr string, c class) (*session, error) {
	key := laneKey{addr: addr, class: c}
	if c == classCalls && p.cfg.Connections > 1 {
		key.index = int(p.turn.Add(1)) % p.cfg.Connections
	}
	l, err := p.lane(key)
	if err != nil {
		return nil, &Unreachable{addr, false, err}
	}
	s, err := l.wait(ctx, p)
	if err != nil {
		return nil, &Unreachable{addr, false, err}
	}
	return s, nil
}

func (p *Pool) lane(key laneKey) (*lane, error) {
	p.mu.RLock()
	l := p.lanes[key]
	p.mu.RUnlock()
	if l != nil {
		return l, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lanes == nil {
		return nil, ErrClosed
	}
	if l = p.lanes[key]; l == nil {
		l = &lane{cfg: &p.cfg, addr: key.addr}
		p.lanes[key] = l
	}
	return l, nil
}

// classOf is which connection a call of so many bytes takes.
func classOf(ctx context.Context, size int) class {
	if c, ok := ctx.Value(classKey{}).(class); ok {
		return c
	}
	if size >= bulkBytes {
		return classBulk
	}
	return classCalls
}

// nodeKey marks a context of ToNode.
type nodeKey struct{}

// ToNode has ctx's calls made only to the node of that name (Identity.Node):
// where another one answers, as on a machine that was installed anew or whose
// address was given away, they fail as Unreachable and are not executed.
func ToNode(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, nodeKey{}, name)
}

// classKey marks a context of Bulk or Snapshot.
type classKey struct{}

// Bulk marks ctx's calls as bulk: their answers are large, so they go by a
// connection of their own. Calls with large requests do so anyway.
func Bulk(ctx context.Context) context.Context {
	return context.WithValue(ctx, classKey{}, classBulk)
}

// Snapshot marks ctx's calls as parts of a snapshot: nothing else waits behind
// them.
func Snapshot(ctx context.Context) context.Context {
	return context.WithValue(ctx, classKey{}, classSnapshot)
}

// lane is the place of one connection: dialed once for all who wait, and not
// again for a while after it failed.
type lane struct {
	cfg  *Config
	addr string

	mu      sync.Mutex
	closed  bool
	current *session
	dialing *attempt      // nil when no dial is under way
	held    []heldMessage // one-way messages that wait for the dial
	heldLen int
	failed  error // of the last dial
	pause   time.Duration
	until   time.Time // no dial before
}

type heldMessage struct {
	method  string
	payload []byte
}

// attempt is one dial; s and err are set when done is closed.
type attempt struct {
	done chan struct{}
	s    *session
	err  error
}

// ready returns the session, or the attempt to make it.
func (l *lane) ready(p *Pool) (*session, *attempt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, nil, ErrClosed
	case l.current != nil && l.current.usable():
		return l.current, nil, nil
	case l.dialing != nil:
		return nil, l.dialing, nil
	case time.Now().Before(l.until):
		return nil, nil, l.failed
	}
	l.dialing = &attempt{done: make(chan struct{})}
	p.running.Add(1)
	go l.dial(p)
	return nil, l.dialing, nil
}

// wait is ready, waiting for the dial.
func (l *lane) wait(ctx context.Context, p *Pool) (*session, error) {
	s, a, err := l.ready(p)
	if s != nil || err != nil {
		return s, err
	}
	select {
	case <-a.done:
		return a.s, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *lane) dial(p *Pool) {
	defer p.running.Done()
	ctx, cancel := context.WithTimeout(p.ctx, l.cfg.DialTimeout)
	defer cancel()
	s, err := dialSession(ctx, p, l.addr)

	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && l.closed {
		s.fail(ErrClosed)
		err = ErrClosed
	}
	held := l.held
	l.held, l.heldLen = nil, 0
	if err != nil {
		l.cfg.Log.Debug("rpc: connect", "addr", l.addr, "err", err)
		l.pause = min(max(2*l.pause, l.cfg.MinBackoff), l.cfg.MaxBackoff)
		l.until = time.Now().Add(l.pause/2 + rand.N(l.pause/2+1))
		l.failed = err
		l.dialing.err = err
	} else {
		l.pause, l.current = 0, s
		l.dialing.s = s
		for _, m := range held {
			_ = s.send(m.method, m.payload)
		}
	}
	close(l.dialing.done)
	l.dialing = nil
}

// hold keeps a one-way message for the session being dialed.
func (l *lane) hold(method string, payload []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dialing == nil { // it has ended in the meantime
		if l.current != nil {
			return l.current.send(method, payload)
		}
		return &Unreachable{l.addr, false, l.failed}
	}
	if l.heldLen+len(payload) > l.cfg.QueueBytes {
		return &Unreachable{l.addr, false, ErrQueueFull}
	}
	l.held = append(l.held, heldMessage{method, payload})
	l.heldLen += len(payload)
	return nil
}

func (l *lane) close() {
	l.mu.Lock()
	l.closed = true
	s := l.current
	l.mu.Unlock()
	if s != nil {
		s.fail(ErrClosed)
	}
}
