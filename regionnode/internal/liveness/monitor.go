package liveness

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"antipode/regionnode/table"
)

// Config of a Monitor. All fields must be given.
type Config struct {
	Self table.NodeID
	// Epoch counts this node's starts: higher than in any earlier life, below 2³².
	Epoch uint64
	// Support is how long a promise lasts, the same on all nodes.
	Support time.Duration
	// Now is a clock that never goes back and runs on while the process is paused.
	// Its rate may differ from another node's by up to 1 in 16.
	Now func() time.Duration
}

// Monitor is what one node knows of the others. It is safe for concurrent use.
type Monitor struct {
	cfg     Config
	started time.Duration
	changed chan struct{}

	mu    sync.Mutex
	peers map[table.NodeID]*Peer
	last  uint64 // name of the last support given
	news  []table.NodeID
}

// Peer is one other node.
type Peer struct {
	node table.NodeID
	// lease is what the peer's newest beat promises; nil for nothing.
	lease atomic.Pointer[Lease]

	// Guarded by Monitor.mu. epoch, sent, received: of the newest beat. supports:
	// whom the peer supports, by that beat.
	epoch          uint64
	sent, received time.Duration
	supports       []table.NodeID
	// support given to the peer, 0 for none, until a time of this node's clock, for
	// the beat that the peer sent at promised.
	support         uint64
	until, promised time.Duration
	// lost: support was given in this life, and has ended.
	lost bool
}

// Lease is support that this node has from another.
type Lease struct {
	// ID names it; what was agreed under one name does not hold under another.
	ID uint64
	// Until is when this node must not count on it any more.
	Until time.Duration
}

// Lease is what the peer promises, nil for nothing; the caller looks at Until.
func (p *Peer) Lease() *Lease { return p.lease.Load() }

// Node is who the peer is.
func (p *Peer) Node() table.NodeID { return p.node }

// New makes a Monitor that knows nobody.
func New(cfg Config) *Monitor {
	return &Monitor{
		cfg: cfg, started: cfg.Now(), changed: make(chan struct{}, 1),
		peers: map[table.NodeID]*Peer{}, last: cfg.Epoch << 32,
	}
}

// Now is the monitor's clock.
func (m *Monitor) Now() time.Duration { return m.cfg.Now() }

// Free tells how long from now promises of this node's earlier life may still
// stand, 0 or less when none does.
func (m *Monitor) Free() time.Duration { return m.started + m.cfg.Support - m.cfg.Now() }

// Peer is another node's entry, the same for the monitor's life.
func (m *Monitor) Peer(node table.NodeID) *Peer {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.peer(node)
}

func (m *Monitor) peer(node table.NodeID) *Peer {
	p := m.peers[node]
	if p == nil {
		p = &Peer{node: node}
		m.peers[node] = p
	}
	return p
}

// Beat is what to tell a peer now.
func (m *Monitor) Beat(to table.NodeID) *Beat {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.cfg.Now()
	b := &Beat{From: m.cfg.Self, To: to, Epoch: m.cfg.Epoch, Sent: now}
	if p := m.peers[to]; p != nil && p.epoch != 0 {
		m.expire(p, now)
		b.HeardEpoch, b.Heard, b.Support, b.Promised = p.epoch, p.sent, p.support, p.promised
	}
	for node, p := range m.peers {
		if m.expire(p, now); p.support != 0 {
			b.Supports = append(b.Supports, node)
		}
	}
	slices.Sort(b.Supports)
	return b
}

// Receive takes a beat in. Old, foreign and repeated ones change nothing.
func (m *Monitor) Receive(b *Beat) {
	if b.To != m.cfg.Self || b.From == m.cfg.Self || b.Epoch == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now, p := m.cfg.Now(), m.peer(b.From)
	if b.Epoch < p.epoch || b.Epoch == p.epoch && b.Sent <= p.sent {
		return
	}
	m.expire(p, now)
	if b.Epoch > p.epoch {
		// Who made the promises that were taken, and led under those given, is gone.
		m.withdraw(p)
	}
	p.epoch, p.sent, p.received, p.supports = b.Epoch, b.Sent, now, b.Supports
	mutual := b.HeardEpoch == m.cfg.Epoch && now-b.Heard <= m.cfg.Support
	switch {
	case b.Leaving:
		p.received = now - m.cfg.Support
		m.withdraw(p)
	case mutual:
		m.give(p, now)
	}
	m.take(p, b)
}

// give makes or prolongs the promise to a peer.
func (m *Monitor) give(p *Peer, now time.Duration) {
	if p.support == 0 {
		m.last++
		p.support, p.lost = m.last, false
		m.tell(p)
	}
	p.until, p.promised = now+m.cfg.Support, p.sent
}

// take notes what a peer's beat promises. The peer's promise began no earlier
// than the beat that it is for was sent; the rest allows for clocks that differ
// in rate.
func (m *Monitor) take(p *Peer, b *Beat) {
	var l *Lease
	if b.Support != 0 && b.HeardEpoch == m.cfg.Epoch && !b.Leaving {
		l = &Lease{ID: b.Support, Until: b.Promised + m.cfg.Support - m.cfg.Support/16}
	}
	old := p.lease.Swap(l)
	if (old == nil) != (l == nil) || l != nil && old.ID != l.ID {
		m.tell(p)
	}
}

// expire ends a promise whose time is over: what stands is told from what has
// ended only here, under the lock, so that support never comes back unnoticed.
func (m *Monitor) expire(p *Peer, now time.Duration) {
	if p.support != 0 && now >= p.until {
		m.withdraw(p)
	}
}

func (m *Monitor) withdraw(p *Peer) {
	if p.support != 0 {
		p.support, p.lost = 0, true
		m.tell(p)
	}
}

// tell notes that something about a peer has changed.
func (m *Monitor) tell(p *Peer) {
	if !slices.Contains(m.news, p.node) {
		m.news = append(m.news, p.node)
	}
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// Changed has an element when News may have something.
func (m *Monitor) Changed() <-chan struct{} { return m.changed }

// News ends what is over and answers with the nodes about which something has
// changed since the last call: support or lease began or ended.
func (m *Monitor) News() []table.NodeID {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.cfg.Now()
	for _, p := range m.peers {
		m.expire(p, now)
		if l := p.lease.Load(); l != nil && now >= l.Until && p.lease.CompareAndSwap(l, nil) {
			m.tell(p)
		}
	}
	news := m.news
	m.news = nil
	return news
}

// Support names the promise to a node that stands now, 0 for none. Once it has
// answered another name, or 0, the earlier promise is over for good.
func (m *Monitor) Support(node table.NodeID) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[node]
	if p == nil {
		return 0
	}
	m.expire(p, m.cfg.Now())
	return p.support
}

// Lost tells whether a promise to a node has ended and not begun anew.
func (m *Monitor) Lost(node table.NodeID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[node]
	if p == nil {
		return false
	}
	m.expire(p, m.cfg.Now())
	return p.lost
}

// Alive tells whether a node was heard within the support time.
func (m *Monitor) Alive(node table.NodeID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.alive(m.peers[node])
}

// Silence is how long a node has not been heard, at most since this monitor was
// made.
func (m *Monitor) Silence(node table.NodeID) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	since := m.started
	if p := m.peers[node]; p != nil && p.epoch != 0 {
		since = max(since, p.received)
	}
	return m.cfg.Now() - since
}

func (m *Monitor) alive(p *Peer) bool {
	return p != nil && p.epoch != 0 && m.cfg.Now()-p.received < m.cfg.Support
}

// Gives tells whether a node, as far as it is alive, is free to replace what
// another one leads: its newest beat does not support that one.
func (m *Monitor) Gives(node, up table.NodeID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[node]
	return m.alive(p) && !slices.Contains(p.supports, up)
}
