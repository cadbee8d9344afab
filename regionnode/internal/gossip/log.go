package gossip

import (
	"bytes"
	"log"
	"log/slog"
)

// newLogger gives Serf and memberlist a logger whose lines become debug records:
// what they warn of is everyday life of a network.
func newLogger(to *slog.Logger) *log.Logger { return log.New(lines{to}, "", 0) }

type lines struct{ to *slog.Logger }

func (l lines) Write(line []byte) (int, error) {
	l.to.Debug("gossip: " + string(bytes.TrimSpace(line)))
	return len(line), nil
}
