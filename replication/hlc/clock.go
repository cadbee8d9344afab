package hlc

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// DefaultMaxOffset is how far another clock may be ahead of ours (I12).
const DefaultMaxOffset = 500 * time.Millisecond

// DefaultBoundAhead is how far ahead of physical time the durable bound is set.
// It is below the 80 % of DefaultMaxOffset that Fast tolerates, so that a
// restarted node with a good clock is not taken for a fast one.
const DefaultBoundAhead = 200 * time.Millisecond

// Config is what a Clock is made of. The zero Config is a clock on the system's
// time without a durable bound.
type Config struct {
	// Physical is wall time in nanoseconds since the Unix epoch; nil is the
	// system's. It may stand still or go back.
	Physical func() int64
	// MaxOffset is what Update tolerates; 0 is DefaultMaxOffset.
	MaxOffset time.Duration
	// Bound is the newest bound that PersistBound made durable before a restart,
	// 0 for none. The clock starts above it.
	Bound int64
	// PersistBound makes wall durable before it returns nil. It is called ahead
	// of need by one goroutine at a time, with rising values; nil means that
	// readings may go back over a restart.
	PersistBound func(wall int64) error
	// BoundAhead is how far ahead the bound is set; 0 is DefaultBoundAhead. The
	// bound is raised when less than half of it is left.
	BoundAhead time.Duration
}

// Clock is a hybrid logical clock. Safe for concurrent use.
type Clock struct {
	cfg Config

	// extend serialises calls of PersistBound; taken before mu, never inside it.
	extend  sync.Mutex
	running sync.WaitGroup

	mu        sync.Mutex
	last      Timestamp
	bound     int64 // MaxInt64 without PersistBound
	extending bool
	closed    bool
	err       error
}

// New starts a clock above cfg.Bound. It fails only when the first bound cannot
// be made durable.
func New(cfg Config) (*Clock, error) {
	if cfg.Physical == nil {
		cfg.Physical = func() int64 { return time.Now().UnixNano() }
	}
	if cfg.MaxOffset == 0 {
		cfg.MaxOffset = DefaultMaxOffset
	}
	if cfg.BoundAhead == 0 {
		cfg.BoundAhead = DefaultBoundAhead
	}
	c := &Clock{cfg: cfg, bound: math.MaxInt64}
	if cfg.Bound > 0 {
		c.last = Timestamp{Wall: cfg.Bound, Logical: math.MaxUint32}
	}
	if cfg.PersistBound != nil {
		c.bound = cfg.Bound
		// Little above the old bound, so that a node that restarts again and again
		// does not push its bound away from physical time.
		first := max(cfg.Physical()+int64(cfg.BoundAhead), cfg.Bound+int64(time.Millisecond))
		if err := c.raise(first); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Now is a reading greater than all before it. It never blocks on PersistBound.
func (c *Clock) Now() Timestamp {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall := c.cfg.Physical()
	if wall > c.bound-int64(c.cfg.BoundAhead)/2 {
		c.extendSoon(wall)
	}
	if wall = min(wall, c.bound); wall > c.last.Wall {
		c.last = Timestamp{Wall: wall}
		return c.last
	}
	next := c.last.Next()
	if next.Wall > c.bound {
		// 2^32 readings on one bound: storage has refused for minutes.
		panic(fmt.Sprintf("hlc: reading %d would pass the durable bound %d: %v", next.Wall, c.bound, c.err))
	}
	c.last = next
	return c.last
}

// Ready makes sure that Now is not held back by the durable bound: where the
// clock was not read for longer than the bound reaches, as after an idle spell,
// it raises the bound before it returns. Call it ahead of Now wherever blocking
// for one PersistBound is allowed; without it a reading may be as old as the
// bound. When the bound cannot rise it fails, and Now stands on the old one.
func (c *Clock) Ready() error {
	c.mu.Lock()
	wall := c.cfg.Physical()
	behind, closed := wall > c.bound, c.closed
	c.mu.Unlock()
	if !behind || closed {
		return nil
	}
	return c.raise(wall + int64(c.cfg.BoundAhead))
}

// Observe moves the clock up to t, whatever t is: for versions that are durable
// here already. It fails only when the durable bound had to rise above t and
// could not; the clock is then unchanged.
func (c *Clock) Observe(t Timestamp) error {
	c.mu.Lock()
	within := t.Wall <= c.bound
	if within && c.last.Less(t) {
		c.last = t
	}
	c.mu.Unlock()
	if within {
		return nil
	}
	if err := c.raise(t.Wall + int64(c.cfg.BoundAhead)); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last.Less(t) {
		c.last = t
	}
	return nil
}

// Update moves the clock up to t, which another clock issued. It refuses a t
// more than MaxOffset ahead of physical time with *OffsetError.
func (c *Clock) Update(t Timestamp) error {
	if err := c.Check(t); err != nil {
		return err
	}
	return c.Observe(t)
}

// Check is the refusal of Update alone, without moving the clock.
func (c *Clock) Check(t Timestamp) error {
	if ahead := time.Duration(t.Wall - c.cfg.Physical()); ahead > c.cfg.MaxOffset {
		return &OffsetError{Timestamp: t, Ahead: ahead, Max: c.cfg.MaxOffset}
	}
	return nil
}

// Physical is wall time in nanoseconds, uncorrected.
func (c *Clock) Physical() int64 { return c.cfg.Physical() }

// MaxOffset is what Update tolerates.
func (c *Clock) MaxOffset() time.Duration { return c.cfg.MaxOffset }

// Err is why the newest attempt to raise the durable bound failed, nil when it
// did not.
func (c *Clock) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close waits for a PersistBound under way and starts none any more: the clock
// stands still on its bound. Close it before what PersistBound writes to.
func (c *Clock) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.running.Wait()
}

// extendSoon raises the bound in the background; c.mu is held.
func (c *Clock) extendSoon(wall int64) {
	if c.extending || c.closed || c.cfg.PersistBound == nil {
		return
	}
	c.extending = true
	c.running.Go(func() {
		_ = c.raise(wall + int64(c.cfg.BoundAhead)) // kept for Err
		c.mu.Lock()
		c.extending = false
		c.mu.Unlock()
	})
}

// raise makes a bound of target durable, then lets readings use it.
func (c *Clock) raise(target int64) error {
	c.extend.Lock()
	defer c.extend.Unlock()
	c.mu.Lock()
	enough := target <= c.bound
	c.mu.Unlock()
	if enough {
		return nil
	}
	err := c.cfg.PersistBound(target)
	if err != nil {
		err = fmt.Errorf("persist clock bound %d: %w", target, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err = err; err == nil {
		c.bound = target
	}
	return err
}

// OffsetError refuses a timestamp from a clock that runs too far ahead (I12).
type OffsetError struct {
	Timestamp Timestamp
	// Ahead of our physical time; Max is what was tolerated.
	Ahead, Max time.Duration
}

func (e *OffsetError) Error() string {
	return fmt.Sprintf("timestamp %s is %s ahead of this clock, more than the %s allowed", e.Timestamp, e.Ahead, e.Max)
}

// Fast tells whether a node must stop stamping (I12): its clock, or its durable
// bound, is more than 80 % of maxOffset ahead of a majority of its region.
// ahead holds, for each other node heard from, how far we are ahead of it;
// nodes counts the region's nodes with ourselves.
func Fast(ahead []time.Duration, nodes int, maxOffset time.Duration) bool {
	behind := 0
	for _, d := range ahead {
		if d > maxOffset/5*4 {
			behind++
		}
	}
	return behind > nodes/2
}
