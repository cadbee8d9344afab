package replicationtest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"antipode/replication"
	"antipode/replication/hlc"
	"antipode/replication/link"
)

// Bug is a rule broken on purpose.
type Bug uint8

// The bugs that the checks must find.
const (
	NoBug               Bug = iota
	ShipForeign             // a region ships what it applied from elsewhere
	AcknowledgeUnsent       // a batch lost on the way counts as acknowledged
	AcknowledgeUnsynced     // a store answers before its disk has it
	IgnoreVersions          // the last to arrive wins
	CloseEarly              // a closed time covers versions still to come
	ForgetFloor             // tombstones are dropped and nothing keeps older writes out
	ForgetVerdicts          // a region keeps only verdicts of its own
	BlindVerdicts           // a write counts as lost though the one that replaced it had seen it
	DropEarly               // tombstones are dropped without asking the peers
	DropUnjudged            // tombstones are dropped before it is known whether they were lost
	VerdictElsewhere        // verdicts on what other regions wrote
)

// Options of one simulation.
type Options struct {
	Seed uint64
	// Duration of writes and faults, in simulated time; 2 s by default.
	Duration time.Duration
	Bug      Bug
}

// maxSkew keeps two clocks, one of them just restarted on its bound, within the
// offset that clocks tolerate: 2*maxSkew + hlc.DefaultBoundAhead.
const maxSkew = 145 * time.Millisecond

// keys are few, so that regions collide on them.
const keys = 16

type simulation struct {
	opts    Options
	names   []replication.Region
	regions map[replication.Region]*region
	net     *network

	mu      sync.Mutex
	err     error
	acked   map[string]replication.Version // the greatest acknowledged of each key
	reports map[replication.Region]standing
}

// Report says what a simulation did.
type Report struct {
	Regions, Writes, Crashes int
	// Dropped tombstones, and records kept out because their key's may have been.
	Dropped, Late    int
	Shipped, Retries uint64
	// Lost writes, each of which is in every region's ledger.
	Lost int
}

// Simulate runs one simulation and answers with the first rule found broken. Call
// it inside a synctest bubble.
func Simulate(opts Options) (Report, error) {
	if opts.Duration == 0 {
		opts.Duration = 2 * time.Second
	}
	sim := newSimulation(opts)
	rng := sim.rand("simulation")
	sim.names = []replication.Region{"ap-northeast-1", "eu-west-1", "sa-east-1", "us-east-1", "us-west-2"}[:2+rng.IntN(4)]
	for _, name := range sim.names {
		r := &region{sim: sim, name: name, parts: 1 + rng.IntN(3), rng: sim.rand("region", string(name))}
		r.skew.Store(rng.Int64N(int64(2*maxSkew)) - int64(maxSkew))
		sim.regions[name] = r
	}
	sim.net = newNetwork(sim)
	report, err := sim.run()
	sim.net.work.Wait()
	if err != nil {
		return report, fmt.Errorf("seed %d: %w", opts.Seed, err)
	}
	return report, nil
}

func newSimulation(opts Options) *simulation {
	return &simulation{
		opts: opts, regions: map[replication.Region]*region{},
		acked: map[string]replication.Version{}, reports: map[replication.Region]standing{},
	}
}

func (sim *simulation) run() (report Report, err error) {
	defer func() {
		for _, r := range sim.regions {
			r.crash()
		}
	}()
	for _, name := range sim.names {
		if err := sim.regions[name].start(); err != nil {
			return report, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), sim.opts.Duration)
	defer cancel()
	var work, collectors sync.WaitGroup
	all, stop := context.WithCancel(context.Background())
	defer collectors.Wait()
	defer stop()
	writes := make([]int, len(sim.names))
	for i, name := range sim.names {
		work.Go(func() { writes[i] = sim.client(ctx, sim.regions[name]) })
		collectors.Go(func() { sim.collect(all, sim.regions[name]) })
	}
	work.Go(func() { report.Crashes = sim.faults(ctx) })
	work.Wait()
	report.Regions = len(sim.names)
	for _, n := range writes {
		report.Writes += n
	}
	if err := sim.settle(); err != nil {
		return report, err
	}
	for _, r := range sim.regions {
		l := r.current()
		l.store.mu.Lock()
		report.Late += l.store.late
		report.Dropped += l.store.dropped
		l.store.mu.Unlock()
		for _, st := range l.group.Stats() {
			report.Shipped += st.Shipped
			report.Retries += st.Retries
		}
	}
	if report.Lost, err = sim.checkLedgers(); err != nil {
		return report, err
	}
	return report, sim.failure()
}

// client writes to one region until ctx is done.
func (sim *simulation) client(ctx context.Context, r *region) (writes int) {
	rng := sim.rand("client", string(r.name))
	for sleep(ctx, time.Duration(rng.Int64N(int64(40*time.Millisecond)))) == nil {
		key := fmt.Sprintf("key-%d", rng.IntN(keys))
		value, del := fmt.Sprintf("%s-%d", r.name, rng.Uint32()), rng.IntN(4) == 0
		l := r.current()
		if l == nil {
			continue
		}
		v, err := l.store.write(context.WithoutCancel(ctx), key, value, del)
		if err != nil {
			continue
		}
		writes++
		sim.mu.Lock()
		if sim.acked[key].Compare(v) < 0 {
			sim.acked[key] = v
		}
		sim.mu.Unlock()
	}
	return writes
}

// A standing is what a region reports: up to when it has everything from every
// peer, and what its clock said then.
type standing struct{ has, at hlc.Timestamp }

// collect drops tombstones by I6: below what this region has from every peer,
// and every peer has reported to have. A peer's writes that had not seen such a
// deletion are older than the peer's report; only once they are here as well is
// it known whether the deletion was lost.
func (sim *simulation) collect(ctx context.Context, r *region) {
	var floor, reported hlc.Timestamp
	for sleep(ctx, 150*time.Millisecond) == nil {
		l := r.current()
		if l == nil {
			continue
		}
		now := standing{l.has(), l.clock.Now()}
		sim.mu.Lock()
		sim.reports[r.name] = now
		least, newest := now.has, now.at
		for _, name := range sim.names {
			s := sim.reports[name]
			if s.has.Less(least) {
				least = s.has
			}
			if newest.Less(s.at) {
				newest = s.at
			}
		}
		sim.mu.Unlock()
		switch {
		case sim.opts.Bug == DropUnjudged:
			floor = least
		case sim.opts.Bug == DropEarly:
			floor = now.at
		case now.has.Less(reported):
			continue
		}
		l.store.mu.Lock()
		rises := l.store.floor.Less(floor)
		l.store.mu.Unlock()
		if rises {
			_ = l.store.do(ctx, op{floor: floor}) // fails only when the region is down
		}
		floor, reported = least, newest
	}
}

// settle heals everything and waits until the regions agree.
func (sim *simulation) settle() error {
	if err := sim.heal(); err != nil {
		return err
	}
	const limit = 60 * time.Second
	for deadline := time.Now().Add(limit); !sim.quiet(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("links have not caught up after %s", limit), sim.describe(), sim.failure())
		}
	}
	// Copies still on their way must change nothing.
	sim.net.work.Wait()
	sim.checkLinks()
	return errors.Join(sim.checkConverged(), sim.failure())
}

// quiet tells whether every link has shipped and stored everything.
func (sim *simulation) quiet() bool {
	for _, r := range sim.regions {
		l := r.current()
		for _, st := range l.group.Stats() {
			if st.Lag != 0 || st.Pending != 0 || st.InFlight != 0 || st.State != link.Streaming {
				return false
			}
		}
	}
	return true
}

func (sim *simulation) describe() error {
	var errs []error
	for _, name := range sim.names {
		for _, st := range sim.regions[name].current().group.Stats() {
			errs = append(errs, fmt.Errorf("%s: %+v", name, st))
		}
	}
	return errors.Join(errs...)
}

func (sim *simulation) fail(err error) {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	if sim.err == nil {
		sim.err = err
	}
}

func (sim *simulation) failure() error {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	return sim.err
}

// Add implements link.DeadLetters: nothing in a simulation may be refused.
func (sim *simulation) Add(_ context.Context, letters []link.DeadLetter) error {
	sim.fail(fmt.Errorf("%d dead letters, the first: %s", len(letters), letters[0].Reason))
	return nil
}

// rand is a stream of choices of its own for each name, so that one part's
// choices do not shift another's.
func (sim *simulation) rand(name ...string) *rand.Rand {
	h := fnv.New64a()
	for _, n := range name {
		fmt.Fprintf(h, "%q", n)
	}
	return rand.New(rand.NewPCG(sim.opts.Seed, h.Sum64()))
}
