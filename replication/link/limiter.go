package link

import (
	"context"
	"fmt"
	"sync"
)

// A limiter bounds the bytes in flight to one peer. It serves strictly in the
// order of asking; since a link asks for one batch at a time per window slot, no
// busy link starves the others.
type limiter struct {
	capacity int

	mu      sync.Mutex
	used    int
	waiters []*waiter
}

type waiter struct {
	n     int
	ready chan struct{}
}

// acquire takes n, or the whole capacity if n is more, and answers with what it
// took, for release.
func (l *limiter) acquire(ctx context.Context, n int) (int, error) {
	n = min(n, l.capacity)
	l.mu.Lock()
	if len(l.waiters) == 0 && l.used+n <= l.capacity {
		l.used += n
		l.mu.Unlock()
		return n, nil
	}
	w := &waiter{n, make(chan struct{})}
	l.waiters = append(l.waiters, w)
	l.mu.Unlock()
	select {
	case <-w.ready:
		return n, nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-w.ready: // served meanwhile
		l.used -= n
	default:
		for i, x := range l.waiters {
			if x == w {
				l.waiters = append(l.waiters[:i], l.waiters[i+1:]...)
				break
			}
		}
	}
	l.serve()
	return 0, fmt.Errorf("wait for the peer's share: %w", context.Cause(ctx))
}

func (l *limiter) release(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used -= n
	l.serve()
}

func (l *limiter) serve() {
	for len(l.waiters) > 0 && l.used+l.waiters[0].n <= l.capacity {
		l.used += l.waiters[0].n
		close(l.waiters[0].ready)
		l.waiters = l.waiters[1:]
	}
}
