package partition

import (
	"time"

	"antipode/regionnode/internal/transaction/protocol"
	"antipode/replication/hlc"
)

const (
	// closedLag is how far closed time stays behind the clock while transactions
	// come: their timestamps are as old as their ledger row took to be written,
	// and a prepare at or below closed time is refused (I13).
	closedLag = 500 * time.Millisecond
	// lagFor is how long after a prepare closed time still stays behind.
	lagFor = 10 * time.Second
)

// holds keeps closed time below what transactions may still write. It belongs
// to the buffer, whose mutex guards it, because stamps are given under that.
type holds struct {
	// times counts marks, and prepares on their way into the log, by time.
	times map[hlc.Timestamp]int
	// promised is the newest closed time that was told without an entry to carry
	// it.
	promised hlc.Timestamp
	// until is the physical time at which closed time need not lag any more.
	until int64
}

func (h *holds) add(t hlc.Timestamp) {
	if h.times == nil {
		h.times = make(map[hlc.Timestamp]int)
	}
	h.times[t]++
}

func (h *holds) drop(t hlc.Timestamp) {
	if h.times[t]--; h.times[t] <= 0 {
		delete(h.times, t)
	}
}

// below is the newest time up to t that may be closed.
func (h *holds) below(t hlc.Timestamp, physical int64) hlc.Timestamp {
	if physical < h.until {
		t = earliest(t, hlc.Timestamp{Wall: physical - int64(closedLag)})
	}
	for held := range h.times {
		t = protocol.Below(t, held)
	}
	return t
}

func earliest(a, b hlc.Timestamp) hlc.Timestamp {
	if b.Less(a) {
		return b
	}
	return a
}

// hold refuses proposals that prepare what is closed, and keeps the times of the
// others from being closed; buffer.mu is held.
func (p *Partition) hold(ws []*proposal) error {
	for _, w := range ws {
		if !w.holds.IsZero() && !latest(p.closed, p.buffer.holds.promised).Less(w.holds) {
			return errLate
		}
	}
	for _, w := range ws {
		if !w.holds.IsZero() {
			p.buffer.holds.add(w.holds)
		}
	}
	return nil
}

// unhold ends what hold began: the mark holds the time now, or nothing does.
func (p *Partition) unhold(w *proposal) {
	if w.holds.IsZero() {
		return
	}
	p.buffer.mu.Lock()
	defer p.buffer.mu.Unlock()
	p.buffer.holds.drop(w.holds)
}

// promise notes a closed time that is told without an entry; buffer.mu is held.
func (p *Partition) promise(t hlc.Timestamp) hlc.Timestamp {
	p.buffer.holds.promised = latest(p.buffer.holds.promised, t)
	return t
}

// lag lets closed time stay behind for a while, because transactions come, and
// answers with what is closed already.
func (p *Partition) lag() hlc.Timestamp {
	p.buffer.mu.Lock()
	defer p.buffer.mu.Unlock()
	h := &p.buffer.holds
	h.until = max(h.until, p.host.cfg.Clock.Physical()+int64(lagFor))
	return latest(p.closed, h.promised)
}

// beginTerm sets what the leader of a new term has closed. What it proposed in
// an earlier term and did not get applied counts for nothing. A group of one may
// have promised anything up to the present before a restart.
func (p *Partition) beginTerm() {
	p.buffer.mu.Lock()
	defer p.buffer.mu.Unlock()
	p.closed = p.state.Closed
	if p.solo() {
		p.promise(p.host.cfg.Clock.Now())
	}
}
