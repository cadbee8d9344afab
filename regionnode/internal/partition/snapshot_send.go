package partition

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"antipode/regionnode/internal/keys"
	"antipode/regionnode/internal/store"
	"antipode/regionnode/table"
)

// chunkPatience is how long a chunk's answer is waited for; the last one's comes
// when the snapshot is installed.
const chunkPatience = time.Minute

// snapshotPause is for how many election timeouts a member whose snapshot failed
// is left alone before it is tried again.
const snapshotPause = 2

// snapshotWish is a member that raft wants to give a snapshot to.
type snapshotWish struct {
	p    *Partition
	to   table.NodeID
	term uint64
}

// sender sends the snapshots of a host, one after another.
type sender struct {
	mu    sync.Mutex
	queue []snapshotWish
	wake  chan struct{} // holds one when there may be something to do
	count uint64        // transfers so far; the sending goroutine's
}

// wish queues a member, once. The queue holds no more than there are members.
func (s *sender) wish(w snapshotWish) {
	s.mu.Lock()
	for i := range s.queue {
		if q := &s.queue[i]; q.p == w.p && q.to == w.to {
			q.term = max(q.term, w.term)
			s.mu.Unlock()
			return
		}
	}
	s.queue = append(s.queue, w)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *sender) next(ctx context.Context) (snapshotWish, bool) {
	for {
		s.mu.Lock()
		if len(s.queue) > 0 {
			w := s.queue[0]
			s.queue = s.queue[1:]
			s.mu.Unlock()
			return w, true
		}
		s.mu.Unlock()
		select {
		case <-s.wake:
		case <-ctx.Done():
			return snapshotWish{}, false
		}
	}
}

// sendSnapshots runs until the host closes.
func (h *Host) sendSnapshots() {
	for {
		w, ok := h.sender.next(h.ctx)
		if !ok {
			return
		}
		index, epoch, err := h.sendSnapshot(h.ctx, w)
		if err != nil && h.ctx.Err() == nil {
			h.cfg.Log.Warn("snapshot was not sent", "partition", w.p.id, "to", w.to, "error", err)
		}
		_ = w.p.onRound(h.ctx, func() { w.p.snapshotSent(w, index, epoch, err) })
	}
}

// errNotLeading ends a transfer whose sender does not lead any more.
var errNotLeading = errors.New("leadership is over")

// sendSnapshot streams the newest state to a member, and answers with its index
// once the member has it durably; epoch is the Epoch.Members when it began.
func (h *Host) sendSnapshot(ctx context.Context, w snapshotWish) (index uint64, epoch uint32, err error) {
	var spec *Spec
	if err := w.p.onRound(ctx, func() { spec = w.p.pin(w) }); err != nil {
		return 0, 0, err
	}
	if spec == nil {
		return 0, 0, errNotLeading
	}
	pinned := h.cfg.Store.Pin(snapshotSpans(spec))
	defer func() { err = errors.Join(err, pinned.Close()) }()
	h.sender.count++
	t := &transfer{
		host: h, wish: w, spec: spec, pinned: pinned, sum: sha256.New(),
		chunk: chunk{partition: w.p.id, sender: h.cfg.Node, life: h.started, count: h.sender.count},
	}
	index, err = t.run(ctx)
	return index, spec.Epoch.Members, err
}

// transfer is one snapshot on its way.
type transfer struct {
	host   *Host
	wish   snapshotWish
	spec   *Spec
	pinned *store.Pinned
	chunk  chunk
	body   []byte
	pairs  uint64
	sum    hash.Hash
	due    time.Time // when the next chunk may go
}

func (t *transfer) run(ctx context.Context) (uint64, error) {
	state, err := t.begin()
	if err != nil {
		return 0, err
	}
	needless, err := t.send(ctx, beginChunk)
	if err != nil || needless {
		return state.Index, err
	}
	for _, span := range snapshotSpans(t.spec) {
		if err := t.sendSpan(ctx, span); err != nil {
			return 0, err
		}
	}
	if len(t.body) > 0 {
		if _, err := t.send(ctx, pairsChunk); err != nil {
			return 0, err
		}
	}
	t.body = t.sum.Sum(binary.BigEndian.AppendUint64(t.body, t.pairs))
	_, err = t.send(ctx, endChunk)
	return state.Index, err
}

// begin prepares the first chunk. The pinned descriptor and applied state, which
// are of one entry (I2), say what the snapshot is of.
func (t *transfer) begin() (appliedState, error) {
	raw, err := t.pinned.GetCopy(keys.Applied(t.spec.ID))
	if err != nil {
		return appliedState{}, err
	}
	state, err := decodeApplied(raw)
	if err != nil {
		return appliedState{}, err
	}
	if raw, err = t.pinned.GetCopy(keys.Descriptor(t.spec.ID)); err != nil {
		return appliedState{}, err
	}
	spec, err := decodeSpec(raw)
	switch {
	case err != nil:
		return appliedState{}, err
	case spec.hashes() != t.spec.hashes():
		return appliedState{}, errors.New("range changed meanwhile")
	case !spec.heldBy(t.wish.to):
		return appliedState{}, fmt.Errorf("node %d is no member any more", t.wish.to)
	}
	t.body = appendBytes(appendNumbered(nil, 0, state.Index, state.Term)[1:], raw)
	return state, nil
}

func (t *transfer) sendSpan(ctx context.Context, span keys.Span) (err error) {
	it, err := t.pinned.Iterate(span)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		t.body = appendPair(t.body, it.Key(), value)
		t.pairs++
		if uint64(len(t.body)) < t.host.cfg.SnapshotPart {
			continue
		}
		if _, err := t.send(ctx, pairsChunk); err != nil {
			return err
		}
	}
	return it.Error()
}

// send sends the body as one chunk and waits for its answer.
func (t *transfer) send(ctx context.Context, kind byte) (needless bool, err error) {
	if r := t.wish.p.role.Load(); !r.ready || r.term != t.wish.term {
		return false, errNotLeading
	}
	if err := t.pace(ctx, len(t.body)); err != nil {
		return false, err
	}
	if kind == pairsChunk {
		t.sum.Write(t.body)
	}
	t.chunk.kind, t.chunk.body = kind, t.body
	one, cancel := context.WithTimeout(ctx, chunkPatience)
	defer cancel()
	answer, err := t.host.cfg.SendSnapshot(one, t.wish.to, t.chunk.encode())
	if err != nil {
		return false, fmt.Errorf("send chunk %d: %w", t.chunk.number, err)
	}
	t.chunk.number++
	t.body = t.body[:0]
	if len(answer) != 2 || answer[0] != snapshotFormat {
		return false, errors.New("answer is broken")
	}
	switch answer[1] {
	case chunkTaken:
		return false, nil
	case chunkNeedless:
		return true, nil
	case chunkBusy:
		return false, errors.New("the member receives another one")
	}
	return false, errors.New("the member refuses it")
}

// pace waits until n more bytes fit into the rate.
func (t *transfer) pace(ctx context.Context, n int) error {
	now := time.Now()
	if wait := t.due.Sub(now); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	} else {
		t.due = now
	}
	t.due = t.due.Add(time.Duration(float64(n) / float64(t.host.cfg.SnapshotRate) * float64(time.Second)))
	return nil
}

// snapshots are what a leader notes of members that get one; the round's.
type snapshots struct {
	// pinned is the index behind which the log stays for a member, as long as a
	// snapshot of that index or a later one is on its way.
	pinned map[uint64]uint64
	// paused counts down the ticks until raft is told that a snapshot failed, and
	// may want another.
	paused map[uint64]int
}

// wantSnapshot takes over from raft, which has decided that a member needs a
// snapshot; the round's.
func (p *Partition) wantSnapshot(m *pb.Message) {
	p.host.sender.wish(snapshotWish{p, table.NodeID(m.GetTo()), m.GetTerm()})
}

// pin keeps the log for a member's snapshot; nil when this leadership is over.
func (p *Partition) pin(w snapshotWish) *Spec {
	if r := p.role.Load(); !r.ready || r.term != w.term {
		return nil
	}
	if p.snapshots.pinned == nil {
		p.snapshots.pinned = map[uint64]uint64{}
	}
	p.snapshots.pinned[uint64(w.to)] = p.state.Index
	return p.view().spec
}

// snapshotSent tells raft how a transfer ended; the round's.
func (p *Partition) snapshotSent(w snapshotWish, index uint64, epoch uint32, err error) {
	delete(p.snapshots.pinned, uint64(w.to))
	if r := p.role.Load(); !r.leading || r.term != w.term {
		return
	}
	if err != nil {
		if p.snapshots.paused == nil {
			p.snapshots.paused = map[uint64]int{}
		}
		p.snapshots.paused[uint64(w.to)] = snapshotPause * p.host.cfg.ElectionTicks
		return
	}
	if p.view().spec.gone(w.to, epoch) {
		return // it was another replica that got it
	}
	// The member has everything up to index durably, in whatever term it is: that
	// is what this message of raft's says.
	from, to, term := uint64(w.to), uint64(p.host.cfg.Node), w.term
	_ = p.raft.Step(&pb.Message{Type: pb.MsgAppResp.Enum(), From: &from, To: &to, Term: &term, Index: &index})
}

// tickSnapshots lets raft try failed snapshots again, at a tick of the leader.
func (p *Partition) tickSnapshots() {
	for id := range p.snapshots.paused {
		if p.snapshots.paused[id]--; p.snapshots.paused[id] <= 0 {
			delete(p.snapshots.paused, id)
			p.raft.ReportSnapshot(id, raft.SnapshotFailure)
		}
	}
}
