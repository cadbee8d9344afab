package partition

import (
	"context"
	"errors"
	"fmt"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/table"
	"antipode/replication"
)

// SplitRequest asks a partition to give the upper part of its hashes to a new
// one, the right child, on the same members. What stays is the left child, under
// the parent's id. A request is known by Right.
type SplitRequest struct {
	// Range is the epoch that the parent must have.
	Range uint32
	// Right is the new partition's id.
	Right table.PartitionID
	// The children's change logs; both greater than the parent's.
	LeftGeneration, RightGeneration replication.Generation
	// At is the first hash of the right child; 0 lets the partition choose.
	At uint64
	// ByLoad chooses by the requests that were seen lately, not by size.
	ByLoad bool
}

// SplitResult is what was done.
type SplitResult struct {
	// At is the first hash of the right child.
	At uint64
}

// SplitRecord is what a left child remembers of its last split.
type SplitRecord struct {
	Right           table.PartitionID      `msgpack:"r"`
	At              uint64                 `msgpack:"a"`
	LeftGeneration  replication.Generation `msgpack:"lg"`
	RightGeneration replication.Generation `msgpack:"rg"`
}

// CannotSplit says that a partition was not split, and will not be by this call.
type CannotSplit struct {
	Reason string
	// Never: another attempt would fail too, as long as the data or the load are
	// what they are.
	Never bool
}

func (e *CannotSplit) Error() string { return "partition cannot be split: " + e.Reason }

func notNow(format string, args ...any) error {
	return &CannotSplit{Reason: fmt.Sprintf(format, args...)}
}

func never(format string, args ...any) error {
	return &CannotSplit{Reason: fmt.Sprintf(format, args...), Never: true}
}

// splitLatch orders splits. It is shorter than any table key.
const splitLatch = "split"

// Split carries out a request on the leader and returns once it is applied here:
// durable on a majority, with the right child open. A request that was carried
// out before answers with what was done. Errors are *CannotSplit, a definite "not
// split"; *regionnode.Stale when the partition has another range epoch, as after
// CancelSplit; *regionnode.NotLeader, after which the split may have been done or
// may still be: send the same request to the next leader (I10); or ctx's, which
// says as little.
func (p *Partition) Split(ctx context.Context, r SplitRequest) (SplitResult, error) {
	if err := p.latches.acquire(ctx, splitLatch); err != nil {
		return SplitResult{}, err
	}
	defer p.latches.release(splitLatch)
	for {
		res, err := p.splitOnce(ctx, &r)
		switch {
		case errors.Is(err, errNotApplied):
			// Something else came first; what is in force now decides.
		case errors.Is(err, errUnknown):
			return res, &regionnode.NotLeader{Partition: p.id, Leader: p.role.Load().leader}
		default:
			return res, err
		}
	}
}

// splitOnce is one attempt; errNotApplied means that another is due.
func (p *Partition) splitOnce(ctx context.Context, r *SplitRequest) (SplitResult, error) {
	role, err := p.leading(ctx)
	if err != nil {
		return SplitResult{}, err
	}
	s := splitting{p: p, r: r, term: role.term, view: p.view()}
	if done := s.view.spec.splitInto(r.Right); done != nil {
		return SplitResult{At: done.At}, p.confirm(ctx)
	}
	if err := s.allowed(s.view); err != nil {
		return SplitResult{}, err
	}
	defer s.end()
	if s.at, err = s.choose(ctx); err != nil {
		return SplitResult{}, err
	}
	if err := s.count(ctx); err != nil {
		return SplitResult{}, err
	}
	if err := s.awaitIndexes(ctx, nearRecords, nearPatience); err != nil {
		return SplitResult{}, err
	}
	if err := s.gate(ctx); err != nil {
		return SplitResult{}, err
	}
	if err := s.awaitIndexes(ctx, 0, gatePatience); err != nil {
		return SplitResult{}, err
	}
	if err := s.propose(ctx); err != nil {
		return SplitResult{}, err
	}
	return SplitResult{At: s.at}, nil
}

// splitInto is the last split if it made this right child.
func (s *Spec) splitInto(right table.PartitionID) *SplitRecord {
	if s.Split != nil && s.Split.Right == right {
		return s.Split
	}
	return nil
}

// splitting is one attempt at a split on the leader.
type splitting struct {
	p    *Partition
	r    *SplitRequest
	term uint64
	view *view
	at   uint64
	// right are the counts of what the right child gets, as scanned; the tally has
	// what changed since.
	right counts
}

// allowed refuses what must not be split, or not now.
func (s *splitting) allowed(v *view) error {
	spec, r := v.spec, s.r
	switch {
	case spec.Epoch.Range != r.Range:
		return s.p.stale("range changed")
	case spec.Descriptor == nil:
		return never("it is the system's")
	case r.Right == 0 || r.Right == s.p.id:
		return never("partition %d is no new one", r.Right)
	case r.LeftGeneration <= spec.Generation || r.RightGeneration <= spec.Generation || r.LeftGeneration == r.RightGeneration:
		return never("generations %d and %d do not follow %d", r.LeftGeneration, r.RightGeneration, spec.Generation)
	case r.At != 0 && !spec.inside(r.At):
		return never("%016x is no hash inside of it", r.At)
	}
	for _, x := range spec.indexed() {
		// A back-fill's pages and its progress belong to one interval.
		if x.Backfilling {
			return notNow("index %s is being back-filled", x.Name)
		}
	}
	return nil
}

// inside tells whether a partition can be split at a hash.
func (s *Spec) inside(at uint64) bool { return at > s.Start && (s.End == 0 || at < s.End) }

// stand refuses to go on when the leadership or the range that the attempt began
// under is over.
func (s *splitting) stand() error {
	if role := s.p.role.Load(); !role.ready || role.term != s.term {
		return errNotApplied
	}
	if v := s.p.view(); v.spec.Epoch != s.view.spec.Epoch {
		return errNotApplied
	}
	return nil
}

const (
	// nearRecords is how many changes global indexes may lack before writes are
	// held back for them, and nearPatience how long they may take to come so near.
	nearRecords  = 64
	nearPatience = 10 * time.Second
	// gatePatience bounds how long writes are held back.
	gatePatience = time.Second
)

// awaitIndexes waits until every global index durably has all but the last few
// changes.
func (s *splitting) awaitIndexes(ctx context.Context, lack uint64, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	x := &s.p.indexing
	for {
		if err := s.stand(); err != nil {
			return err
		}
		x.mu.Lock()
		through, end := s.p.indexedThrough(s.p.view())
		moved := x.next()
		x.mu.Unlock()
		if through+lack >= end {
			return nil
		}
		select {
		case <-moved:
		case <-timer.C:
			return notNow("a global index lacks %d changes", end-through)
		case <-ctx.Done():
			return fmt.Errorf("wait for global indexes: %w", ctx.Err())
		}
	}
}

// CancelSplit sees to it that a Split of the same request can never take effect,
// by a new range epoch, unless it has: then already says what was done. It may be
// repeated. *regionnode.Stale when the partition never had the request's epoch.
func (p *Partition) CancelSplit(ctx context.Context, r SplitRequest) (already *SplitResult, err error) {
	err = p.exclusive(ctx, fenceLatch, func(v *view) ([]byte, error) {
		already = nil
		if done := v.spec.splitInto(r.Right); done != nil {
			already = &SplitResult{At: done.At}
			return nil, nil
		}
		switch at := v.spec.Epoch.Range; {
		case at > r.Range:
			return nil, nil // no late Split can have its epoch any more
		case at < r.Range:
			return nil, p.stale("range changed")
		}
		return appendNumbered(nil, fenceEffect, uint64(r.Range)+1), nil
	})
	if errors.Is(err, errUnknown) {
		err = &regionnode.NotLeader{Partition: p.id, Leader: p.role.Load().leader}
	}
	return already, err
}

// fenceLatch orders fences. It is shorter than any table key.
const fenceLatch = "fence"
