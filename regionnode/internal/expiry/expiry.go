package expiry

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/table"
)

// Partition is a partition on this node as a Sweeper uses it.
type Partition interface {
	ID() table.PartitionID
	// Expires tells whether this node leads the partition and its items may
	// expire, and a number that changes with every change of its state.
	Expires() (state uint64, ok bool)
	// ScanExpired looks at items behind the key after, about maxBytes of them.
	ScanExpired(ctx context.Context, after []byte, now time.Time, maxBytes int) (*Page, error)
	// Expire deletes those of the items with these keys that have expired, by
	// what is stored at that moment, and tells how many they were.
	Expire(ctx context.Context, keys [][]byte, now time.Time) (int, error)
}

// Page is what one ScanExpired saw.
type Page struct {
	// Keys of items that have expired, in key order.
	Keys [][]byte
	// Last is the key to go on behind, nil at the partition's end.
	Last []byte
	// Next is the Unix second at which the next of the items that have not expired
	// will; math.MaxInt64 for never.
	Next int64
	// Bytes that were read.
	Bytes int
}

// Config of a Sweeper. Zero fields mean the defaults named beside them.
type Config struct {
	// Partitions are all that are on this node. Required.
	Partitions func() []Partition
	// Interval is the pause between two looks at a partition.
	Interval time.Duration // 1 s
	// Delay is how long after its time an item is left at least.
	Delay time.Duration
	// BytesPerSecond bounds what all scans of the node read.
	BytesPerSecond int // 8 MB
	// PageBytes is read of one partition before it is the next one's turn.
	PageBytes int // 256 KB
	// Now is the wall clock, After its timer.
	Now   func() time.Time                       // time.Now
	After func(d time.Duration) <-chan time.Time // time.After
	// Deleted hears of each deletion of n items; may be nil.
	Deleted func(n int)
	Log     *slog.Logger // discards
}

func (c *Config) fill() {
	c.Interval = cmp.Or(c.Interval, time.Second)
	c.BytesPerSecond = cmp.Or(c.BytesPerSecond, 8<<20)
	c.PageBytes = cmp.Or(c.PageBytes, 256<<10)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.After == nil {
		c.After = time.After
	}
	if c.Deleted == nil {
		c.Deleted = func(int) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// Sweeper visits the partitions of one node.
type Sweeper struct {
	cfg    Config
	passes map[table.PartitionID]*pass
}

// pass is one scan through a partition, and what the last one left behind.
type pass struct {
	running bool
	after   []byte
	// state and next are those of the pass under way, or of the last whole one.
	state uint64
	next  int64
	whole bool
	// notBefore is when the next pass may begin.
	notBefore time.Time
}

// New makes a Sweeper; call Run or Turn from one goroutine.
func New(cfg Config) *Sweeper {
	cfg.fill()
	return &Sweeper{cfg: cfg, passes: map[table.PartitionID]*pass{}}
}

// Run sweeps until ctx ends.
func (s *Sweeper) Run(ctx context.Context) {
	for ctx.Err() == nil {
		bytes, more := s.Turn(ctx)
		wait := s.cfg.Interval
		if more {
			wait = time.Duration(float64(bytes) / float64(s.cfg.BytesPerSecond) * float64(time.Second))
		}
		select {
		case <-ctx.Done():
		case <-s.cfg.After(wait):
		}
	}
}

// Turn reads a page of each partition that is due and deletes what has expired
// in it. It returns how much was read, and whether some partition is in the
// middle of a pass.
func (s *Sweeper) Turn(ctx context.Context) (bytes int, more bool) {
	partitions := s.cfg.Partitions()
	slices.SortFunc(partitions, func(a, b Partition) int { return cmp.Compare(a.ID(), b.ID()) })
	seen := make(map[table.PartitionID]*pass, len(s.passes))
	for _, p := range partitions {
		state, ok := p.Expires()
		if !ok {
			continue
		}
		w := s.passes[p.ID()]
		if w == nil {
			w = &pass{}
		}
		seen[p.ID()] = w
		now := s.cfg.Now()
		if !w.due(now.Add(-s.cfg.Delay), now, state) {
			continue
		}
		n, err := s.page(ctx, p, w, state)
		bytes += n
		if err != nil {
			*w = pass{notBefore: now.Add(s.cfg.Interval)}
			s.report(p.ID(), err)
		}
		more = more || w.running
	}
	s.passes = seen
	return bytes, more
}

// due tells whether a partition is worth a page: in the middle of a pass, never
// looked at, changed, or with an item whose time has come.
func (w *pass) due(expiring, now time.Time, state uint64) bool {
	if w.running {
		return true
	}
	return !now.Before(w.notBefore) && (!w.whole || state != w.state || expiring.Unix() >= w.next)
}

// maxDeletes bounds how many deletions are under way at once.
const maxDeletes = 100

func (s *Sweeper) page(ctx context.Context, p Partition, w *pass, state uint64) (bytes int, err error) {
	now := s.cfg.Now().Add(-s.cfg.Delay)
	if !w.running {
		*w = pass{running: true, state: state, next: math.MaxInt64}
	}
	page, err := p.ScanExpired(ctx, w.after, now, s.cfg.PageBytes)
	if err != nil {
		return 0, err
	}
	for keys := range slices.Chunk(page.Keys, maxDeletes) {
		n, err := p.Expire(ctx, keys, now)
		if n > 0 {
			s.cfg.Deleted(n)
		}
		if err != nil {
			return page.Bytes, err
		}
	}
	w.after, w.next = page.Last, min(w.next, page.Next)
	if page.Last == nil {
		w.running, w.whole = false, true
		w.notBefore = s.cfg.Now().Add(s.cfg.Interval)
	}
	return page.Bytes, nil
}

// report logs what is no ordinary end of a leadership or of the node.
func (s *Sweeper) report(id table.PartitionID, err error) {
	var stale *regionnode.Stale
	var moved *regionnode.NotLeader
	if errors.As(err, &stale) || errors.As(err, &moved) || errors.Is(err, context.Canceled) {
		return
	}
	s.cfg.Log.Warn("items were not expired", "partition", id, "error", err)
}
