package node

import (
	"testing"

	"antipode/replication/hlc"
	"antipode/replication/link"
)

// TestDurable: the watermark is told in nanoseconds, which must not cover what
// was written later in the last one of them; and not of a link whose peer may
// have lost what it had.
func TestDurable(t *testing.T) {
	for _, c := range []struct {
		state link.State
		at    hlc.Timestamp
		want  int64
	}{
		{link.Streaming, hlc.Timestamp{}, 0},
		{link.Streaming, hlc.Timestamp{Wall: 1000, Logical: 3}, 999},
		{link.Paused, hlc.Timestamp{Wall: 1000}, 999},
		{link.Halted, hlc.Timestamp{Wall: 1000}, 0},
	} {
		if got := durable(&link.Stats{State: c.state, Durable: c.at}); got != c.want {
			t.Errorf("%s at %v: %d, want %d", c.state, c.at, got, c.want)
		}
	}
}
