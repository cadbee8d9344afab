package partition

import (
	"slices"
	"sync"
	"sync/atomic"

	"antipode/regionnode/table"
)

// turnsPerTick bounds how many partitions of a node stand for election, or hand
// their leadership over, in one tick: the death of a node orphans thousands.
const turnsPerTick = 64

// looksPerTick bounds how many orphans are looked at in a tick; the rest wait
// for the next one.
const looksPerTick = 4 * turnsPerTick

const (
	// staggerTicks is how much later the next member stands for election, if the
	// one before it has not come to lead.
	staggerTicks = 6
	// standElections is for how many election timeouts an orphan waits until it may
	// stand out of turn; then raft's own time has long taken over.
	standElections = 4
	// resignTicks is how often members are told that a replica has stopped.
	resignTicks = 40
)

// elections are a host's partitions whose leader's node is gone, and those that
// have stopped.
type elections struct {
	turns atomic.Int64

	mu sync.Mutex
	// waiting are orphans, each once; standing finds them.
	waiting  []*orphan
	standing map[*Partition]*orphan
	// stopped replicas say so from time to time: as their node lives, nobody would
	// notice.
	stopped []*Partition
	ticks   int
}

// orphan may stand from one tick on, and until another one, by elections.ticks.
type orphan struct {
	p           *Partition
	lost        table.NodeID
	from, until int
}

// turn takes one of the tick's turns.
func (e *elections) turn() bool { return e.turns.Add(-1) >= 0 }

// add has a partition stand for election soon. Of the members that are alive the
// first one, where the catalog wants the leadership, stands at once.
func (e *elections) add(p *Partition, lost table.NodeID) {
	self, live := p.host.cfg.Node, p.host.cfg.Liveness
	rank := 0
	for _, m := range p.view().spec.Members {
		if m == self {
			break
		}
		if m != lost && live.Alive(m) {
			rank++
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.standing[p]
	if o == nil {
		if e.standing == nil {
			e.standing = make(map[*Partition]*orphan)
		}
		o = &orphan{p: p}
		e.standing[p] = o
		e.waiting = append(e.waiting, o)
	}
	o.lost, o.from, o.until = lost, e.ticks+rank*staggerTicks, e.ticks+standElections*p.host.cfg.ElectionTicks
}

func (e *elections) resign(p *Partition) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = append(e.stopped, p)
}

// forget ends that for a replica that is destroyed: the node may get another one.
func (e *elections) forget(p *Partition) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = slices.DeleteFunc(e.stopped, func(q *Partition) bool { return q == p })
}

// tick is the host's.
func (e *elections) tick() {
	e.turns.Store(turnsPerTick)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ticks++
	look := min(len(e.waiting), looksPerTick)
	for _, o := range e.waiting[:look] {
		if e.served(o) {
			delete(e.standing, o.p)
		} else {
			e.waiting = append(e.waiting, o)
		}
	}
	e.waiting = e.waiting[look:]
	if len(e.waiting) == 0 {
		e.waiting = nil
	}
	if e.ticks%resignTicks == 0 {
		for _, p := range e.stopped {
			p.tellResigned()
		}
	}
}

// served is one look at an orphan; true when it needs no other.
func (e *elections) served(o *orphan) bool {
	r := o.p.role.Load()
	if r.ended || r.leader != 0 || e.ticks > o.until {
		return true
	}
	if e.ticks < o.from || !o.p.mayReplace(o.lost) || !e.turn() {
		return false
	}
	o.p.campaign()
	return true
}

// tellResigned tells the other members that this replica leads nothing.
func (p *Partition) tellResigned() {
	for _, m := range p.view().spec.Members {
		if m != p.host.cfg.Node {
			p.tell(m, note{kind: resignNote, term: p.role.Load().term})
		}
	}
}

// PeersChanged looks over the partitions that have one of these nodes as a
// member, because what this node knows of them has changed.
func (h *Host) PeersChanged(nodes []table.NodeID) {
	for _, p := range h.Partitions() {
		if !slices.ContainsFunc(nodes, p.view().spec.heldBy) {
			continue
		}
		p.inbox.mu.Lock()
		p.inbox.peers = true
		p.inbox.mu.Unlock()
		h.scheduler.notifyLater(p)
	}
}

// Awake counts the partitions that are given ticks.
func (h *Host) Awake() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.ticked)
}
