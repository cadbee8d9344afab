package partition

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"antipode/regionnode/apierr"
	"antipode/replication/hlc"
)

var (
	// errNotApplied: the write was definitely not applied; evaluate anew.
	errNotApplied = errors.New("not applied")
	// errUnknown: it may or may not be applied, now or later (I10).
	errUnknown = errors.New("leadership was lost with the write in flight")
)

const (
	// maxEntryBytes is how much of the buffer goes into one raft entry, if it is
	// more than one proposal.
	maxEntryBytes = 1 << 20
	// maxBufferBytes is how much may wait to be proposed.
	maxBufferBytes = 64 << 20
)

// noStamp is the stamp of a proposal that carries no version of this region.
const noStamp = -1

// proposal is one evaluated write on its way into the log.
type proposal struct {
	// term and view in and under which it was evaluated.
	term    uint64
	view    *view
	effects []byte
	// stamp is where in effects the version's time goes, or noStamp.
	stamp int
	// also are more such places, which get the same time.
	also []int
	// latched keys are released when the outcome is known.
	latched []string
	// sized writes change an item collection's size; apply sets collection to it.
	sized      bool
	collection int64
	// members changes who holds the partition: alone in its entry.
	members bool
	// holds is the time of a transaction that the proposal prepares, zero for
	// none: closed time stays below it.
	holds hlc.Timestamp
	// done gets the outcome: nil once applied here, errNotApplied or errUnknown.
	done chan error
}

func (w *proposal) release(p *Partition) {
	for _, key := range w.latched {
		p.latches.release(key)
	}
}

// finish tells the outcome of a proposal that was buffered.
func (w *proposal) finish(p *Partition, err error) {
	p.unhold(w)
	p.buffer.pending.Add(-1)
	w.release(p)
	w.done <- err
}

// flight is a raft entry that is proposed and not yet applied.
type flight struct {
	term, proposal uint64
	writes         []*proposal
}

func (f *flight) finish(p *Partition, err error) {
	for _, w := range f.writes {
		w.finish(p, err)
	}
}

// buffer holds stamped proposals in log order.
type buffer struct {
	mu     sync.Mutex
	writes []*proposal
	bytes  int
	count  uint64 // entries proposed in this process's life
	// pending counts proposals whose outcome is open; raised under mu.
	pending atomic.Int64
	// holds keeps closed time below what transactions may still write.
	holds holds
}

func (b *buffer) drain() []*proposal {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.writes
	b.writes, b.bytes = nil, 0
	return out
}

// enqueue stamps proposals and puts them into the buffer, all or none: stamp
// order is log order (I4). errNotApplied when the leadership they were
// evaluated under is over.
func (p *Partition) enqueue(ws ...*proposal) error {
	size := 0
	for _, w := range ws {
		size += len(w.effects)
	}
	p.buffer.mu.Lock()
	defer p.buffer.mu.Unlock()
	// end and noteRole replace the role before they drain the buffer, so nothing
	// stays behind in it.
	if r := p.role.Load(); !r.ready || r.term != ws[0].term {
		return errNotApplied
	}
	if p.buffer.bytes+size > maxBufferBytes {
		return logFull()
	}
	if err := p.hold(ws); err != nil {
		return err
	}
	for _, w := range ws {
		if w.stamp != noStamp {
			now := p.host.cfg.Clock.Now()
			putTime(w.effects[w.stamp:], now)
			for _, at := range w.also {
				putTime(w.effects[at:], now)
			}
		}
	}
	p.buffer.writes = append(p.buffer.writes, ws...)
	p.buffer.bytes += size
	p.buffer.pending.Add(int64(len(ws)))
	return nil
}

// logFull refuses a write that was not applied; SDKs send it again later.
func logFull() error {
	return apierr.New(apierr.Throttling, "Rate of requests exceeds the allowed throughput.")
}

// submit proposes ws, all or none, and lets the next round know. On an error
// their latches are released and none is applied; otherwise await each.
func (p *Partition) submit(ws ...*proposal) error {
	// Not under enqueue's lock: after an idle spell this waits for a sync.
	err := p.host.cfg.Clock.Ready()
	if err == nil {
		err = p.enqueue(ws...)
	}
	if err != nil {
		for _, w := range ws {
			w.release(p)
		}
		return err
	}
	p.host.scheduler.process(p)
	return nil
}

// await answers with the outcome of a submitted proposal.
func (w *proposal) await(ctx context.Context) error {
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for write in flight: %w", ctx.Err())
	}
}

// flush proposes what is buffered as one raft entry. While an entry is being
// synced it waits: what comes meanwhile shares the next one.
func (p *Partition) flush() {
	if p.appending > 0 || p.ended || p.handing() || p.changeInFlight() {
		return
	}
	r := p.role.Load()
	if writes, size, h := p.nextEntry(r); len(writes) > 0 {
		p.put(writes, size, h)
	}
}

// put proposes writes as one raft entry; false when they were refused, and told.
func (p *Partition) put(writes []*proposal, size int, h header) bool {
	entry := appendHeader(make([]byte, 0, headerLen+size), h)
	for _, w := range writes {
		entry = append(entry, w.effects...)
	}
	sealEntry(entry)
	f := flight{term: h.Term, proposal: h.Proposal, writes: writes}
	if err := p.propose(entry, writes[0].members); err != nil {
		// Refused before it reached the log: too much waits for slow members. To
		// evaluate anew at once would only spin.
		f.finish(p, logFull())
		return false
	}
	p.flights = append(p.flights, f)
	return true
}

// propose hands a sealed entry to raft.
func (p *Partition) propose(entry []byte, members bool) error {
	if !members {
		return p.raft.Propose(entry)
	}
	cc, err := confChange(entry)
	if err != nil {
		return err
	}
	return p.raft.ProposeConfChange(cc)
}

// nextEntry takes writes for one entry out of the buffer.
func (p *Partition) nextEntry(r *role) (writes []*proposal, size int, h header) {
	b := &p.buffer
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.gate != nil {
		b.bringPassing()
	}
	n := 0
	for n < len(b.writes) && (n == 0 || size+len(b.writes[n].effects) <= maxEntryBytes && b.writes[n].view == b.writes[0].view && !b.writes[n].members && !b.writes[0].members) {
		if p.gate != nil && !b.writes[n].passes() {
			break
		}
		size += len(b.writes[n].effects)
		n++
	}
	if n == 0 {
		return nil, 0, header{}
	}
	writes = b.writes[:n:n]
	b.writes = b.writes[n:]
	if len(b.writes) == 0 {
		b.writes = nil
	}
	b.bytes -= size
	return writes, size, p.headerOf(writes, r.term)
}

// headerOf makes the header of an entry; buffer.mu is held.
func (p *Partition) headerOf(writes []*proposal, term uint64) header {
	b, spec := &p.buffer, writes[0].view.spec
	b.count++
	h := header{
		Epoch: spec.Epoch, Settings: spec.Settings, Term: term, Proposal: b.count,
		Clock: p.host.cfg.Clock.Now(),
	}
	p.closed = latest(latest(p.closed, p.state.Closed), b.holds.below(closedBy(writes), p.host.cfg.Clock.Physical()))
	h.Closed = p.closed
	return h
}

func latest(a, b hlc.Timestamp) hlc.Timestamp {
	if a.Less(b) {
		return b
	}
	return a
}

// closedBy is the last stamp among writes, zero when there is none.
func closedBy(writes []*proposal) hlc.Timestamp {
	for i := len(writes) - 1; i >= 0; i-- {
		if w := writes[i]; w.stamp != noStamp {
			d := decoder{b: w.effects[w.stamp:]}
			return d.time()
		}
	}
	return hlc.Timestamp{}
}
