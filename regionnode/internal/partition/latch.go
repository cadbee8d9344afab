package partition

import (
	"context"
	"sync"
)

// latches serialise the writes of one key from their read to their apply. Who
// takes several takes them in key order, so that nobody waits in a circle.
type latches struct {
	mu sync.Mutex
	// held maps a latched key to those who wait for it, first come first.
	held map[string][]chan struct{}
}

// acquire waits until the key is the caller's.
func (l *latches) acquire(ctx context.Context, key string) error {
	l.mu.Lock()
	if l.held == nil {
		l.held = make(map[string][]chan struct{})
	}
	waiting, taken := l.held[key]
	if !taken {
		l.held[key] = nil
		l.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	l.held[key] = append(waiting, turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		l.abandon(key, turn)
		return ctx.Err()
	}
}

// abandon leaves the queue; a latch that came at the same moment goes on to the
// next.
func (l *latches) abandon(key string, turn chan struct{}) {
	l.mu.Lock()
	waiting := l.held[key]
	for i, w := range waiting {
		if w == turn {
			l.held[key] = append(waiting[:i:i], waiting[i+1:]...)
			l.mu.Unlock()
			return
		}
	}
	l.mu.Unlock()
	l.release(key)
}

// release hands the key to the next who waits.
func (l *latches) release(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting := l.held[key]
	if len(waiting) == 0 {
		delete(l.held, key)
		return
	}
	l.held[key] = waiting[1:]
	close(waiting[0])
}
