package partition

import (
	"slices"
	"sync"
	"testing"
)

// resting partitions have nothing to do in a round.
func resting(n int) []*Partition {
	out := make([]*Partition, n)
	for i := range out {
		out[i] = &Partition{ended: true, storage: &raftStorage{}}
	}
	return out
}

// TestUrgentFirst wants what somebody waits for to go before what has time, and
// what has time to come nevertheless.
func TestUrgentFirst(t *testing.T) {
	var s scheduler
	s.wake.L = &s.mu
	all := resting(40)
	for _, p := range all[:20] {
		s.notifyLater(p)
	}
	for _, p := range all[20:] {
		s.notify(p)
	}
	s.notify(all[3])      // what waits in the patient line can become urgent
	s.notifyLater(all[3]) // and stays so
	var got []int
	rounds := map[*Partition]int{}
	for {
		p, as := s.next()
		if p == nil {
			break
		}
		p.inbox.ticks = 1 // which a round takes
		if s.runOne(p, as); p.inbox.ticks == 0 {
			rounds[p]++
			got = append(got, slices.Index(all, p))
		}
	}
	want := []int{20, 21, 22, 23, 24, 25, 26, 27, 0, 28, 29, 30, 31, 32, 33, 34, 35, 1, 36, 37, 38, 39, 3, 2, 4}
	if !slices.Equal(got[:len(want)], want) {
		t.Errorf("in order %v\nwant first %v", got, want)
	}
	for i, p := range all {
		if rounds[p] != 1 || p.run.state.Load() != runIdle {
			t.Errorf("partition %d had %d rounds and is in state %d", i, rounds[p], p.run.state.Load())
		}
	}
}

// TestNoneForgotten has many goroutines notify few partitions in all ways: each
// notice is followed by a round.
func TestNoneForgotten(t *testing.T) {
	var s scheduler
	s.start(4)
	all := resting(3)
	var callers sync.WaitGroup
	for i := range 6 {
		callers.Go(func() {
			for n := range 2000 {
				p := all[n%len(all)]
				p.inbox.mu.Lock()
				p.inbox.ticks++
				p.inbox.mu.Unlock()
				[]func(*Partition){s.notify, s.notifyLater, s.process}[(i+n)%3](p)
			}
		})
	}
	callers.Wait()
	s.stop()
	for i, p := range all {
		if p.inbox.ticks != 0 || p.run.state.Load() != runIdle {
			t.Errorf("partition %d is left with %d ticks in state %d", i, p.inbox.ticks, p.run.state.Load())
		}
	}
}
