package rpc

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// looseBytes is from where on a body is queued as it is instead of being copied
// next to its neighbours.
const looseBytes = 32 << 10

// writer is the sending half of a connection. Frames queue up while the last
// batch is being written and then leave together: under load many share one
// system call and one TLS record.
type writer struct {
	conn    net.Conn
	timeout time.Duration // of one write that makes no progress
	limit   int           // bytes queued before senders wait or drop
	wake    chan struct{}
	done    chan struct{}
	// progress is set when so much was written that the peer must be reading.
	progress atomic.Bool

	mu      sync.Mutex
	queue   []segment
	spare   []byte // of an earlier batch, to be the next own segment
	bytes   int
	queued  uint64 // frames ever queued
	taken   uint64 // frames whose batch was begun to be written
	written uint64 // frames handed to the kernel
	changed chan struct{}
	err     error // set once; nothing is queued or taken after it
}

// segment is a run of bytes to write: the writer's own, which gathers frames, or
// somebody's body.
type segment struct {
	b   []byte
	own bool
}

func newWriter(conn net.Conn, cfg *Config) *writer {
	return &writer{
		conn: conn, timeout: cfg.WriteTimeout, limit: cfg.QueueBytes,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
}

// frame is one frame to send. The writer copies head, and body unless it is
// loose: a loose body must not change before it is written.
type frame struct {
	kind frameKind
	id   uint64
	head []byte
	body []byte
}

func (f *frame) size() int { return len(f.head) + len(f.body) }

// loose tells whether the body is referred to, not copied.
func (f *frame) loose() bool { return len(f.body) >= looseBytes }

// push queues f, waiting for room until ctx is done. It returns f's place in
// the order of frames, for wasTaken; an error means that no byte of f left.
func (w *writer) push(ctx context.Context, f frame) (uint64, error) {
	w.mu.Lock()
	for w.err == nil && w.bytes > w.limit {
		if err := w.waitLocked(ctx); err != nil {
			w.mu.Unlock()
			return 0, err
		}
	}
	return w.addAndUnlock(f)
}

// tryPush queues f unless the queue is over its limit.
func (w *writer) tryPush(f frame) error {
	w.mu.Lock()
	if w.err == nil && w.bytes > w.limit {
		w.mu.Unlock()
		return ErrQueueFull
	}
	_, err := w.addAndUnlock(f)
	return err
}

// force queues f over any limit: answers and control frames, whose number the
// requests in flight bound. On a dead connection it does nothing.
func (w *writer) force(f frame) {
	w.mu.Lock()
	_, _ = w.addAndUnlock(f)
}

func (w *writer) addAndUnlock(f frame) (uint64, error) {
	if w.err != nil {
		err := w.err
		w.mu.Unlock()
		return 0, err
	}
	if n := len(w.queue); n == 0 || !w.queue[n-1].own {
		w.queue = append(w.queue, segment{w.spare[:0], true})
		w.spare = nil
	}
	last := &w.queue[len(w.queue)-1]
	last.b = appendHeader(last.b, header{uint32(f.size()), f.kind, f.id})
	last.b = append(last.b, f.head...)
	if f.loose() {
		w.queue = append(w.queue, segment{f.body, false})
	} else {
		last.b = append(last.b, f.body...)
	}
	w.bytes += headerSize + f.size()
	w.queued++
	place := w.queued
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return place, nil
}

// waitLocked gives mu up until the queue was taken or written, or the writer
// failed.
func (w *writer) waitLocked(ctx context.Context) error {
	if w.changed == nil {
		w.changed = make(chan struct{})
	}
	changed := w.changed
	w.mu.Unlock()
	defer w.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writer) changeLocked() {
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

// wasTaken tells whether bytes of the frame at place may have left. It is final
// once the writer has failed.
func (w *writer) wasTaken(place uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return place <= w.taken
}

// flush waits until everything queued so far is with the kernel.
func (w *writer) flush(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for place := w.queued; w.err == nil && w.written < place; {
		if err := w.waitLocked(ctx); err != nil {
			return err
		}
	}
	return w.err
}

// fail stops the writer and makes later pushes fail with err.
func (w *writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	w.err = err
	w.queue = nil
	close(w.done)
	w.changeLocked()
}

// run writes until the writer fails; exactly one goroutine runs it.
func (w *writer) run() {
	var batch []segment
	for {
		select {
		case <-w.wake:
		case <-w.done:
			return
		}
		batch = w.take(batch[:0])
		for _, s := range batch {
			if err := w.write(s.b); err != nil {
				w.fail(err)
				_ = w.conn.Close() // ends the reader, which reports the loss
				return
			}
		}
		w.finish(batch)
	}
}

// take empties the queue and gives it batch's array for the next frames.
func (w *writer) take(batch []segment) []segment {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return nil
	}
	batch, w.queue = w.queue, batch
	w.taken = w.queued
	w.bytes = 0
	w.changeLocked()
	return batch
}

// finish notes that batch is written and keeps one of its buffers.
func (w *writer) finish(batch []segment) {
	const keep = 1 << 20
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written = w.taken
	w.changeLocked()
	for i, s := range batch {
		if s.own && cap(s.b) <= keep && cap(s.b) > cap(w.spare) {
			w.spare = s.b
		}
		batch[i] = segment{}
	}
}

// write writes b in pieces, each of which has the timeout to itself.
func (w *writer) write(b []byte) error {
	const piece = 256 << 10
	for len(b) > 0 {
		n := min(len(b), piece)
		if err := w.conn.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
			return err
		}
		if _, err := w.conn.Write(b[:n]); err != nil {
			return err
		}
		if n == piece {
			w.progress.Store(true)
		}
		b = b[n:]
	}
	return nil
}
