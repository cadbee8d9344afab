package link

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"antipode/replication"
)

// LinkSpec asks for one link.
type LinkSpec struct {
	Source Source
	Peer   replication.Region
}

type linkKey struct {
	id   SourceID
	peer replication.Region
}

// Group runs all links of a node. Safe for concurrent use.
type Group struct {
	cfg    Config
	ctx    context.Context
	cancel context.CancelFunc

	set    sync.Mutex // serialises Set and Close
	mu     sync.Mutex
	closed bool
	links  map[linkKey]*sender
	peers  map[replication.Region]*runningPeer
	work   sync.WaitGroup // back-fills
}

type runningPeer struct {
	*peer
	stop func()
}

// NewGroup makes a Group without links.
func NewGroup(cfg Config) (*Group, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	g := &Group{cfg: cfg, links: map[linkKey]*sender{}, peers: map[replication.Region]*runningPeer{}}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g, nil
}

// Set makes the running links those of specs: it starts what is new, stops what
// is gone, and replaces a link whose Source is another one (compared by ==). It
// returns when what it stopped has ended, so that a source whose leadership is
// lost is not called any more. After Close it does nothing.
func (g *Group) Set(specs []LinkSpec) {
	g.set.Lock()
	defer g.set.Unlock()
	want := make(map[linkKey]LinkSpec, len(specs))
	for _, spec := range specs {
		want[linkKey{spec.Source.ID(), spec.Peer}] = spec
	}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return
	}
	var gone []*sender
	for key, s := range g.links {
		if spec, ok := want[key]; !ok || spec.Source != s.src {
			s.cancel()
			gone = append(gone, s)
			delete(g.links, key)
		}
	}
	g.mu.Unlock()
	for _, s := range gone {
		<-s.done
	}
	g.mu.Lock()
	for key, spec := range want {
		if g.links[key] == nil {
			g.links[key] = g.start(spec)
		}
	}
	idle := g.idlePeers()
	g.mu.Unlock()
	for _, p := range idle {
		p.stop()
	}
}

// start runs a link; g.mu is held.
func (g *Group) start(spec LinkSpec) *sender {
	s := newSender(&g.cfg, spec, g.peer(spec.Peer).peer, g.session())
	ctx, cancel := context.WithCancel(g.ctx)
	s.cancel = cancel
	go s.run(ctx)
	return s
}

// session tells one life of a sender from another. A chance of 2^-53 that two
// are alike does no harm: answers come back on the call that asked.
func (g *Group) session() uint64 { return uint64(g.cfg.Rand() * (1 << 53)) }

// peer finds or makes what links to region share; g.mu is held.
func (g *Group) peer(region replication.Region) *runningPeer {
	if p := g.peers[region]; p != nil {
		return p
	}
	p := newPeer(&g.cfg, region, func() []*sender { return g.to(region) })
	ctx, cancel := context.WithCancel(g.ctx)
	done := make(chan struct{})
	session := g.session()
	go func() {
		defer close(done)
		p.heartbeat(ctx, session)
	}()
	g.peers[region] = &runningPeer{p, func() { cancel(); <-done }}
	return g.peers[region]
}

// idlePeers takes out the peers that no link leads to; g.mu is held.
func (g *Group) idlePeers() (idle []*runningPeer) {
	used := map[replication.Region]bool{}
	for key := range g.links {
		used[key.peer] = true
	}
	for region, p := range g.peers {
		if !used[region] {
			idle = append(idle, p)
			delete(g.peers, region)
		}
	}
	return idle
}

// to lists the links to one region.
func (g *Group) to(region replication.Region) (out []*sender) {
	for _, s := range g.all() {
		if s.peer.region == region {
			out = append(out, s)
		}
	}
	return out
}

// all lists the links in order.
func (g *Group) all() []*sender {
	g.mu.Lock()
	out := slices.Collect(maps.Values(g.links))
	g.mu.Unlock()
	slices.SortFunc(out, func(a, b *sender) int {
		return cmp.Or(
			strings.Compare(a.id.Group, b.id.Group),
			cmp.Compare(a.id.Partition, b.id.Partition),
			strings.Compare(string(a.peer.region), string(b.peer.region)))
	})
	return out
}

// Stats is every link now, sorted by table group, partition and peer.
func (g *Group) Stats() []Stats {
	links := g.all()
	out := make([]Stats, len(links))
	for i, s := range links {
		out[i] = s.stats()
	}
	return out
}

// Controls are those of the Config.
func (g *Group) Controls() *Controls { return g.cfg.Controls }

// Close stops every link and back-fill and returns when all have ended.
func (g *Group) Close() {
	g.set.Lock()
	defer g.set.Unlock()
	g.mu.Lock()
	g.closed = true
	links := g.links
	peers := g.peers
	g.links, g.peers = map[linkKey]*sender{}, map[replication.Region]*runningPeer{}
	g.mu.Unlock()
	g.cancel()
	for _, s := range links {
		<-s.done
	}
	for _, p := range peers {
		p.stop()
	}
	g.work.Wait()
}
