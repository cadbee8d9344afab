package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/serf/serf"

	"antipode/regionnode/table"
)

// Status is what a pool believes of a member.
type Status string

// The statuses. Failed members are given up after 24 hours, without an event.
const (
	Alive   Status = "alive"
	Leaving Status = "leaving"
	Left    Status = "left"   // said goodbye
	Failed  Status = "failed" // does not answer
)

// Member is one node as gossip has it.
type Member struct {
	Name    string // Config.Name
	Node    table.NodeID
	Region  string
	Zone    string
	RPCAddr string
	Addr    string // of its gossip sockets
	Expect  int    // Config.Expect
	Status  Status
}

// Pool is this process's membership in one Serf pool. Safe for concurrent use.
type Pool struct {
	cfg    Config
	serf   *serf.Serf
	log    *lines
	events chan Member
	stop   chan struct{}
	once   sync.Once
	done   sync.WaitGroup

	mu   sync.Mutex // over cfg.Node and cfg.RPCAddr
	quit error

	// joining keeps Join and Leave apart: a join that ends after the goodbye
	// would take it back.
	joining sync.Mutex
	leaving bool
}

// Start opens the sockets and begins to look for the seeds; it does not wait for
// them.
func Start(cfg Config) (*Pool, error) {
	if err := cfg.fill(); err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	raw := make(chan serf.Event, 64)
	log := &lines{to: cfg.Log}
	conf, err := cfg.serfConfig(raw, log)
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	s, err := serf.Create(conf)
	if err != nil {
		return nil, fmt.Errorf("gossip: start serf: %w", err)
	}
	p := &Pool{cfg: cfg, serf: s, log: log, events: make(chan Member), stop: make(chan struct{})}
	p.done.Go(func() { p.relay(raw) })
	p.done.Go(p.seek)
	return p, nil
}

// LocalAddr is what other members name as their seed.
func (p *Pool) LocalAddr() string {
	m := p.serf.Memberlist().LocalNode()
	return net.JoinHostPort(m.Addr.String(), strconv.Itoa(int(m.Port)))
}

// Members lists everyone known, this process included, ordered by region and
// name.
func (p *Pool) Members() []Member {
	var out []Member
	for _, m := range p.serf.Members() {
		out = append(out, memberOf(m))
	}
	slices.SortFunc(out, func(a, b Member) int {
		return strings.Compare(a.Region+"/"+a.Name, b.Region+"/"+b.Name)
	})
	return out
}

// Events tells of members that came, changed, left or failed, this process
// included. A reader that lags is told only the newest of each member. The
// channel is closed by Close; there is one for all readers.
func (p *Pool) Events() <-chan Member { return p.events }

// Join asks the members at addrs to meet; it succeeds when one of them answered.
func (p *Pool) Join(addrs ...string) error {
	p.joining.Lock()
	defer p.joining.Unlock()
	if p.leaving {
		return errors.New("gossip: join: leaving")
	}
	if _, err := p.serf.Join(addrs, true); err != nil {
		return fmt.Errorf("gossip: join: %w", err)
	}
	return nil
}

// Announce replaces what members are told of this one, once the catalog has
// given it an id or its address is known.
func (p *Pool) Announce(node table.NodeID, rpcAddr string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cfg.Node, p.cfg.RPCAddr = node, rpcAddr
	if err := p.serf.SetTags(p.cfg.tags()); err != nil {
		return fmt.Errorf("gossip: announce: %w", err)
	}
	return nil
}

// Leave says goodbye, so that others do not take this member for failed, and
// closes. It gives up waiting for their notice when ctx is done.
func (p *Pool) Leave(ctx context.Context) error {
	left := make(chan error, 1)
	p.done.Go(func() {
		p.joining.Lock()
		p.leaving = true
		p.joining.Unlock()
		left <- p.serf.Leave()
	})
	var err error
	select {
	case err = <-left:
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.shutdown()
	if err != nil {
		return fmt.Errorf("gossip: leave: %w", err)
	}
	return p.Close()
}

// Close ends membership without a word: others will see this member fail. It
// returns when the sockets are closed, at the latest after a few seconds.
func (p *Pool) Close() error {
	p.shutdown()
	defer p.log.close()
	done := make(chan struct{})
	go func() {
		p.done.Wait()
		close(done)
	}()
	select {
	case <-done:
		return p.quit
	case <-time.After(closeTimeout):
		return fmt.Errorf("gossip: still closing after %v", closeTimeout)
	}
}

// closeTimeout bounds Close: Serf waits for its network in places.
const closeTimeout = 5 * time.Second

func (p *Pool) shutdown() {
	p.once.Do(func() {
		close(p.stop)
		p.done.Go(func() { p.quit = p.serf.Shutdown() })
	})
}

// seek joins the seeds until there is company.
func (p *Pool) seek() {
	if len(p.cfg.Seeds) == 0 {
		return
	}
	first, most := 500*time.Millisecond, 30*time.Second
	if p.cfg.Local {
		first, most = 50*time.Millisecond, 2*time.Second
	}
	for pause := first; ; pause = min(2*pause, most) {
		if p.alone() {
			if err := p.Join(p.cfg.Seeds...); err != nil {
				p.cfg.Log.Debug("gossip: no seed answers", "seeds", p.cfg.Seeds, "err", err)
			}
		}
		if !p.alone() {
			pause = most
		}
		select {
		case <-p.stop:
			return
		case <-time.After(pause):
		}
	}
}

func (p *Pool) alone() bool {
	alive := 0
	for _, m := range p.serf.Members() {
		if m.Status == serf.StatusAlive {
			alive++
		}
	}
	return alive < 2
}

// relay takes Serf's events at once, since Serf holds its locks while it hands
// them over, and keeps the newest of each member until it is read.
func (p *Pool) relay(raw <-chan serf.Event) {
	defer close(p.events)
	var order []string
	newest := map[string]Member{}
	for {
		var out chan Member
		var next Member
		if len(order) > 0 {
			out, next = p.events, newest[order[0]]
		}
		select {
		case <-p.stop:
			return
		case out <- next:
			delete(newest, order[0])
			order = order[1:]
		case event := <-raw:
			changed, ok := event.(serf.MemberEvent)
			if !ok || changed.Type == serf.EventMemberReap {
				continue
			}
			for _, m := range changed.Members {
				if _, waits := newest[m.Name]; !waits {
					order = append(order, m.Name)
				}
				newest[m.Name] = memberOf(m)
			}
		}
	}
}

func memberOf(m serf.Member) Member {
	out := Member{
		Region: m.Tags[tagRegion], Zone: m.Tags[tagZone], RPCAddr: m.Tags[tagRPC],
		Addr:   net.JoinHostPort(m.Addr.String(), strconv.Itoa(int(m.Port))),
		Status: statusOf(m.Status),
	}
	_, out.Name, _ = strings.Cut(m.Name, nameSeparator)
	if id, err := strconv.ParseUint(m.Tags[tagNode], 16, 64); err == nil {
		out.Node = table.NodeID(id)
	}
	if n, err := strconv.ParseUint(m.Tags[tagExpect], 10, 16); err == nil {
		out.Expect = int(n)
	}
	return out
}

func statusOf(s serf.MemberStatus) Status {
	switch s {
	case serf.StatusAlive:
		return Alive
	case serf.StatusLeaving:
		return Leaving
	case serf.StatusLeft:
		return Left
	}
	return Failed
}
