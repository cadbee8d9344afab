package partition

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"antipode/regionnode/internal/keys"
	"antipode/regionnode/table"
)

// tally sums what applied entries change of the counts at and above a hash. The
// round's.
type tally struct {
	at     uint64
	counts counts
}

// note adds a change of one key of an index. t may be nil.
func (t *tally) note(index table.IndexID, key []byte, items, bytes int64) {
	if t == nil || len(key) < 8 || binary.BigEndian.Uint64(key) < t.at {
		return
	}
	t.counts[index].Items += items
	t.counts[index].Bytes += bytes
}

func (c *counts) add(o *counts) {
	for i := range c {
		c[i].Items += o[i].Items
		c[i].Bytes += o[i].Bytes
	}
}

// count finds out what the right child gets: it scans the state of one moment,
// and from that moment on the leader tallies what is applied.
func (s *splitting) count(ctx context.Context) error {
	var snap *pebble.Snapshot
	var err error
	s.p.inRound(func() {
		if err = s.stand(); err == nil && s.p.gate.proposed() {
			err = notNow("a split of it is in the log")
		}
		if err == nil {
			s.p.tally = &tally{at: s.at}
			snap = s.p.host.cfg.Store.Snapshot()
		}
	})
	if err != nil {
		return err
	}
	if snap == nil {
		return s.p.stale("partition is closed")
	}
	defer snap.Close()
	spec := s.view.spec
	pace := newPace(s.p.host.cfg.SplitScanBytes)
	for index := table.IndexID(0); index <= maxLocal; index++ {
		span := keys.DataSpan(spec.Table, index, keys.Hashes{Start: s.at, End: spec.End})
		if err := s.countSpan(ctx, snap, span, &s.right[index], pace); err != nil {
			return err
		}
	}
	return nil
}

func (s *splitting) countSpan(ctx context.Context, snap *pebble.Snapshot, span keys.Span, c *Count, pace *pace) error {
	it, err := snap.NewIter(&pebble.IterOptions{LowerBound: span.Start, UpperBound: span.End})
	if err != nil {
		return fmt.Errorf("count: %w", err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		image, err := storedItem(it.Value())
		if err != nil {
			return fmt.Errorf("%s: %w", keys.Print(it.Key()), err)
		}
		if len(image) > 0 {
			c.Items++
			c.Bytes += int64(image.Size())
		}
		if err := s.passed(ctx, pace, len(it.Key())+len(it.Value())); err != nil {
			return err
		}
	}
	return it.Error()
}

// passed notes that so many bytes were read, waits if that was too fast, and
// refuses to go on when the attempt is over.
func (s *splitting) passed(ctx context.Context, pace *pace, bytes int) error {
	wait, look := pace.passed(bytes)
	if !look {
		return nil
	}
	if err := s.stand(); err != nil {
		return err
	}
	if wait <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.p.done:
		return s.p.stale("partition is closed")
	case <-ctx.Done():
		return fmt.Errorf("read the partition: %w", ctx.Err())
	}
}

// pace keeps reading in the background to so many bytes a second.
type pace struct {
	rate  float64
	began time.Time
	bytes int
	since int // bytes since the last look at the time
}

// paceStep is after how many bytes the time is looked at.
const paceStep = 1 << 20

func newPace(bytesPerSecond int64) *pace {
	return &pace{rate: float64(bytesPerSecond), began: time.Now()}
}

func (p *pace) passed(bytes int) (wait time.Duration, look bool) {
	p.bytes += bytes
	if p.since += bytes; p.since < paceStep {
		return 0, false
	}
	p.since = 0
	due := time.Duration(float64(p.bytes) / p.rate * float64(time.Second))
	return due - time.Since(p.began), true
}
