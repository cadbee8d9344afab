package gossip

import (
	"bytes"
	"log"
	"log/slog"
	"sync"
)

// lines turns what Serf and memberlist log into debug records: what they warn of
// is everyday life of a network.
type lines struct {
	to *slog.Logger

	mu     sync.RWMutex
	closed bool
}

func (l *lines) logger() *log.Logger { return log.New(l, "", 0) }

func (l *lines) Write(line []byte) (int, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if !l.closed {
		l.to.Debug("gossip: " + string(bytes.TrimSpace(line)))
	}
	return len(line), nil
}

// close drops later lines: memberlist's timers outlive it for some seconds, and
// must not speak for a pool that is gone.
func (l *lines) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}
