package partition

import (
	"container/heap"
	"fmt"
	"sync"

	"antipode/regionnode"
	"antipode/regionnode/internal/keys"
	"antipode/regionnode/internal/store"
	"antipode/regionnode/internal/transaction/protocol"
	"antipode/regionnode/item"
	"antipode/replication/hlc"
)

// Effects of transactions. In logs on disk: never renumber.
const (
	markEffect    byte = iota + 48 // a key is prepared
	resolveEffect                  // its mark goes
)

// mark is what a transaction has prepared, as long as it is neither committed
// nor cancelled. The item does not show it.
type mark struct {
	id regionnode.TransactionID
	// resolved is closed when the mark goes.
	resolved chan struct{}
}

// transactions are the marks and checks of a partition. They lie on disk like
// the items; memory has what every write must know.
type transactions struct {
	mu    sync.Mutex
	marks map[string]*mark
	// checks are the times of checks that closed time has not passed; queue holds
	// them in order, with some that newer ones have replaced.
	checks map[string]hlc.Timestamp
	queue  checkQueue
}

// markChange is one key's mark, or check, after an entry.
type markChange struct {
	key     string
	set     *mark // nil when the mark went
	checked hlc.Timestamp
}

// markFormat is the first byte of a mark on disk: change, time, row, image.
const markFormat byte = 1

// prepared is a mark as it lies on disk.
type prepared struct {
	id     regionnode.TransactionID
	change protocol.Change
	image  item.Encoded // of a Put
}

func (m *prepared) append(dst []byte) []byte {
	dst = append(dst, markFormat, byte(m.change))
	dst = appendTime(dst, m.id.Time)
	dst = appendBytes(dst, []byte(m.id.Row))
	return append(dst, m.image...)
}

// decodePrepared reads a mark; the image aliases b.
func decodePrepared(b []byte) (prepared, error) {
	d := decoder{b: b}
	if d.byte() != markFormat {
		return prepared{}, errBroken
	}
	m := prepared{change: protocol.Change(d.byte())}
	m.id.Time = d.time()
	m.id.Row = string(d.bytes())
	m.image = item.Encoded(d.b)
	if d.bad || (m.change == protocol.Put) != (len(m.image) > 0) {
		return prepared{}, errBroken
	}
	return m, nil
}

// appendMark is a markEffect.
func appendMark(dst, key []byte, m *prepared) []byte {
	return appendKeyed(dst, markEffect, key, m.append(nil))
}

// The bits of a resolveEffect's flags.
const (
	raiseChecked byte = 1 << iota
	raiseAbsentRead
	raiseDeleted
)

// appendResolve is a resolveEffect: the mark goes, and times rise to at.
func appendResolve(dst, key []byte, e protocol.Effect, at hlc.Timestamp) []byte {
	dst = appendKeyed(dst, resolveEffect, key)
	var flags byte
	if e.Checked {
		flags |= raiseChecked
	}
	if e.AbsentRead {
		flags |= raiseAbsentRead
	}
	if e.Deleted {
		flags |= raiseDeleted
	}
	return appendTime(append(dst, flags), at)
}

// mark carries out a markEffect.
func (a *applier) mark(d *decoder) error {
	key, value := d.bytes(), d.bytes()
	if d.bad {
		return errBroken
	}
	m, err := decodePrepared(value)
	if err != nil {
		return err
	}
	a.marked = append(a.marked, markChange{key: string(key), set: &mark{m.id, make(chan struct{})}})
	return a.batch.Set(a.dataKey(keys.Marks, key), value, nil)
}

// resolve carries out a resolveEffect.
func (a *applier) resolve(d *decoder) error {
	key, flags, at := d.bytes(), d.byte(), d.time()
	if d.bad {
		return errBroken
	}
	change := markChange{key: string(key)}
	if flags&raiseChecked != 0 {
		change.checked = at
		if err := a.batch.Set(a.dataKey(keys.Checks, key), appendTime(nil, at), nil); err != nil {
			return err
		}
	}
	if flags&raiseAbsentRead != 0 {
		a.state.AbsentRead = latest(a.state.AbsentRead, at)
	}
	if flags&raiseDeleted != 0 {
		a.state.Deleted = latest(a.state.Deleted, at)
	}
	a.marked = append(a.marked, change)
	return a.batch.Delete(a.dataKey(keys.Marks, key), nil)
}

// forgetChecks removes checks that closed time has passed: no prepare can be
// late for them alone any more.
func (a *applier) forgetChecks() error {
	t := a.transactions
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.queue) > 0 && !a.state.Closed.Less(t.queue[0].at) {
		c := heap.Pop(&t.queue).(check)
		if t.checks[c.key] != c.at {
			continue
		}
		delete(t.checks, c.key)
		if err := a.batch.Delete(a.dataKey(keys.Checks, []byte(c.key)), nil); err != nil {
			return err
		}
	}
	return nil
}

// showMarks makes an entry's marks visible in memory, after the batch is.
func (p *Partition) showMarks(a *applier) {
	if len(a.marked) == 0 {
		return
	}
	p.buffer.mu.Lock()
	defer p.buffer.mu.Unlock()
	t := &p.transactions
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range a.marked {
		if old := t.marks[c.key]; old != nil {
			p.buffer.holds.drop(old.id.Time)
			delete(t.marks, c.key)
			close(old.resolved)
		}
		if c.set != nil {
			t.marks[c.key] = c.set
			p.host.attention.mark(p, true)
			p.buffer.holds.add(c.set.id.Time)
		}
		if !c.checked.IsZero() {
			t.check(c.key, c.checked)
		}
	}
}

// check notes a check; t.mu is held.
func (t *transactions) check(key string, at hlc.Timestamp) {
	t.checks[key] = at
	heap.Push(&t.queue, check{key, at})
}

// loadMarks reads marks and checks from disk.
func (p *Partition) loadMarks(spec *Spec) error {
	p.buffer.mu.Lock()
	defer p.buffer.mu.Unlock()
	t := &p.transactions
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, old := range t.marks {
		p.buffer.holds.drop(old.id.Time)
		close(old.resolved)
	}
	t.marks, t.checks, t.queue = map[string]*mark{}, map[string]hlc.Timestamp{}, nil
	if spec.waiting() {
		return nil
	}
	s := p.host.cfg.Store
	err := eachPair(s, keys.DataSpan(spec.Table, keys.Marks, spec.hashes()), func(key, value []byte) error {
		m, err := decodePrepared(value)
		if err != nil {
			return err
		}
		t.marks[string(key)] = &mark{m.id, make(chan struct{})}
		p.host.attention.mark(p, true)
		p.buffer.holds.add(m.id.Time)
		return nil
	})
	if err != nil {
		return err
	}
	return eachPair(s, keys.DataSpan(spec.Table, keys.Checks, spec.hashes()), func(key, value []byte) error {
		d := decoder{b: value}
		t.check(string(key), d.time())
		return d.err()
	})
}

// eachPair calls f with each table key of a data span and its value, both valid
// only until f returns.
func eachPair(s *store.Store, span keys.Span, f func(key, value []byte) error) error {
	it, err := s.Iterate(span)
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		key, _ := keys.DataKey(it.Key())
		if err := f(key, it.Value()); err != nil {
			return fmt.Errorf("%s: %w", keys.Print(it.Key()), err)
		}
	}
	return it.Error()
}

// marked is the mark on a key, nil for none. While the caller has the key's
// latch on the leader, it stays so.
func (p *Partition) marked(key []byte) *mark {
	t := &p.transactions
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.marks) == 0 {
		return nil
	}
	return t.marks[string(key)]
}

// lastCheck is when a key was last checked, zero when closed time has passed it.
func (p *Partition) lastCheck(key []byte) hlc.Timestamp {
	t := &p.transactions
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.checks[string(key)]
}

// check is one committed check of a key.
type check struct {
	key string
	at  hlc.Timestamp
}

// checkQueue is a heap of checks, the oldest first; of equal ones by key, so
// that all members forget them alike.
type checkQueue []check

func (q checkQueue) Len() int { return len(q) }

func (q checkQueue) Less(i, j int) bool {
	if c := q[i].at.Compare(q[j].at); c != 0 {
		return c < 0
	}
	return q[i].key < q[j].key
}

func (q checkQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push is part of heap.Interface.
func (q *checkQueue) Push(x any) { *q = append(*q, x.(check)) }

// Pop is part of heap.Interface.
func (q *checkQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}
