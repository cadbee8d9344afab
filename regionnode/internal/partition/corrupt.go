package partition

import (
	"bytes"
	"errors"
	"fmt"
	"maps"

	"github.com/cockroachdb/pebble/v2"

	"antipode/regionnode/internal/keys"
	"antipode/regionnode/table"
)

// ErrDiffers says that a replica does not have what a majority of the others has
// at the same place of the log.
var ErrDiffers = errors.New("replica differs from the others")

// corrupt takes a replica out of use, for good, if err says that its data on disk
// is not what was written: it neither votes nor answers any more, also after a
// restart, until it is destroyed and made anew from the others. The only member
// of a group goes on: there is nobody to copy from, and Pebble's checksums keep it
// from answering with what is broken.
func (p *Partition) corrupt(err error) {
	if !pebble.IsCorruptionError(err) && !errors.Is(err, ErrDiffers) {
		return
	}
	if p.solo() {
		p.host.cfg.Log.Error("data on disk is corrupt, and there is no other copy", "partition", p.id, "error", err)
		return
	}
	if !p.host.markBroken(p.id, err) {
		return
	}
	p.inbox.mu.Lock()
	p.inbox.err = err
	p.inbox.mu.Unlock()
	p.host.scheduler.notify(p)
}

// Condemn takes this replica out of use because it differs from the others.
func (p *Partition) Condemn(round string) {
	p.corrupt(fmt.Errorf("%w (scrub %x)", ErrDiffers, round))
}

// Corruption takes those replicas out of use whose keys may be among those from
// start to end (nil: any) in which the store found corruption.
func (h *Host) Corruption(start, end []byte, err error) {
	for _, p := range h.Partitions() {
		spec := p.view().spec
		spans := keys.ReplicaSpans(p.id)
		if !spec.waiting() {
			spans = append(spans, keys.DataSpans(spec.Table, spec.hashes())...)
		}
		for _, s := range spans {
			if bytes.Compare(s.Start, end) <= 0 && bytes.Compare(start, s.End) < 0 || end == nil {
				p.corrupt(err)
				break
			}
		}
	}
}

// markBroken remembers a broken replica, durably where the disk still takes it;
// false when it is known.
func (h *Host) markBroken(id table.PartitionID, reason error) bool {
	h.mu.Lock()
	_, known := h.broken[id]
	if !known {
		h.broken[id] = reason.Error()
	}
	h.mu.Unlock()
	if known {
		return false
	}
	h.cfg.Log.Error("a replica is broken and out of use", "partition", id, "error", reason)
	b := h.cfg.Store.NewBatch()
	if err := b.Set(keys.Broken(id), []byte(reason.Error()), nil); err != nil {
		h.cfg.Log.Error("broken replica is not remembered", "partition", id, "error", err)
		return true
	}
	h.tasks.Go(func() { // this may be the append loop's goroutine, or a round
		if release, err := h.claim(h.ctx, id); err == nil {
			defer release()
		} // else the host closes, and nothing is destroyed any more
		if _, still := h.Broken()[id]; !still {
			return // destroyed meanwhile
		}
		if err := h.cfg.Store.Sync(b); err != nil {
			h.cfg.Log.Error("broken replica is not remembered", "partition", id, "error", err)
		}
	})
	return true
}

// Broken are the replicas here that are out of use, and why. Destroy forgets
// them.
func (h *Host) Broken() map[table.PartitionID]string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return maps.Clone(h.broken)
}

// outOfUse answers who wants another replica in a broken one's place: that may
// have acknowledged and promised what the new one would not know, so first the
// node has to be removed from the members.
func (h *Host) outOfUse(id table.PartitionID) error {
	return fmt.Errorf("partition %d: %w", id, ErrOutOfUse)
}

// ErrOutOfUse says that the replica here is broken, and not destroyed yet.
var ErrOutOfUse = errors.New("the replica here is broken and must be destroyed first")

// wreck is the descriptor of a broken replica that could not be opened.
func (h *Host) wreck(id table.PartitionID) *Spec {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.wrecks[id]
}

// noteWrecks adds broken replicas of which no descriptor is left: their end was
// interrupted by a crash.
func (h *Host) noteWrecks() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range h.broken {
		if h.partitions[id] == nil && h.wrecks[id] == nil {
			h.wrecks[id] = &Spec{ID: id}
		}
	}
}

// Held are the descriptors of all replicas of this node, those that are out of
// use included.
func (h *Host) Held() []*Spec {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := make([]*Spec, 0, len(h.partitions)+len(h.wrecks))
	for _, p := range h.partitions {
		out = append(out, p.Spec())
	}
	for _, s := range h.wrecks {
		out = append(out, s)
	}
	return out
}

func (h *Host) loadBroken() error {
	it, err := h.cfg.Store.Iterate(keys.BrokenReplicas())
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		id, ok := keys.BrokenPartition(it.Key())
		if !ok {
			return fmt.Errorf("%s: %w", keys.Print(it.Key()), errBroken)
		}
		h.broken[id] = string(it.Value())
	}
	return it.Error()
}
