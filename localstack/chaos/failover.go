package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"antipode/localstack/chaos/history"
)

// Failovers are how long the partitions of a node that ended took no writes.
type Failovers struct {
	// Kill and Stop are by fault, in ascending order: one duration for each round,
	// from the signal to the moment when a write to the slowest key, begun behind
	// the signal, was acknowledged.
	Kill, Stop []time.Duration
}

// Quantile is a quantile of durations in ascending order.
func Quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return d[min(len(d)-1, int(q*float64(len(d))))]
}

// String is a line for a person.
func (f *Failovers) String() string {
	line := func(d []time.Duration) string {
		return fmt.Sprintf("median %v, p99 %v, of %d", Quantile(d, 0.5).Round(time.Millisecond), Quantile(d, 0.99).Round(time.Millisecond), len(d))
	}
	return "kill: " + line(f.Kill) + "; stop: " + line(f.Stop)
}

// stopFor is how long MeasureFailover freezes a node.
const stopFor = 5 * time.Second

// MeasureFailover kills, and then freezes, the node that leads most, each so
// many times under the load of one writer for each key, and waits in between
// until the region is whole.
func MeasureFailover(ctx context.Context, c Config, rounds int) (*Failovers, error) {
	c.fill()
	r, err := startRegion(ctx, &c)
	if err != nil {
		return nil, err
	}
	m := &probes{region: r, last: make([]time.Time, c.Keys)}
	out, err := m.rounds(ctx, &c, rounds)
	return out, errors.Join(err, r.close())
}

// probes write to keys without pause, and note when a write was acknowledged
// last and since when it was under way.
type probes struct {
	region *region
	mu     sync.Mutex
	last   []time.Time // when the newest acknowledged write began, by key
}

func (m *probes) rounds(ctx context.Context, c *Config, rounds int) (*Failovers, error) {
	out := &Failovers{}
	for round := range 2 * rounds {
		var calm sync.WaitGroup
		err := m.region.until(ctx, "the region is whole", func() bool { return whole(m.region.statuses(ctx)) })
		if err != nil {
			return out, err
		}
		victim := m.leader(ctx)
		load, stop := context.WithCancel(ctx)
		for key := range m.last {
			calm.Go(func() { m.write(load, key) })
		}
		d, err := m.round(ctx, c, victim, round%2 == 1)
		stop()
		calm.Wait()
		if err != nil {
			return out, err
		}
		if round%2 == 1 {
			out.Stop = append(out.Stop, d)
		} else {
			out.Kill = append(out.Kill, d)
		}
		c.Log.Info("failover", "stop", round%2 == 1, "took", d)
	}
	slices.Sort(out.Kill)
	slices.Sort(out.Stop)
	return out, nil
}

// leader is the place of the node that leads most.
func (m *probes) leader(ctx context.Context) int {
	best, most := 0, -1
	for i, s := range m.region.statuses(ctx) {
		if s != nil && leads(s) > most {
			best, most = i, leads(s)
		}
	}
	return best
}

func (m *probes) round(ctx context.Context, c *Config, victim int, freeze bool) (time.Duration, error) {
	if err := m.all(ctx, time.Now()); err != nil {
		return 0, err
	}
	began := time.Now()
	if !freeze {
		if err := m.region.signal(victim, syscall.SIGKILL); err != nil {
			return 0, err
		}
		err := m.all(ctx, began)
		return time.Since(began), err
	}
	thaw := time.AfterFunc(stopFor, func() {
		if err := m.region.signal(victim, syscall.SIGCONT); err != nil {
			c.Log.Error("node stays frozen", "error", err)
		}
	})
	if err := m.region.signal(victim, syscall.SIGSTOP); err != nil {
		return 0, err
	}
	err := m.all(ctx, began)
	took := time.Since(began)
	if thaw.Stop() {
		err = errors.Join(err, m.region.signal(victim, syscall.SIGCONT))
	}
	return took, err
}

// all waits until every key has an acknowledged write that began behind t.
func (m *probes) all(ctx context.Context, t time.Time) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		m.mu.Lock()
		ok := !slices.ContainsFunc(m.last, func(l time.Time) bool { return !l.After(t) })
		m.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for writes: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// write puts into one key until ctx ends. A request that hangs does not keep the
// next one waiting: clients are many.
func (m *probes) write(ctx context.Context, key int) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	busy := make(chan struct{}, 64)
	var writes sync.WaitGroup
	defer writes.Wait()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case busy <- struct{}{}:
		default:
			continue // enough are under way
		}
		writes.Go(func() {
			began := time.Now()
			if m.region.client.put(context.WithoutCancel(ctx), fmt.Sprintf("k%d", key), fmt.Sprint(n)) == history.Done {
				m.mu.Lock()
				if began.After(m.last[key]) {
					m.last[key] = began
				}
				m.mu.Unlock()
			}
			<-busy
		})
	}
}
