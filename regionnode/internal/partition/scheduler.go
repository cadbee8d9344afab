package partition

import (
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// scheduler runs partitions that have work on a fixed number of goroutines. A
// partition is processed by one goroutine at a time, whoever that is.
type scheduler struct {
	mu      sync.Mutex
	wake    sync.Cond
	queue   []*Partition
	head    int
	closing bool
	workers sync.WaitGroup
}

// The states of a partition's run.
const (
	runIdle   int32 = iota // nobody processes it, nothing to do
	runQueued              // waits for a worker
	runActive              // is processed
	runAgain               // is processed, and work came since
)

// run is a partition's place in the scheduler.
type run struct{ state atomic.Int32 }

// claim notes that there is work; true when the caller has to see to it, by
// queueing or by processing.
func (r *run) claim() bool {
	for {
		switch r.state.Load() {
		case runIdle:
			if r.state.CompareAndSwap(runIdle, runQueued) {
				return true
			}
		case runActive:
			if r.state.CompareAndSwap(runActive, runAgain) {
				return false
			}
		default:
			return false
		}
	}
}

// finish ends a round; false when work came meanwhile.
func (r *run) finish() bool {
	if r.state.CompareAndSwap(runActive, runIdle) {
		return true
	}
	r.state.Store(runActive)
	return false
}

func (s *scheduler) start(workers int) {
	s.wake.L = &s.mu
	for range workers {
		s.workers.Go(s.work)
	}
}

// stop lets the workers finish what is queued.
func (s *scheduler) stop() {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.wake.Broadcast()
	s.workers.Wait()
}

// notify sees to it that a worker processes p.
func (s *scheduler) notify(p *Partition) {
	if !p.run.claim() {
		return
	}
	s.mu.Lock()
	s.queue = append(s.queue, p)
	s.mu.Unlock()
	s.wake.Signal()
}

// process is notify that processes p on the caller's goroutine when no other
// does.
func (s *scheduler) process(p *Partition) {
	if p.run.claim() {
		s.runOne(p)
	}
}

func (s *scheduler) runOne(p *Partition) {
	p.run.state.Store(runActive)
	defer crashOnPanic()
	for {
		p.process()
		if p.run.finish() {
			return
		}
	}
}

// crashOnPanic ends the process when a round panics. Rounds run on callers'
// goroutines too, and a server's recover must not leave a partition behind that
// nobody processes any more: a broken invariant is no request's fault.
func crashOnPanic() {
	if r := recover(); r != nil {
		stack := debug.Stack()
		go panic(fmt.Sprintf("partition: %v\n%s", r, stack))
		select {}
	}
}

func (s *scheduler) work() {
	for {
		s.mu.Lock()
		for s.head == len(s.queue) && !s.closing {
			s.wake.Wait()
		}
		if s.head == len(s.queue) {
			s.mu.Unlock()
			return
		}
		p := s.queue[s.head]
		s.queue[s.head] = nil
		if s.head++; s.head == len(s.queue) {
			s.queue, s.head = s.queue[:0], 0
		}
		s.mu.Unlock()
		s.runOne(p)
	}
}
