// Package scrub compares the replicas of partitions, continuously and at a low
// rate: stretch by stretch, every member hashes the same keys at the same place
// of the log, and one that differs from a majority is taken out of use. It knows
// neither raft nor what is hashed.
package scrub

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"antipode/regionnode/table"
)

// Partition is one partition that this node leads.
type Partition interface {
	ID() table.PartitionID
	// Members are all voters, this node among them; nil when this node does not
	// lead, or is the only one.
	Members() []table.NodeID
	// Scrub has every member hash about maxBytes from a key on (nil: the first).
	Scrub(ctx context.Context, from []byte, maxBytes int) (round string, err error)
	// Result waits for what a member found.
	Result(ctx context.Context, member table.NodeID, round string) (*Result, error)
	// Condemn takes a member's replica out of use.
	Condemn(ctx context.Context, member table.NodeID, round string) error
}

// Result is what one member found. Members that agree have the same Print.
type Result struct {
	Print string
	Bytes int64
	// Next is where to go on, nil behind the last key.
	Next []byte
}

// Config of a Scrubber. Zero fields mean the defaults named beside them.
type Config struct {
	// Partitions are those of the node; asked again for every stretch.
	Partitions func() []Partition
	// Interval is how long after a pass over a partition the next one begins.
	Interval time.Duration // 24 h
	// BytesPerSecond bounds what one node hashes as leader; its followers do as
	// much.
	BytesPerSecond int // 4 MB
	// StretchBytes is hashed at once.
	StretchBytes int // 1 MB
	// Timeout bounds one stretch.
	Timeout time.Duration // 30 s
	// Compared hears of every stretch: how many bytes, and how many members
	// differ. May be nil.
	Compared func(bytes int64, differ int)
	Log      *slog.Logger // discards
}

// Scrubber is the work of one node.
type Scrubber struct {
	cfg Config
	// due is when the next stretch of a partition may begin, and from where.
	due map[table.PartitionID]*progress
}

type progress struct {
	at   time.Time
	from []byte
	seen bool // in the present look over the partitions
}

// New makes a Scrubber.
func New(cfg Config) *Scrubber {
	if cfg.Interval == 0 {
		cfg.Interval = 24 * time.Hour
	}
	if cfg.BytesPerSecond == 0 {
		cfg.BytesPerSecond = 4 << 20
	}
	if cfg.StretchBytes == 0 {
		cfg.StretchBytes = 1 << 20
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	if cfg.Compared == nil {
		cfg.Compared = func(int64, int) {}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Scrubber{cfg: cfg, due: map[table.PartitionID]*progress{}}
}

// idle is the longest pause between two looks for something to do.
const idle = 20 * time.Second

// Run works until ctx ends.
func (s *Scrubber) Run(ctx context.Context) {
	for ctx.Err() == nil {
		p, next := s.choose()
		wait := min(max(time.Until(next), 10*time.Millisecond), idle, s.cfg.Interval)
		if p != nil {
			bytes := s.stretch(ctx, p)
			wait = time.Duration(bytes) * time.Second / time.Duration(s.cfg.BytesPerSecond)
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

// choose finds the partition that has waited longest, nil when none is due, and
// when one will be. A partition that is new here is due at some moment of its
// first interval, so that a restart does not bring all at once.
func (s *Scrubber) choose() (Partition, time.Time) {
	now := time.Now()
	next := now.Add(s.cfg.Interval)
	var chosen Partition
	for _, p := range s.cfg.Partitions() {
		if p.Members() == nil {
			continue
		}
		d := s.due[p.ID()]
		if d == nil {
			d = &progress{at: now.Add(rand.N(s.cfg.Interval))}
			s.due[p.ID()] = d
		}
		d.seen = true
		if d.at.Before(next) {
			next, chosen = d.at, p
		}
	}
	for id, d := range s.due {
		if !d.seen {
			delete(s.due, id)
		}
		d.seen = false
	}
	if next.After(now) {
		chosen = nil
	}
	return chosen, next
}

// stretch compares one stretch of a partition and returns how many bytes it had.
func (s *Scrubber) stretch(ctx context.Context, p Partition) int64 {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	d := s.due[p.ID()]
	d.at = time.Now().Add(s.cfg.Interval)
	own, err := s.compare(ctx, p, d.from)
	if err != nil {
		if ctx.Err() == nil {
			s.cfg.Log.Warn("scrub", "partition", p.ID(), "error", err)
		}
		return 0
	}
	if d.from = own.Next; d.from != nil {
		d.at = time.Now()
	}
	return own.Bytes
}

var errAway = errors.New("too few members answered to tell who is right")

// compare returns what a majority of the members found.
func (s *Scrubber) compare(ctx context.Context, p Partition, from []byte) (*Result, error) {
	members := p.Members() // not nil: choose asked
	round, err := p.Scrub(ctx, from, s.cfg.StretchBytes)
	if err != nil {
		return nil, err
	}
	found := make([]*Result, len(members))
	votes := map[string]int{}
	for i, m := range members {
		r, err := p.Result(ctx, m, round)
		if err != nil {
			s.cfg.Log.Debug("a member did not scrub", "partition", p.ID(), "member", m, "error", err)
			continue
		}
		found[i] = r
		votes[r.Print]++
	}
	var right *Result
	for _, r := range found {
		if r != nil && votes[r.Print] > len(members)/2 {
			right = r
		}
	}
	if right == nil {
		if len(votes) > 1 {
			s.cfg.Log.Error("replicas differ, and none has a majority", "partition", p.ID(), "members", members)
			s.cfg.Compared(0, len(votes)-1)
		}
		return nil, errAway
	}
	differ := 0
	for i, r := range found {
		if r == nil || r.Print == right.Print {
			continue
		}
		differ++
		s.cfg.Log.Error("a replica differs from the majority", "partition", p.ID(), "member", members[i])
		if err := p.Condemn(ctx, members[i], round); err != nil {
			s.cfg.Log.Error("a replica that differs is still in use", "partition", p.ID(), "member", members[i], "error", err)
		}
	}
	s.cfg.Compared(right.Bytes, differ)
	return right, nil
}
