package link

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"antipode/replication"
)

// A peer is what all links to one region share: the limit on bytes in flight,
// the news that the region can be reached again, and the heartbeat.
type peer struct {
	cfg    *Config
	region replication.Region
	limit  limiter
	links  func() []*sender

	mu     sync.Mutex
	lastOK time.Time
	down   bool
	up     chan struct{}
}

// downAfter is how long a peer must have answered nobody before its next answer
// wakes all links from their back-off. Shorter failures are over by themselves,
// and one dead node among a region's many must not set off a wake for each
// answer of the others.
const downAfter = time.Second

func newPeer(cfg *Config, region replication.Region, links func() []*sender) *peer {
	return &peer{
		cfg: cfg, region: region, links: links, limit: limiter{capacity: cfg.PeerBytes},
		lastOK: cfg.Clock.Now(), up: make(chan struct{}),
	}
}

// answered notes whether the peer answered at all, with whatever status.
func (p *peer) answered(ok bool) {
	now := p.cfg.Clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !ok:
		p.down = p.down || now.Sub(p.lastOK) >= downAfter
	case p.down:
		p.down = false
		close(p.up)
		p.up = make(chan struct{})
		fallthrough
	default:
		p.lastOK = now
	}
}

// back is closed when the peer answers after it was down.
func (p *peer) back() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.up
}

// send makes one attempt: it waits for a share of the peer, sends, and checks
// that the answer is to this batch.
func (p *peer) send(ctx context.Context, b *Batch, bytes int) (*Ack, error) {
	n, err := p.limit.acquire(ctx, bytes)
	if err != nil {
		return nil, err
	}
	defer p.limit.release(n)
	ack, err := p.cfg.Transport.Send(ctx, p.region, b)
	switch {
	case err != nil:
		if ctx.Err() == nil || errors.Is(context.Cause(ctx), errTimeout) {
			p.answered(false)
		}
		return nil, fmt.Errorf("send to %s: %w", p.region, err)
	case ack == nil || ack.Session != b.Session || ack.Sequence != b.Sequence:
		return nil, fmt.Errorf("send to %s: answer to another batch", p.region)
	}
	p.answered(true)
	switch ack.Status {
	case Applied:
		return ack, nil
	case Resynchronise:
		return nil, fmt.Errorf("%s: %s: %w", p.region, ack.Message, ErrResynchronise)
	}
	return nil, fmt.Errorf("%s did not apply: %s", p.region, ack.Message)
}

var (
	errTimeout = errors.New("timed out")
	errDropped = errors.New("dropped on purpose")
)

// marksPerBatch keeps a heartbeat far below any message limit.
const marksPerBatch = 2000

// heartbeat tells the peer closed times that no batch told it.
func (p *peer) heartbeat(ctx context.Context, session uint64) {
	var sequence uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.cfg.Clock.After(p.cfg.HeartbeatInterval):
		}
		marks, told := []Mark(nil), []*sender(nil)
		flush := func() {
			if len(marks) == 0 {
				return
			}
			sequence++
			b := &Batch{Kind: Heartbeat, Session: session, Sequence: sequence, From: p.cfg.Region, To: p.region, Marks: marks}
			if _, err := p.attempt(ctx, b, 64*len(marks)); err == nil {
				for i, s := range told {
					s.marked(marks[i].Closed)
				}
			}
			marks, told = nil, nil
		}
		for _, s := range p.links() {
			if closed, ok := s.mark(); ok {
				marks, told = append(marks, Mark{s.id, closed}), append(told, s)
			}
			if len(marks) == marksPerBatch {
				flush()
			}
		}
		flush()
	}
}

// attempt sends once, within SendTimeout.
func (p *peer) attempt(ctx context.Context, b *Batch, bytes int) (*Ack, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type answer struct {
		ack *Ack
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		ack, err := p.send(ctx, b, bytes)
		answers <- answer{ack, err}
	}()
	select {
	case a := <-answers:
		return a.ack, a.err
	case <-p.cfg.Clock.After(p.cfg.SendTimeout):
		cancel(errTimeout)
		a := <-answers
		return a.ack, a.err
	}
}
