package partition

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2"

	"antipode/regionnode/internal/keys"
)

// scrubEffect has every replica hash a stretch of its keys as they are behind
// the entry. In logs on disk: never reorder.
const scrubEffect byte = 80

// scrubsKept is how many stretches a replica remembers, the newest ones.
const scrubsKept = 8

// Stretch is what one replica found in a stretch of keys. Replicas that agree
// have equal ones.
type Stretch struct {
	Hash uint64 `msgpack:"h"`
	// Keys and Bytes were hashed.
	Keys  int64 `msgpack:"k"`
	Bytes int64 `msgpack:"b"`
	// Next is where the following stretch begins, nil behind the last key.
	Next []byte `msgpack:"n,omitempty"`
}

// Equal tells whether two replicas have the same.
func (s *Stretch) Equal(o *Stretch) bool {
	return s.Hash == o.Hash && s.Keys == o.Keys && s.Bytes == o.Bytes && bytes.Equal(s.Next, o.Next)
}

// scrubs are the stretches that a replica was told, or is asked, to hash.
type scrubs struct {
	mu   sync.Mutex
	jobs []*scrubJob // oldest first
}

// scrubJob is one of them; done is closed once found and err are set.
type scrubJob struct {
	round string
	done  chan struct{}
	found Stretch
	err   error
	begun bool
}

// ErrScrubForgotten answers for a stretch that newer ones have displaced, or that
// this replica skipped because it got a snapshot instead of the entry.
var ErrScrubForgotten = errors.New("stretch is forgotten")

// job is the one of a round, made when it is not known.
func (s *scrubs) job(round string) *scrubJob {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		if j.round == round {
			return j
		}
	}
	if len(s.jobs) == scrubsKept {
		s.jobs[0].forget()
		s.jobs = slices.Delete(s.jobs, 0, 1)
	}
	j := &scrubJob{round: round, done: make(chan struct{})}
	s.jobs = append(s.jobs, j)
	return j
}

// forget ends the wait for a job that has not begun; scrubs.mu is held.
func (j *scrubJob) forget() {
	if !j.begun {
		j.begun, j.err = true, ErrScrubForgotten
		close(j.done)
	}
}

// begin is true for the one who is to do the job.
func (s *scrubs) begin(j *scrubJob) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !j.begun
	j.begun = true
	return first
}

// scrubLatch orders scrubs of one partition. It is shorter than any table key.
const scrubLatch = "scrub"

// Scrub has every replica hash the keys from a full key on (nil: from the
// first), about maxBytes of them, all at the same place of the log. It returns
// the name under which ScrubResult knows the outcome on each. Only the leader
// can; errors are Stale, NotLeader or ctx's.
func (p *Partition) Scrub(ctx context.Context, from []byte, maxBytes int) (round string, err error) {
	at := p.host.cfg.Clock.Now()
	name := binary.BigEndian.AppendUint64(nil, uint64(p.host.cfg.Node))
	name = appendTime(name, at) // a clock gives no time twice
	err = p.exclusive(ctx, scrubLatch, func(*view) ([]byte, error) {
		return binary.AppendUvarint(appendKeyed(nil, scrubEffect, name, from), uint64(max(maxBytes, 1))), nil
	})
	return string(name), p.outward(err)
}

// ScrubResult waits until this replica has hashed what Scrub named.
func (p *Partition) ScrubResult(ctx context.Context, round string) (*Stretch, error) {
	j := p.scrubs.job(round)
	select {
	case <-j.done:
		if j.err != nil {
			return nil, j.err
		}
		return &j.found, nil
	case <-p.done:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a scrub of partition %d: %w", p.id, ctx.Err())
	}
}

// scrubRequest is a decoded scrubEffect.
type scrubRequest struct {
	round    string
	from     []byte
	maxBytes int64
}

// scrub carries out a scrubEffect: nothing but a note for show.
func (a *applier) scrub(d *decoder) error {
	r := scrubRequest{round: string(d.bytes()), from: bytes.Clone(d.bytes()), maxBytes: int64(d.uvarint())}
	if d.bad {
		return errBroken
	}
	a.scrubs = append(a.scrubs, r)
	return nil
}

// beginScrub pins the state behind the entry and hashes it in the background.
func (p *Partition) beginScrub(r scrubRequest) {
	j := p.scrubs.job(r.round)
	if !p.scrubs.begin(j) {
		return
	}
	spec := p.view().spec
	spans := append(keys.AppliedSpans(p.id), keys.DataSpans(spec.Table, spec.hashes())...)
	snapshot := p.host.cfg.Store.Snapshot()
	p.host.tasks.Go(func() {
		j.found, j.err = hashStretch(p.host.ctx, snapshot, spans, &r)
		if err := snapshot.Close(); err != nil && j.err == nil {
			j.err = err
		}
		if j.err != nil {
			p.corrupt(j.err)
		}
		close(j.done)
	})
}

// hashStretch hashes keys and values from the request's key on.
func hashStretch(ctx context.Context, reader pebble.Reader, spans []keys.Span, r *scrubRequest) (Stretch, error) {
	out, sum := Stretch{}, xxhash.New()
	for _, span := range spans {
		if bytes.Compare(span.End, r.from) <= 0 {
			continue
		}
		if bytes.Compare(span.Start, r.from) < 0 {
			span.Start = r.from
		}
		full, err := out.add(ctx, reader, span, r.maxBytes, sum)
		if err != nil {
			return Stretch{}, err
		}
		if full {
			break
		}
	}
	out.Hash = sum.Sum64()
	return out, nil
}

// add hashes one span; true when the stretch is full, so that Next is set.
func (s *Stretch) add(ctx context.Context, reader pebble.Reader, span keys.Span, maxBytes int64, sum *xxhash.Digest) (full bool, err error) {
	it, err := reader.NewIter(&pebble.IterOptions{LowerBound: span.Start, UpperBound: span.End})
	if err != nil {
		return false, fmt.Errorf("scrub from %s: %w", keys.Print(span.Start), err)
	}
	defer it.Close()
	var length []byte
	for ok := it.First(); ok; ok = it.Next() {
		if s.Bytes >= maxBytes {
			s.Next = bytes.Clone(it.Key())
			return true, nil
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return false, fmt.Errorf("scrub %s: %w", keys.Print(it.Key()), err)
		}
		length = binary.AppendUvarint(binary.AppendUvarint(length[:0], uint64(len(it.Key()))), uint64(len(value)))
		_, _ = sum.Write(length) // a digest never fails
		_, _ = sum.Write(it.Key())
		_, _ = sum.Write(value)
		s.Keys++
		s.Bytes += int64(len(it.Key()) + len(value))
		if s.Keys%1024 == 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
	return false, it.Error()
}
