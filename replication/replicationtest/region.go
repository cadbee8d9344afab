package replicationtest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"antipode/replication"
	"antipode/replication/hlc"
	"antipode/replication/link"
)

// A region over its lives. Disk and faults on purpose outlive a crash.
type region struct {
	sim      *simulation
	name     replication.Region
	parts    int
	controls link.Controls
	skew     atomic.Int64 // ns that its physical clock is off
	rng      *rand.Rand   // seeds each life's

	mu    sync.Mutex
	disk  []op
	bound int64
	life  *life // nil while down
}

// A life is a region's process between two crashes. It is the region's link.Sink.
type life struct {
	region   *region
	store    *store
	clock    *hlc.Clock
	group    *link.Group
	receiver *link.Receiver

	mu      sync.Mutex
	inbound marks
}

// marks are the closed times told by each region for each of its partitions.
type marks map[replication.Region]map[uint64]hlc.Timestamp

func (r *region) current() *life {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.life
}

func (r *region) physical() int64 { return time.Now().UnixNano() + r.skew.Load() }

func (r *region) persistBound(wall int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bound = wall
	return nil
}

// start begins a life from the disk.
func (r *region) start() error {
	r.mu.Lock()
	bound, disk := r.bound, r.disk
	r.mu.Unlock()
	clock, err := hlc.New(hlc.Config{Physical: r.physical, Bound: bound, PersistBound: r.persistBound})
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(r.rng.Uint64(), 0))
	l := &life{
		region: r, clock: clock, store: newStore(r.name, r.parts, disk, clock, rng, r.sim.opts.Bug),
		inbound: marks{},
	}
	jitter := struct {
		sync.Mutex
		*rand.Rand
	}{Rand: rand.New(rand.NewPCG(r.rng.Uint64(), 1))}
	l.group, err = link.NewGroup(link.Config{
		Region: r.name, Transport: port{r.sim.net, r.name}, Controls: &r.controls,
		Clock: skewed{r}, HeartbeatInterval: 100 * time.Millisecond, BatchRecords: 8, Window: 4, RetryMax: time.Second,
		Rand: func() float64 {
			jitter.Lock()
			defer jitter.Unlock()
			return jitter.Float64()
		},
	})
	if err != nil {
		return err
	}
	l.receiver, err = link.NewReceiver(link.ReceiverConfig{Region: r.name, Sink: l, DeadLetters: r.sim, Clock: skewed{r}})
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.life = l
	r.mu.Unlock()
	l.lead()
	return nil
}

// crash ends the life; what was not synced is lost.
func (r *region) crash() {
	r.mu.Lock()
	l := r.life
	r.life = nil
	r.mu.Unlock()
	if l == nil {
		return
	}
	disk := l.store.kill()
	l.group.Close()
	l.clock.Close()
	r.mu.Lock()
	r.disk = disk
	r.mu.Unlock()
}

// lead starts all links anew, as a change of leadership does.
func (l *life) lead() {
	var specs []link.LinkSpec
	for i := range l.store.parts {
		src := &source{l.store, i}
		for _, peer := range l.region.sim.names {
			if peer != l.region.name {
				specs = append(specs, link.LinkSpec{Source: src, Peer: peer})
			}
		}
	}
	l.group.Set(specs)
}

// Apply implements link.Sink.
func (l *life) Apply(ctx context.Context, d link.Delivery) ([]link.Rejection, error) {
	if d.Source.Group != group {
		return nil, fmt.Errorf("table %q is unknown", d.Source.Group)
	}
	return nil, l.store.merge(ctx, d.Records)
}

// Closed implements link.Sink.
func (l *life) Closed(from replication.Region, told []link.Mark) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inbound[from] == nil {
		l.inbound[from] = map[uint64]hlc.Timestamp{}
	}
	for _, m := range told {
		if l.inbound[from][m.Source.Partition].Less(m.Closed) {
			l.inbound[from][m.Source.Partition] = m.Closed
		}
	}
}

// marks is a copy of what was told so far.
func (l *life) marks() marks {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := marks{}
	for name, parts := range l.inbound {
		out[name] = maps.Clone(parts)
	}
	return out
}

// has is the time up to which this region has everything from every peer.
func (l *life) has() hlc.Timestamp {
	l.mu.Lock()
	defer l.mu.Unlock()
	low := hlc.Timestamp{Wall: 1 << 62}
	for name, peer := range l.region.sim.regions {
		if name == l.region.name {
			continue
		}
		for i := range peer.parts {
			if t := l.inbound[name][uint64(i)]; t.Less(low) {
				low = t
			}
		}
	}
	return low
}

// skewed is a region's physical clock as link.Clock.
type skewed struct{ r *region }

func (s skewed) Now() time.Time                         { return time.Unix(0, s.r.physical()) }
func (s skewed) After(d time.Duration) <-chan time.Time { return time.After(d) }
