package index

import (
	"context"
	"fmt"
	"sync"
	"time"

	"antipode/regionnode/table"
	"antipode/replication"
)

// follower keeps one global index up to date with one partition.
type follower struct {
	g       *Group
	src     Source
	term    uint64
	index   *table.Index
	entries *table.Entries
	cancel  context.CancelFunc
	done    chan struct{}

	mu      sync.Mutex
	applied uint64
	filling bool
	// failure is the last one since the last success, failing when that row of
	// failures began; warned when it was told.
	failure string
	failing time.Time
	warned  bool
}

func newFollower(g *Group, s Spec) *follower {
	return &follower{
		g: g, src: s.Source, term: s.Term, index: s.Index,
		entries: s.Descriptor.Entries(s.Index), done: make(chan struct{}),
	}
}

func (f *follower) stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Stats{
		Partition: f.src.ID(), Index: f.index.Name, Applied: f.applied, End: f.src.LogEnd().Sequence,
		Filling: f.filling, Error: f.failure,
	}
}

// run works until ctx ends.
func (f *follower) run(ctx context.Context) {
	var start replication.Position
	if !f.insist(ctx, "begin", func() (err error) { start, err = f.begin(ctx); return err }) {
		return
	}
	var filling sync.WaitGroup
	defer filling.Wait()
	if f.index.Backfilling {
		filling.Go(func() { f.backfill(ctx) })
	}
	f.follow(ctx, start)
}

// begin finds where to read on. For an index that was added to the table later
// it is the log's end, fixed durably before any item is read: whatever is
// changed from then on is in the log.
func (f *follower) begin(ctx context.Context) (replication.Position, error) {
	if pos, ok := f.src.IndexPosition(f.index.Table); ok {
		return pos, nil
	}
	if !f.index.Backfilling {
		return f.src.LogStart(), nil
	}
	end := f.src.LogEnd()
	if err := f.src.SetIndexPosition(ctx, f.index.Table, end); err != nil {
		return end, fmt.Errorf("fix position: %w", err)
	}
	return end, nil
}

// follow reads the log from a position on.
func (f *follower) follow(ctx context.Context, pos replication.Position) {
	saved := pos
	f.moved(pos)
	for {
		var recs []replication.Record
		end := pos
		ok := f.insist(ctx, "read the change log", func() (err error) {
			recs, end, err = f.src.ReadLog(ctx, pos, f.g.cfg.BatchRecords, f.g.cfg.BatchBytes)
			return err
		})
		if !ok {
			return
		}
		if len(recs) == 0 && end != pos {
			pos = end // a split closed the generation: the log goes on in the next
			continue
		}
		if len(recs) == 0 {
			if !f.await(ctx, pos, &saved) {
				return
			}
			continue
		}
		if !f.pass(ctx, recs, end) {
			return
		}
		pos = end
		if pos.Sequence-saved.Sequence >= f.g.cfg.SaveRecords && !f.save(ctx, pos, &saved) {
			return
		}
	}
}

// pass puts records into the index; false when ctx ended first.
func (f *follower) pass(ctx context.Context, recs []replication.Record, end replication.Position) bool {
	b := batch{source: end.Generation, term: f.term, through: end.Sequence}
	ok := f.insist(ctx, "derive entries", func() (err error) {
		b.changes, err = derive(f.entries, recs)
		return err
	})
	if !ok || !f.deliver(ctx, &b) {
		return false
	}
	f.moved(end)
	return true
}

func (f *follower) moved(pos replication.Position) {
	f.mu.Lock()
	f.applied = pos.Sequence
	f.mu.Unlock()
	f.src.NoteIndexed(f.index.Table, pos.Sequence)
}

// await waits for more in the log. Meanwhile, and once, the position is saved, so
// that an idle table costs nothing.
func (f *follower) await(ctx context.Context, pos replication.Position, saved *replication.Position) bool {
	changed := f.src.LogChanged(pos)
	var quiet <-chan time.Time
	if pos != *saved {
		timer := time.NewTimer(f.g.cfg.SaveInterval)
		defer timer.Stop()
		quiet = timer.C
	}
	select {
	case <-changed:
		// A source that has ended is changed for ever, until the follower is stopped.
		if f.src.LogEnd() == pos {
			return pause(ctx, f.g.cfg.RetryMin)
		}
		return true
	case <-quiet:
		return f.save(ctx, pos, saved)
	case <-ctx.Done():
		return false
	}
}

func (f *follower) save(ctx context.Context, pos replication.Position, saved *replication.Position) bool {
	ok := f.insist(ctx, "save the position", func() error { return f.src.SetIndexPosition(ctx, f.index.Table, pos) })
	if ok {
		*saved = pos
	}
	return ok
}

// insist repeats f until it succeeds; false when ctx ended first.
func (f *follower) insist(ctx context.Context, what string, do func() error) bool {
	for wait := f.g.cfg.RetryMin; ; wait = min(2*wait, f.g.cfg.RetryMax) {
		if ctx.Err() != nil {
			return false
		}
		err := do()
		if err == nil {
			f.failed(what, nil)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		f.failed(what, err)
		if !pause(ctx, wait) {
			return false
		}
	}
}

// warnAfter is how long a follower fails before it says so: new leaders and new
// partitions take a moment.
const warnAfter = time.Second

// failed remembers a failure, or with nil a success, and tells of a row of
// failures once.
func (f *follower) failed(what string, err error) {
	f.mu.Lock()
	warn := false
	switch {
	case err == nil:
		f.failure, f.warned = "", false
	case f.failure == "":
		f.failure, f.failing = what+": "+err.Error(), time.Now()
	default:
		f.failure = what + ": " + err.Error()
		warn = !f.warned && time.Since(f.failing) >= warnAfter
		f.warned = f.warned || warn
	}
	f.mu.Unlock()
	if warn {
		f.g.cfg.Log.Warn("a global index falls behind", "partition", f.src.ID(), "index", f.index.Name, "doing", what, "error", err)
	}
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
