package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"antipode/localstack/chaos/history"
)

// Config of a run.
type Config struct {
	// Nodes of the region and Replication of its partitions; defaults 3 and 3.
	Nodes, Replication int
	// Partitions of the table; default 3.
	Partitions int
	// Clients and Keys that they share; defaults 6 and 12.
	Clients, Keys int
	// Duration of load and faults; default 10 s.
	Duration time.Duration
	// ReplaceAfter is the nodes'; 0 for their default.
	ReplaceAfter time.Duration
	// Seed decides which faults come when, and what clients do; when they do it
	// depends on the machine, so a seed repeats the plan, not the run.
	Seed uint64
	// Dir keeps the nodes' data, and Binaries has regionnode, built with the tag
	// "faults", and api.
	Dir, Binaries string
	// Faults are the kinds of trouble to make, by FaultNames; all when empty.
	Faults []string
	// LogLevel of the nodes. Log hears of faults; may be nil.
	LogLevel slog.Level
	Log      *slog.Logger
}

func (c *Config) fill() {
	setDefault(&c.Nodes, 3)
	setDefault(&c.Replication, 3)
	setDefault(&c.Partitions, 3)
	setDefault(&c.Clients, 6)
	setDefault(&c.Keys, 12)
	setDefault(&c.Duration, 10*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Report counts what a run did.
type Report struct {
	Operations, Unknown, Undone int
	Acknowledged                int // writes of keys of their own, all found again
	Faults                      map[string]int
	StreamRecords               int
	Partitions                  int // of the table and its index in the end
}

// String is a line for a person.
func (r *Report) String() string {
	return fmt.Sprintf("%d operations (%d of unknown outcome, %d refused or failed), %d acknowledged keys, %d stream records, %d partitions; %s",
		r.Operations, r.Unknown, r.Undone, r.Acknowledged, r.StreamRecords, r.Partitions, tally(r.Faults))
}

// run is one run under way.
type run struct {
	Config
	region  *region
	history *history.Registers
	mu      sync.Mutex
	report  Report
	acked   []string
	sums    sums
	gone    []string // replaced nodes that are still members
}

// Run makes one run; an error says what was wrong with the system under test.
func Run(ctx context.Context, c Config) (*Report, error) {
	c.fill()
	region, err := startFaulty(ctx, &c)
	if err != nil {
		return nil, err
	}
	r := &run{Config: c, region: region, history: history.New(), sums: newSums()}
	err = r.all(ctx)
	return &r.report, errors.Join(err, region.close())
}

func (r *run) all(ctx context.Context) error {
	load, cancel := context.WithTimeout(ctx, r.Duration)
	defer cancel()
	var clients sync.WaitGroup
	for i := range r.Clients {
		clients.Go(func() { r.work(load, i) })
	}
	for i := range adders {
		clients.Go(func() { r.addUp(load, i) })
	}
	err := r.nemesis(load)
	clients.Wait()
	if err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	if err := r.readAll(ctx); err != nil {
		return err
	}
	for _, check := range []func(context.Context) error{
		func(context.Context) error { return r.history.Check() }, r.checkSums, r.checkStream, r.checkIndex, r.checkReplicas,
	} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	r.report.Operations = r.history.Len()
	return nil
}

// random is a source that depends on the seed and on who uses it.
func (r *run) random(who uint64) *rand.Rand { return rand.New(rand.NewPCG(r.Seed, who)) }

// work is one client's life. Its requests end by themselves: a request that is
// cut off would only be one more of unknown outcome.
func (r *run) work(ctx context.Context, id int) {
	random := r.random(uint64(id) + 1)
	detached := context.WithoutCancel(ctx)
	known := map[string]string{} // what this client last saw
	for n := 0; ctx.Err() == nil; n++ {
		in := history.Input{Key: fmt.Sprintf("k%d", random.IntN(r.Keys)), New: fmt.Sprintf("%d.%d", id, n)}
		in.Kind, in.Old = history.Kind(random.IntN(3)), known[in.Key]
		out := history.Output{}
		call := r.history.Now()
		switch in.Kind {
		case history.Get:
			out.Outcome, out.Found = r.region.client.get(detached, in.Key)
		case history.Put:
			out.Outcome = r.region.client.put(detached, in.Key, in.New)
		case history.Swap:
			out.Outcome, out.Found = r.region.client.swap(detached, in.Key, in.Old, in.New)
		}
		r.history.Add(id, call, in, out)
		switch {
		case out.Outcome == history.Done && in.Kind != history.Get:
			known[in.Key] = in.New
		case out.Outcome == history.Done || out.Outcome == history.Refused:
			known[in.Key] = out.Found
		}
		r.count(out.Outcome)
		if n%4 == 0 {
			own := fmt.Sprintf("own-%d-%d", id, n)
			if r.region.client.put(detached, own, own) == history.Done {
				r.mu.Lock()
				r.acked = append(r.acked, own)
				r.mu.Unlock()
			}
		}
	}
}

func (r *run) count(o history.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch o {
	case history.Unknown:
		r.report.Unknown++
	case history.Undone:
		r.report.Undone++
	}
}

// readAll reads every key once nothing disturbs any more, and looks for every
// write that was acknowledged on a key of its own.
func (r *run) readAll(ctx context.Context) error {
	for k := range r.Keys {
		in := history.Input{Kind: history.Get, Key: fmt.Sprintf("k%d", k)}
		call := r.history.Now()
		result, found := r.region.client.get(ctx, in.Key)
		if result != history.Done {
			return fmt.Errorf("key %s cannot be read in the end", in.Key)
		}
		r.history.Add(r.Clients, call, in, history.Output{Outcome: history.Done, Found: found})
	}
	for _, key := range r.acked {
		result, found := r.region.client.get(ctx, key)
		if result != history.Done {
			return fmt.Errorf("key %s cannot be read in the end", key)
		}
		if found != key {
			return fmt.Errorf("the acknowledged write of %s is lost: found %q", key, found)
		}
	}
	r.report.Acknowledged = len(r.acked)
	return nil
}

func (r *run) answered(ctx context.Context) bool {
	for _, s := range r.region.statuses(ctx) {
		if s == nil {
			return false
		}
	}
	return true
}

// rest waits; false when ctx ended first.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
