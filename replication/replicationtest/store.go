package replicationtest

import (
	"context"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"antipode/replication"
	"antipode/replication/hlc"
)

var errCrashed = errors.New("region is down")

// A cell is what a key holds; a tombstone when deleted.
type cell struct {
	version replication.Version
	context replication.Context
	deleted bool
	value   string
}

// An entry is a record of a log and the journal index of the operation that
// wrote it: readers see it once that is synced.
type entry struct {
	rec replication.Record
	op  int
}

// A part is one partition: its keys, its log's generations, its links'
// positions.
type part struct {
	cells     map[string]cell
	ledger    map[string]replication.Ledger
	log       [][]entry // generation i+1, i+2, …
	positions map[replication.Region]replication.Position
	changed   chan struct{}
}

// An op is one change of a store, in the order of its journal.
type op struct {
	part     int
	record   *replication.Record // set key and log it
	verdict  *replication.Record // log it only
	note     *note
	position *replication.Position
	peer     replication.Region
	roll     bool // close the log generation, begin the next
	floor    hlc.Timestamp
}

// A store is one life of a region's storage. What is not synced when it is
// killed is lost: the next life starts from the journal's synced prefix.
type store struct {
	region replication.Region
	bug    Bug
	clock  *hlc.Clock
	rng    *rand.Rand // guarded by mu

	mu      sync.Mutex
	dead    bool
	journal []op
	synced  int
	parts   []*part
	floor   hlc.Timestamp
	late    int
	dropped int
}

func newStore(region replication.Region, parts int, journal []op, clock *hlc.Clock, rng *rand.Rand, bug Bug) *store {
	s := &store{region: region, clock: clock, rng: rng, bug: bug}
	for range parts {
		s.parts = append(s.parts, &part{
			cells: map[string]cell{}, ledger: map[string]replication.Ledger{}, log: [][]entry{nil},
			positions: map[replication.Region]replication.Position{}, changed: make(chan struct{}),
		})
	}
	for _, o := range journal {
		s.apply(o)
	}
	s.synced = len(s.journal)
	return s
}

func (s *store) partOf(key []byte) int {
	h := fnv.New64a()
	h.Write(key)
	return int(h.Sum64() % uint64(len(s.parts)))
}

// apply is the state machine: a function of the journal alone. mu is held.
func (s *store) apply(o op) {
	s.journal = append(s.journal, o)
	p := s.parts[o.part]
	switch {
	case o.record != nil || o.note != nil:
		if r := o.record; r != nil {
			s.log(p, *r)
			p.cells[string(r.Key)] = cell{r.Version, r.Context, r.Delete, string(r.New)}
		}
		if o.verdict != nil {
			s.log(p, *o.verdict)
		}
		if o.note != nil {
			p.amend(o.note)
		}
	case o.position != nil:
		p.positions[o.peer] = *o.position
	case o.roll:
		p.log = append(p.log, nil)
	default:
		s.floor = o.floor
		for _, p := range s.parts {
			for k, c := range p.cells {
				if c.deleted && !o.floor.Less(c.version.Time) {
					delete(p.cells, k)
					s.dropped++
				}
			}
		}
	}
}

// log appends r to the newest generation; mu is held.
func (s *store) log(p *part, r replication.Record) {
	gen := &p.log[len(p.log)-1]
	r.Sequence = uint64(len(*gen)) + 1
	*gen = append(*gen, entry{r, len(s.journal) - 1})
}

// sync makes everything up to the journal's present end durable.
func (s *store) sync(ctx context.Context) error {
	s.mu.Lock()
	upTo, wait := len(s.journal), time.Duration(s.rng.Int64N(int64(5*time.Millisecond)))
	s.mu.Unlock()
	if s.bug == AcknowledgeUnsynced {
		time.AfterFunc(wait, func() { _ = s.synchronise(upTo) })
		return nil
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.synchronise(upTo)
}

func (s *store) synchronise(upTo int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return errCrashed
	}
	if s.synced < upTo {
		s.synced = upTo
		for _, p := range s.parts {
			close(p.changed)
			p.changed = make(chan struct{})
		}
	}
	return nil
}

// write is a client's write; it returns when it is durable. The version is set
// even when it is not.
func (s *store) write(ctx context.Context, key, value string, del bool) (replication.Version, error) {
	s.mu.Lock()
	if s.dead {
		s.mu.Unlock()
		return replication.Version{}, errCrashed
	}
	i := s.partOf([]byte(key))
	held := s.parts[i].cells[key]
	if err := s.clock.Observe(held.version.Time); err != nil {
		s.mu.Unlock()
		return replication.Version{}, err
	}
	rec := &replication.Record{
		Key: []byte(key), Version: replication.Version{Time: s.clock.Now(), Region: s.region},
		Context: replication.Follow(held.fact(), s.floor),
		Delete:  del, Old: []byte(held.value),
	}
	if !del {
		rec.New = []byte(value)
	}
	s.apply(op{part: i, record: rec})
	s.mu.Unlock()
	return rec.Version, s.sync(ctx)
}

// merge applies records from elsewhere and returns when they, or what outdates
// them, are durable.
func (s *store) merge(ctx context.Context, recs []replication.Record) error {
	s.mu.Lock()
	for _, r := range recs {
		if s.dead {
			s.mu.Unlock()
			return errCrashed
		}
		if err := s.clock.Update(r.Version.Time); err != nil {
			s.mu.Unlock()
			return err
		}
		i := s.partOf(r.Key)
		held, present := s.parts[i].cells[string(r.Key)]
		if !present && r.Cause != replication.Lost && !s.floor.Less(r.Version.Time) && s.bug != ForgetFloor {
			s.late++
			continue
		}
		if o := s.take(i, held, r); o != nil {
			s.apply(*o)
		}
	}
	s.mu.Unlock()
	return s.sync(ctx)
}

// do applies o and makes it durable.
func (s *store) do(ctx context.Context, o op) error {
	s.mu.Lock()
	if s.dead {
		s.mu.Unlock()
		return errCrashed
	}
	s.apply(o)
	s.mu.Unlock()
	return s.sync(ctx)
}

// kill ends this life and answers with what the disk holds.
func (s *store) kill() []op {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = true
	return s.journal[:s.synced:s.synced]
}
