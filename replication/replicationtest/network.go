package replicationtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"antipode/replication"
	"antipode/replication/link"
)

// A wire is one direction between two regions.
type wire struct {
	cut                        bool
	latency                    time.Duration // the least; each message takes up to twice as long
	lose, loseAck, twice, flip float64       // chances for each message
	rng                        *rand.Rand
}

// A network carries batches as bytes, with faults. Later messages overtake
// earlier ones.
type network struct {
	sim  *simulation
	work sync.WaitGroup // copies under way

	mu    sync.Mutex
	wires map[[2]replication.Region]*wire
}

func newNetwork(sim *simulation) *network {
	n := &network{sim: sim, wires: map[[2]replication.Region]*wire{}}
	for _, a := range sim.names {
		for _, b := range sim.names {
			n.wires[[2]replication.Region{a, b}] = &wire{rng: sim.rand("wire", string(a), string(b)), latency: time.Millisecond}
		}
	}
	return n
}

// set changes one wire's faults.
func (n *network) set(from, to replication.Region, change func(*wire)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(n.wires[[2]replication.Region{from, to}])
}

// heal ends every fault.
func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.wires {
		*w = wire{rng: w.rng, latency: time.Millisecond}
	}
}

// fate of one message.
type fate struct {
	cut, lose, loseAck, twice bool
	flip                      int // which bit is damaged, -1 for none
	there, back, again        time.Duration
}

func (n *network) draw(from, to replication.Region) fate {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.wires[[2]replication.Region{from, to}]
	chance := func(p float64) bool { return w.rng.Float64() < p }
	delay := func() time.Duration { return w.latency + time.Duration(w.rng.Int64N(int64(w.latency))) }
	f := fate{
		cut: w.cut, lose: chance(w.lose), loseAck: chance(w.loseAck), twice: chance(w.twice),
		there: delay(), back: delay(), again: time.Duration(w.rng.Int64N(int64(2 * time.Second))), flip: -1,
	}
	if chance(w.flip) {
		f.flip = w.rng.IntN(1 << 20)
	}
	return f
}

// A port is one region's link.Transport.
type port struct {
	net  *network
	from replication.Region
}

var errLost = errors.New("lost on the way")

// Send implements link.Transport.
func (p port) Send(ctx context.Context, to replication.Region, b *link.Batch) (*link.Ack, error) {
	n := p.net
	if n.sim.opts.Bug == ShipForeign {
		b = n.sim.withForeign(p.from, b)
	}
	n.sim.checkOrigin(p.from, b)
	f := n.draw(p.from, to)
	frame := b.Append(nil)
	if f.twice {
		n.work.Go(func() {
			time.Sleep(f.again)
			_, _ = n.deliver(context.WithoutCancel(ctx), to, frame)
		})
	}
	if f.cut || f.lose {
		if n.sim.opts.Bug == AcknowledgeUnsent {
			return &link.Ack{Session: b.Session, Sequence: b.Sequence}, nil
		}
		if err := sleep(ctx, f.there); err != nil {
			return nil, err
		}
		return nil, errLost
	}
	if f.flip >= 0 {
		frame[f.flip/8%len(frame)] ^= 1 << (f.flip % 8)
	}
	if err := sleep(ctx, f.there); err != nil {
		return nil, err
	}
	ack, err := n.deliver(ctx, to, frame)
	if err != nil {
		return nil, err
	}
	if err := sleep(ctx, f.back); err != nil {
		return nil, err
	}
	if f.loseAck {
		return nil, errLost
	}
	return link.DecodeAck(ack)
}

func (n *network) deliver(ctx context.Context, to replication.Region, frame []byte) ([]byte, error) {
	b, err := link.DecodeBatch(frame)
	if err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	l := n.sim.regions[to].current()
	if l == nil {
		return nil, errCrashed
	}
	ack, err := l.receiver.Apply(ctx, b)
	if err != nil {
		return nil, err
	}
	return ack.Append(nil), nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
