package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// fault is one kind of trouble. strike makes it, and has undone it when it
// returns; ctx ends it early.
type fault struct {
	name   string
	odds   int
	strike func(ctx context.Context, r *run, random *rand.Rand) error
}

// faults are everything that a run may do. New kinds go here.
var faults = []fault{
	{"kill", 4, func(ctx context.Context, r *run, random *rand.Rand) error {
		return r.kill(r.victim(random))
	}},
	{"pause", 4, func(ctx context.Context, r *run, random *rand.Rand) error {
		return r.pause(ctx, r.victim(random), r.span(random, 30*time.Second))
	}},
	{"kill-all", 1, func(ctx context.Context, r *run, random *rand.Rand) (err error) {
		for i := range r.region.nodes() {
			err = errors.Join(err, r.kill(i))
		}
		return err
	}},
	{"isolate", 3, func(ctx context.Context, r *run, random *rand.Rand) error {
		v := r.victim(random)
		return r.disturb(ctx, rule{cut: true}, r.span(random, 10*time.Second), append(r.from(v), r.to(v)...)...)
	}},
	{"deafen", 2, func(ctx context.Context, r *run, random *rand.Rand) error {
		return r.disturb(ctx, rule{cut: true}, r.span(random, 10*time.Second), r.to(r.victim(random))...)
	}},
	{"mute", 2, func(ctx context.Context, r *run, random *rand.Rand) error {
		return r.disturb(ctx, rule{cut: true}, r.span(random, 10*time.Second), r.from(r.victim(random))...)
	}},
	{"cut-pair", 2, func(ctx context.Context, r *run, random *rand.Rand) error {
		d := r.to(r.victim(random))[0]
		back := direction{d.to, d.from}
		return r.disturb(ctx, rule{cut: true}, r.span(random, 10*time.Second), d, back)
	}},
	{"slow-network", 2, func(ctx context.Context, r *run, random *rand.Rand) error {
		bad := rule{delay: between(random, time.Millisecond, 80*time.Millisecond), jitter: 50 * time.Millisecond, loss: 0.05}
		var all []direction
		for i := range r.region.nodes() {
			all = append(all, r.to(i)...)
		}
		return r.disturb(ctx, bad, r.span(random, 10*time.Second), all...)
	}},
	{"slow-disk", 2, func(ctx context.Context, r *run, random *rand.Rand) error {
		delay := between(random, 20*time.Millisecond, 300*time.Millisecond)
		return r.inject(ctx, r.victim(random), trouble{SyncDelay: delay.Milliseconds()}, r.span(random, 10*time.Second))
	}},
	{"stalled-disk", 2, func(ctx context.Context, r *run, random *rand.Rand) error {
		return r.inject(ctx, r.victim(random), trouble{Stall: true}, r.span(random, 10*time.Second))
	}},
	{"full-disk", 2, func(ctx context.Context, r *run, random *rand.Rand) error {
		return r.inject(ctx, r.victim(random), trouble{Full: true}, r.span(random, 5*time.Second))
	}},
	{"broken-disk", 1, func(ctx context.Context, r *run, random *rand.Rand) error {
		return r.inject(ctx, r.victim(random), trouble{Broken: true}, r.span(random, 5*time.Second))
	}},
	{"clock", 2, func(ctx context.Context, r *run, random *rand.Rand) error {
		skew := []int64{-5000, -300, 300, 450, 5000}[random.IntN(5)]
		return r.inject(ctx, r.victim(random), trouble{Clock: skew}, r.span(random, 10*time.Second))
	}},
}

// FaultNames are the kinds of trouble that a run may make.
func FaultNames() (names []string) {
	for _, f := range faults {
		names = append(names, f.name)
	}
	return names
}

// choose draws a fault among those that the run may make.
func (r *run) choose(random *rand.Rand) (chosen fault) {
	total := 0
	for _, f := range faults {
		if len(r.Faults) > 0 && !slices.Contains(r.Faults, f.name) {
			continue
		}
		if total += f.odds; random.IntN(total) < f.odds {
			chosen = f
		}
	}
	return chosen
}

// nemesis makes faults until ctx ends: mostly one at a time, now and then two at
// once, with operations in their midst.
func (r *run) nemesis(ctx context.Context) error {
	random := r.random(0)
	for rest(ctx, between(random, 300*time.Millisecond, 2*time.Second)) {
		var round sync.WaitGroup
		var errs [2]error
		count := 1
		if random.IntN(4) == 0 {
			count = 2
		}
		for i := range count {
			f, own := r.choose(random), rand.New(rand.NewPCG(random.Uint64(), 0))
			r.happened(f.name)
			round.Go(func() { errs[i] = f.strike(ctx, r, own) })
		}
		if random.IntN(2) == 0 {
			r.operate(ctx, operations[random.IntN(len(operations))], random)
		}
		round.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			return err
		}
		if err := r.region.until(ctx, "all nodes are back", func() bool { return r.answered(ctx) }); err != nil {
			break // time is over
		}
	}
	return nil
}

func (r *run) operate(ctx context.Context, o operation, random *rand.Rand) {
	one, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	err := o.do(one, r, random)
	r.Log.Info("operation", "name", o.name, "error", err)
	if err == nil {
		r.happened(o.name)
	}
}

func (r *run) happened(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.report.Faults == nil {
		r.report.Faults = map[string]int{}
	}
	r.report.Faults[what]++
}

// tally is a line of what happened how often.
func tally(counts map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[name], name))
	}
	return strings.Join(parts, ", ")
}

func (r *run) victim(random *rand.Rand) int { return random.IntN(len(r.region.nodes())) }

// span is how long a fault lasts: mostly short, at most limit and half the run.
func (r *run) span(random *rand.Rand, limit time.Duration) time.Duration {
	limit = min(limit, max(r.Duration/2, time.Second))
	if random.IntN(3) > 0 {
		limit = min(limit, 3*time.Second)
	}
	return between(random, 200*time.Millisecond, limit)
}

func between(random *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(random.Int64N(int64(high-low)))
}

// from and to are the directions between a node and every other one.
func (r *run) from(i int) (out []direction) {
	for _, d := range r.to(i) {
		out = append(out, direction{d.to, d.from})
	}
	return out
}

func (r *run) to(i int) (out []direction) {
	nodes := r.region.nodes()
	for j := range nodes {
		if j != i {
			out = append(out, direction{nodes[j].Name, nodes[i].Name})
		}
	}
	return out
}

func (r *run) kill(i int) error {
	r.Log.Info("kill", "node", i)
	return r.region.signal(i, syscall.SIGKILL)
}

// pause freezes a node for a while, or until ctx ends.
func (r *run) pause(ctx context.Context, i int, d time.Duration) error {
	r.Log.Info("pause", "node", i, "for", d)
	err := r.region.signal(i, syscall.SIGSTOP)
	rest(ctx, d)
	return errors.Join(err, r.region.signal(i, syscall.SIGCONT))
}

// disturb has a rule in force for a while.
func (r *run) disturb(ctx context.Context, bad rule, d time.Duration, directions ...direction) error {
	r.Log.Info("network", "rule", fmt.Sprintf("%+v", bad), "directions", fmt.Sprint(directions), "for", d)
	r.region.network.set(bad, directions...)
	rest(ctx, d)
	r.region.network.set(rule{}, directions...)
	return nil
}

// trouble is what a node built with the tag "faults" does to itself; see
// node.Faults.
type trouble struct {
	Stall     bool  `json:"stall,omitempty"`
	SyncDelay int64 `json:"sync_delay_ms,omitempty"`
	Full      bool  `json:"full,omitempty"`
	Broken    bool  `json:"broken,omitempty"`
	Clock     int64 `json:"clock_ms,omitempty"`
}

// inject has a node's disk or clock fail for a while.
func (r *run) inject(ctx context.Context, i int, t trouble, d time.Duration) error {
	r.Log.Info("inject", "node", i, "trouble", fmt.Sprintf("%+v", t), "for", d)
	path := r.region.troubleFile(r.region.nodes()[i].Name)
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", b, 0o644); err != nil {
		return fmt.Errorf("inject: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("inject: %w", err)
	}
	rest(ctx, d)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // two at once
		return fmt.Errorf("end trouble: %w", err)
	}
	return nil
}

// troubleFile is what a node reads of its trouble. It lies beside the data.
func (r *region) troubleFile(name string) string { return filepath.Join(r.dir, name+".faults") }
