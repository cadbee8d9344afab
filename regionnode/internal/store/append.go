package store

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"antipode/regionnode/internal/keys"
)

// ErrClosed fails what was queued when the store closed.
var ErrClosed = errors.New("store is closed")

// Append is what one partition wants durable. Appends of one partition are
// carried out, and their Done called, in the order in which they were given.
type Append struct {
	// Log that Hard and Entries go to; nil when there are none.
	Log *RaftLog
	// Hard replaces the hard state; nil leaves it.
	Hard *HardState
	// Entries follow one another; those in the log from the first one's index on
	// are replaced.
	Entries []Entry
	// Batch is written together with the rest and stays the caller's; nil for none.
	Batch *pebble.Batch
	// Done is called once, on the loop's goroutine: it must not block. On an
	// error nothing is known about what reached the disk.
	Done func(error)
}

func (a *Append) empty() bool {
	return a.Hard == nil && len(a.Entries) == 0 && (a.Batch == nil || a.Batch.Empty())
}

// Append queues a for the loop's next group. An Append without anything to
// write waits for those before it and costs no sync.
func (s *Store) Append(a Append) { s.loop.add(a) }

// Stalled tells for how long the write under way has not become durable, 0 when
// there is none.
func (s *Store) Stalled() time.Duration {
	began := s.loop.began.Load()
	if began == 0 {
		return 0
	}
	return max(0, time.Duration(time.Now().UnixNano()-began))
}

// Syncs counts the groups that were synced since the store was opened.
func (s *Store) Syncs() uint64 { return s.loop.syncs.Load() }

// appendLoop is one goroutine that turns everything queued during the last sync
// into one batch and one sync (I1).
type appendLoop struct {
	db   *pebble.DB
	mark *mark

	mu      sync.Mutex
	wake    sync.Cond
	queue   []Append
	closing bool
	stopped chan struct{}

	syncs atomic.Uint64
	began atomic.Int64 // when the write under way began, in Unix ns; 0 for none
	err   error        // set by the first failure: later groups cannot be trusted
}

func (l *appendLoop) start(db *pebble.DB, m *mark) {
	l.db, l.mark = db, m
	l.wake.L = &l.mu
	l.stopped = make(chan struct{})
	go l.run()
}

func (l *appendLoop) stop() {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	l.wake.Signal()
	<-l.stopped
}

func (l *appendLoop) add(a Append) {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		a.Done(ErrClosed)
		return
	}
	l.queue = append(l.queue, a)
	first := len(l.queue) == 1
	l.mu.Unlock()
	if first {
		l.wake.Signal()
	}
}

func (l *appendLoop) run() {
	defer close(l.stopped)
	var group []Append
	for {
		l.mu.Lock()
		for len(l.queue) == 0 && !l.closing {
			l.wake.Wait()
		}
		group, l.queue = l.queue, group[:0]
		closing := l.closing
		l.mu.Unlock()
		if len(group) == 0 {
			return
		}
		err := ErrClosed
		if !closing {
			l.began.Store(time.Now().UnixNano())
			err = l.write(group)
			l.began.Store(0)
		}
		for i := range group {
			group[i].Done(err)
			group[i] = Append{}
		}
	}
}

// write makes a group durable with at most one sync.
func (l *appendLoop) write(group []Append) error {
	if l.err != nil {
		return l.err
	}
	b := l.db.NewBatch()
	defer b.Close()
	for i := range group {
		if err := group[i].addTo(b); err != nil {
			l.err = err
			return err
		}
	}
	if b.Empty() {
		return nil
	}
	err := l.mark.number(b)
	if err == nil {
		err = b.Commit(pebble.Sync)
	}
	if err == nil {
		err = l.mark.write(l.mark.groups + 1)
	}
	if err != nil {
		l.err = fmt.Errorf("sync group of %d appends: %w", len(group), err)
		return l.err
	}
	l.syncs.Add(1)
	for i := range group {
		if log := group[i].Log; log != nil {
			log.publish()
		}
	}
	return nil
}

func (a *Append) addTo(b *pebble.Batch) error {
	if a.empty() {
		return nil
	}
	if a.Batch != nil {
		if err := b.Apply(a.Batch, nil); err != nil {
			return fmt.Errorf("group a batch: %w", err)
		}
	}
	if a.Log == nil {
		return nil
	}
	if err := a.Log.write(b, a.Hard, a.Entries); err != nil {
		return fmt.Errorf("append to raft log of partition %d at %s: %w",
			a.Log.id, keys.Print(keys.LogEntry(a.Log.id, a.Log.written+1)), err)
	}
	return nil
}
