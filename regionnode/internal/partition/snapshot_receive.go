package partition

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"antipode/regionnode/internal/keys"
	"antipode/regionnode/internal/store"
)

// arrivalPatience is how long another sender waits for one that has gone silent.
const arrivalPatience = 30 * time.Second

// receiver takes in the snapshots of a host, one at a time.
type receiver struct {
	mu  sync.Mutex // held while a chunk is worked on
	now *arrival
	// installed counts.
	installed atomic.Uint64
}

// Installed is how many snapshots this host has put in place.
func (h *Host) Installed() uint64 { return h.receiver.installed.Load() }

// arrival is a snapshot that is being received.
type arrival struct {
	chunk       chunk // newest taken
	replica     *Partition
	at          time.Time
	index, term uint64
	spec        *Spec
	raw         []byte // of the descriptor
	incoming    *store.Incoming
	// spans to come; the one being filled is begun.
	spans []keys.Span
	fresh bool
	pairs uint64
	sum   hash.Hash
}

// errRefused breaks a transfer off.
var errRefused = errors.New("snapshot is refused")

// ReceiveSnapshot takes one chunk that another host gave to its SendSnapshot,
// and returns what goes back. It returns when the chunk is worked in; for the
// last one, when the snapshot is installed.
func (h *Host) ReceiveSnapshot(ctx context.Context, raw []byte) ([]byte, error) {
	leave, err := h.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	answer := chunkRefused
	if c, err := decodeChunk(raw); err != nil {
		h.cfg.Log.Warn("broken chunk of a snapshot", "error", err)
	} else {
		answer = h.receive(ctx, c)
	}
	return []byte{snapshotFormat, answer}, nil
}

// enter counts a caller that Close waits for.
func (h *Host) enter() (leave func(), err error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.closed {
		return nil, ErrClosed
	}
	h.callers.Add(1)
	return h.callers.Done, nil
}

func (h *Host) receive(ctx context.Context, c *chunk) byte {
	r := &h.receiver
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.kind == beginChunk {
		return h.receiveBegin(ctx, c)
	}
	a := r.now
	if a == nil || !a.chunk.sameTransfer(c) {
		return chunkRefused
	}
	if c.number != a.chunk.number+1 {
		r.drop()
		return chunkRefused
	}
	a.chunk, a.at = *c, time.Now()
	a.chunk.body = nil
	switch c.kind {
	case pairsChunk:
		if err := a.take(c.body); err != nil {
			h.cfg.Log.Warn("snapshot broken off", "partition", c.partition, "from", c.sender, "error", err)
			r.drop()
			return chunkRefused
		}
		return chunkTaken
	case endChunk:
		defer r.drop()
		return h.receiveEnd(ctx, a, c.body)
	}
	r.drop()
	return chunkRefused
}

// drop forgets what was received so far.
func (r *receiver) drop() {
	if r.now != nil {
		r.now.incoming.Discard()
		r.now = nil
	}
}

// receiveBegin decides whether a snapshot is wanted. A sender sends one at a
// time: what it began before is broken off.
func (h *Host) receiveBegin(ctx context.Context, c *chunk) byte {
	r := &h.receiver
	if a := r.now; a != nil && a.chunk.sender != c.sender && time.Since(a.at) < arrivalPatience {
		return chunkBusy
	}
	r.drop()
	a, err := beginArrival(c)
	if err != nil {
		h.cfg.Log.Warn("broken snapshot", "partition", c.partition, "from", c.sender, "error", err)
		return chunkRefused
	}
	p, ok := h.Partition(c.partition)
	if !ok || !a.spec.heldBy(h.cfg.Node) || a.spec.Epoch.Members < p.made.Load() {
		return chunkRefused
	}
	a.replica = p
	var needless bool
	if err := p.onRound(ctx, func() { needless = p.has(a.index, a.term) }); err != nil {
		return chunkBusy
	}
	switch {
	case needless:
		return chunkNeedless
	case h.overlapped(a.spec) != nil:
		return chunkBusy // until that replica has applied the split that made this range
	}
	if a.fresh, err = h.fresh(p, a.spans); err != nil {
		h.cfg.Log.Error("snapshot cannot be received", "partition", c.partition, "error", err)
		return chunkBusy
	}
	if a.incoming, err = h.cfg.Store.NewIncoming(); err != nil {
		h.cfg.Log.Error("snapshot cannot be received", "partition", c.partition, "error", err)
		return chunkBusy
	}
	h.cfg.Log.Info("receiving a snapshot", "partition", c.partition, "from", c.sender, "index", a.index)
	r.now = a
	return chunkTaken
}

// fresh tells whether nothing lies where a snapshot goes. A replica that is empty
// may have come where a split left its keys behind.
func (h *Host) fresh(p *Partition, spans []keys.Span) (bool, error) {
	if !p.Spec().waiting() {
		return false, nil
	}
	own := keys.ReplicaSpans(p.id)
	for _, span := range spans {
		if slices.ContainsFunc(own, func(o keys.Span) bool { return o.Contains(span.Start) }) {
			continue
		}
		it, err := h.cfg.Store.Iterate(span)
		if err != nil {
			return false, err
		}
		found := it.First()
		if err := errors.Join(it.Error(), it.Close()); found || err != nil {
			return false, err
		}
	}
	return true, nil
}

func beginArrival(c *chunk) (*arrival, error) {
	d := decoder{b: c.body}
	a := &arrival{chunk: *c, at: time.Now(), sum: sha256.New(), index: d.uvarint(), term: d.uvarint(), raw: bytes.Clone(d.bytes())}
	a.chunk.body = nil
	if d.bad || a.index == 0 || c.number != 0 {
		return nil, errBroken
	}
	var err error
	if a.spec, err = decodeSpec(a.raw); err != nil {
		return nil, err
	}
	if a.spec.ID != c.partition || a.spec.waiting() {
		return nil, errBroken
	}
	a.spans = snapshotSpans(a.spec)
	return a, nil
}

// take works the pairs of one chunk in.
func (a *arrival) take(body []byte) error {
	a.sum.Write(body)
	d := decoder{b: body}
	for len(d.b) > 0 {
		key, value := d.bytes(), d.bytes()
		if d.bad {
			return errBroken
		}
		if err := a.reach(key); err != nil {
			return err
		}
		if err := a.incoming.Set(key, value); err != nil {
			return err
		}
		a.pairs++
	}
	return nil
}

// reach begins spans up to the one that holds key, nil for all of them.
func (a *arrival) reach(key []byte) error {
	for len(a.spans) > 0 && (key == nil || bytes.Compare(key, a.spans[0].Start) >= 0) {
		if err := a.incoming.Replace(a.spans[0], a.fresh); err != nil {
			return err
		}
		a.spans = a.spans[1:]
	}
	return nil
}

// complete checks the end chunk.
func (a *arrival) complete(body []byte) error {
	d := decoder{b: body}
	pairs := d.uint64()
	if d.bad || pairs != a.pairs || !bytes.Equal(d.b, a.sum.Sum(nil)) {
		return errors.New("the whole differs from what was sent")
	}
	return a.reach(nil)
}

func (h *Host) receiveEnd(ctx context.Context, a *arrival, body []byte) byte {
	err := a.complete(body)
	if err == nil {
		err = h.install(ctx, a)
	}
	switch {
	case err == nil:
		h.receiver.installed.Add(1)
		h.cfg.Log.Info("snapshot installed", "partition", a.spec.ID, "index", a.index, "bytes", a.incoming.Bytes())
		return chunkTaken
	case errors.Is(err, errNeedless):
		return chunkNeedless
	case errors.Is(err, errOverlap), ctx.Err() != nil:
		return chunkBusy
	}
	h.cfg.Log.Warn("snapshot was not installed", "partition", a.spec.ID, "from", a.chunk.sender, "error", err)
	return chunkRefused
}

var (
	errNeedless = errors.New("the replica has what the snapshot has")
	errOverlap  = errors.New("another replica of this node holds a part of the range")
)

// install puts a received snapshot into a replica's place. The replica stands
// still meanwhile; whatever happens, it goes on from what is on disk.
func (h *Host) install(ctx context.Context, a *arrival) error {
	release, err := h.claim(ctx, a.spec.ID)
	if err != nil {
		return err
	}
	defer release()
	p, ok := h.Partition(a.spec.ID)
	if !ok || p != a.replica || a.spec.Epoch.Members < p.made.Load() {
		return errRefused
	}
	if h.overlapped(a.spec) != nil {
		return errOverlap
	}
	if err := p.standStill(a); err != nil {
		return err
	}
	fatal, err := p.replace(a)
	if callErr := p.onRound(context.Background(), func() { p.goOn(fatal) }); callErr != nil {
		return callErr
	}
	return errors.Join(fatal, err)
}

// standStill ends the replica's rounds until goOn, with nothing of it under way
// to the disk. errNeedless when it has got what the snapshot has.
func (p *Partition) standStill(a *arrival) error {
	quiet := make(chan error, 1)
	if err := p.onRound(context.Background(), func() {
		if p.has(a.index, a.term) {
			quiet <- errNeedless
			return
		}
		p.still = true
		p.keepPromise()
		p.setRole(role{term: p.writtenHard.Term})
		p.abandon()
		// Appends of one partition end in order: behind this one none is left.
		p.host.cfg.Store.Append(store.Append{Done: func(err error) { quiet <- err }})
	}); err != nil {
		return err
	}
	err := <-quiet
	if err != nil && !errors.Is(err, errNeedless) {
		return errors.Join(err, p.onRound(context.Background(), func() { p.goOn(err) }))
	}
	return err
}

// has tells whether a replica durably has a snapshot's state, or the log that
// leads there. Where it has not, nothing of its log beyond the snapshot can be
// committed: it does not follow on what is. The round's.
func (p *Partition) has(index, term uint64) bool {
	if p.state.Index >= index {
		return true
	}
	if p.state.Index == 0 || p.storage.log.Last() < index {
		return false
	}
	have, err := p.storage.log.Term(index)
	return err == nil && have == term
}

// replace commits what was received in place of the replica, together with its
// raft state: an empty log behind the snapshot, and votes as they were. After a
// fatal error nobody knows what is on disk.
func (p *Partition) replace(a *arrival) (fatal, err error) {
	old := p.Spec()
	for _, span := range p.host.ownSpansBut(old, a.spec) {
		if err := a.incoming.Replace(span, false); err != nil {
			return nil, err
		}
	}
	hard := p.writtenHard
	hard.Commit = a.index
	if err := store.ReplaceRaftLog(a.incoming, a.spec.ID, a.index, a.term, hard); err != nil {
		return nil, err
	}
	if err := a.incoming.Commit(context.Background()); err != nil {
		return fmt.Errorf("install snapshot: %w", err), nil
	}
	return nil, nil
}

// goOn begins rounds anew, from what is on disk; the round's.
func (p *Partition) goOn(fatal error) {
	p.still = false
	if fatal == nil {
		var hard store.HardState
		if hard, fatal = p.storage.log.Reload(); fatal == nil {
			fatal = p.reload(hard)
		}
	}
	if fatal != nil {
		p.fail(fatal)
		return
	}
	p.setRole(role{term: p.storage.hard.Term})
	p.resting()
}

// waitOut is what a round does while the replica stands still: messages are
// lost, as in a network.
func (p *Partition) waitOut(in *intake) {
	p.refuse(in.reads)
	for _, f := range in.calls {
		f()
	}
}
