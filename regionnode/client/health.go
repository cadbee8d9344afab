package client

import (
	"errors"
	"sync/atomic"
	"time"

	"antipode/regionnode/internal/rpc"
)

const (
	// suspectAfter is for how long a node answers nothing, while it owes answers,
	// before other replicas are asked first.
	suspectAfter = 300 * time.Millisecond
	// lostFor is for how long a node whose connection was lost is asked last.
	lostFor = 500 * time.Millisecond
	// evade bounds how long one request keeps away from a suspect: it may be slow
	// and still the only one that can serve.
	evade = time.Second
)

// health is what requests to a node tell about it. It is a hint only, kept for
// partitions that another node could serve: a frozen node takes requests that it
// will never answer.
type health struct {
	pending atomic.Int32
	// heard is when it last answered, or was first asked something, in Unix ns; lost
	// is when it was last found unreachable.
	heard, lost atomic.Int64
}

func (h *health) asked() {
	if h.pending.Add(1) == 1 {
		h.heard.Store(time.Now().UnixNano())
	}
}

func (h *health) answered(err error) {
	now := time.Now().UnixNano()
	if _, ok := errors.AsType[*rpc.Unreachable](err); ok {
		h.lost.Store(now)
	} else {
		h.heard.Store(now)
		h.lost.Store(0)
	}
	h.pending.Add(-1)
}

func (h *health) suspect() bool {
	now := time.Now().UnixNano()
	if now-h.lost.Load() < int64(lostFor) {
		return true
	}
	return h.pending.Load() > 0 && now-h.heard.Load() > int64(suspectAfter)
}

// shun moves a request on from a suspect to a replica that is none, if there is
// one and the request is young.
func (a *attempt) shun() {
	if len(a.way.nodes) == 1 || !a.until.IsZero() && time.Until(a.until) < a.c.cfg.Patience-evade {
		return
	}
	for range a.way.nodes {
		if !a.way.nodes[a.at].health.suspect() {
			return
		}
		a.at = (a.at + 1) % len(a.way.nodes)
	}
}

// ask notes that the node chosen is asked, and tell what came of it.
func (a *attempt) ask() *node {
	n := a.way.nodes[a.at]
	if len(a.way.nodes) > 1 {
		a.shun()
		n = a.way.nodes[a.at]
		n.health.asked()
	}
	return n
}

func (a *attempt) tell(err error) {
	if len(a.way.nodes) > 1 {
		a.way.nodes[a.at].health.answered(err)
	}
}
