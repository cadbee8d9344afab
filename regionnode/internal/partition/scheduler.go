package partition

import (
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// scheduler runs partitions that have work on a fixed number of goroutines. A
// partition is processed by one goroutine at a time, whoever that is. What has
// time, as the ticks of thousands of partitions that have lost their leader at
// once, waits behind what somebody waits for.
type scheduler struct {
	mu      sync.Mutex
	wake    sync.Cond
	urgent  line
	patient line
	// passed is how many urgent ones went before the first patient one.
	passed  int
	closing bool
	workers sync.WaitGroup
}

// line is partitions in the order in which they came.
type line struct {
	queue []*Partition
	head  int
}

func (l *line) empty() bool { return l.head == len(l.queue) }

func (l *line) push(p *Partition) { l.queue = append(l.queue, p) }

func (l *line) pop() *Partition {
	p := l.queue[l.head]
	l.queue[l.head] = nil
	if l.head++; l.empty() {
		l.queue, l.head = l.queue[:0], 0
	}
	return p
}

// maxPassed bounds how many urgent partitions go before a patient one, so that
// time moves on for all.
const maxPassed = 8

// The states of a partition's run.
const (
	runIdle    int32 = iota // nobody processes it, nothing to do
	runPatient              // waits in the patient line
	runUrgent               // waits in the urgent line, or is taken; it may be in the patient one too
	runActive               // is processed
	runAgain                // is processed, and work came since
)

// run is a partition's place in the scheduler.
type run struct{ state atomic.Int32 }

// claim notes that there is work; true when the caller has to see to it: by
// queueing as asked or, if that is urgent, by processing.
func (r *run) claim(as int32) bool {
	for {
		switch now := r.state.Load(); {
		case now == runIdle, now == runPatient && as == runUrgent:
			if r.state.CompareAndSwap(now, as) {
				return true
			}
		case now == runActive:
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

// notify sees to it that a worker processes p soon.
func (s *scheduler) notify(p *Partition) {
	if p.run.claim(runUrgent) {
		s.enqueue(&s.urgent, p)
	}
}

// notifyLater is notify for what nobody waits for.
func (s *scheduler) notifyLater(p *Partition) {
	if p.run.claim(runPatient) {
		s.enqueue(&s.patient, p)
	}
}

func (s *scheduler) enqueue(l *line, p *Partition) {
	s.mu.Lock()
	l.push(p)
	s.mu.Unlock()
	s.wake.Signal()
}

// process is notify that processes p on the caller's goroutine when no other
// does.
func (s *scheduler) process(p *Partition) {
	if p.run.claim(runUrgent) {
		s.runOne(p, runUrgent)
	}
}

// runOne processes p, unless it does not wait any more as the caller took it.
func (s *scheduler) runOne(p *Partition, as int32) {
	if !p.run.state.CompareAndSwap(as, runActive) {
		return
	}
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
		for s.urgent.empty() && s.patient.empty() && !s.closing {
			s.wake.Wait()
		}
		p, as := s.next()
		s.mu.Unlock()
		if p == nil {
			return
		}
		s.runOne(p, as)
	}
}

// next takes whose turn it is, and from which line; nil when nobody waits.
func (s *scheduler) next() (*Partition, int32) {
	switch {
	case s.urgent.empty() && s.patient.empty():
		return nil, runIdle
	case s.urgent.empty(), s.passed >= maxPassed && !s.patient.empty():
		s.passed = 0
		return s.patient.pop(), runPatient
	}
	s.passed++
	return s.urgent.pop(), runUrgent
}
