package partition

import (
	"context"
	"fmt"
	"slices"

	"antipode/regionnode/internal/keys"
	"antipode/regionnode/table"
)

// Destroy removes this node's replica with all its data, durably. A partition
// that is not here is gone already. A replica that is made here later remembers
// how this one has voted.
func (h *Host) Destroy(ctx context.Context, id table.PartitionID) error {
	return h.destroy(ctx, id, 0, func(*Spec, replicaPast) error { return nil })
}

// destroy removes a replica that may go; gone is the Epoch.Members that has none
// here, 0 where that is not known.
func (h *Host) destroy(ctx context.Context, id table.PartitionID, gone uint32, may func(*Spec, replicaPast) error) error {
	release, err := h.claim(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	spec, past, err := h.destroyable(id, gone)
	if err != nil || spec == nil {
		return err
	}
	if err := may(spec, past); err != nil {
		return err
	}
	past.gone = max(past.gone, gone)
	if p, ok := h.Partition(id); ok {
		h.mu.Lock()
		delete(h.ticked, id)
		h.mu.Unlock()
		p.close()
		h.elections.forget(p)
		spec = p.Spec()
		past.term, past.vote = p.writtenHard.Term, p.writtenHard.Vote
	} else if hard, err := h.cfg.Store.HardState(id); err == nil && hard.Term >= past.term {
		// Where it cannot be read, a vote may be forgotten. The next replica here is
		// one of a membership behind this one's removal, and votes only once it has a
		// snapshot of that: whoever this one voted for cannot lead by then.
		past.term, past.vote = hard.Term, hard.Vote
	}
	h.births.Lock()
	defer h.births.Unlock()
	if err := h.erase(ctx, spec, past); err != nil {
		return fmt.Errorf("destroy partition %d: %w", id, err)
	}
	h.mu.Lock()
	delete(h.partitions, id)
	delete(h.broken, id)
	delete(h.wrecks, id)
	h.mu.Unlock()
	h.attention.respecified()
	return nil
}

// destroyable is the replica here as its descriptor says, nil for none; that it
// must not come any more, by a split, is noted then.
func (h *Host) destroyable(id table.PartitionID, gone uint32) (*Spec, replicaPast, error) {
	h.births.Lock()
	defer h.births.Unlock()
	past, err := h.past(id)
	if err != nil {
		return nil, past, err
	}
	if p, ok := h.Partition(id); ok {
		return p.Spec(), past, nil
	}
	spec := h.wreck(id)
	if spec == nil && past.gone < gone {
		past.gone = gone
		err = h.cfg.Store.SetSync(keys.ReplicaPast(id), past.append(nil))
	}
	return spec, past, err
}

// erase removes a replica from the disk, and with it what no other one holds.
// What is broken is cut out unread, its descriptor last: after a crash on the way
// it is broken still, and destroyed again.
func (h *Host) erase(ctx context.Context, spec *Spec, past replicaPast) error {
	id := spec.ID
	spans := h.ownSpans(spec)
	_, broken := h.Broken()[id]
	b := h.cfg.Store.NewBatch()
	if err := b.Set(keys.ReplicaPast(id), past.append(nil), nil); err != nil {
		return err
	}
	if !broken {
		for _, span := range append(keys.ReplicaSpans(id), spans...) {
			if err := b.DeleteRange(span.Start, span.End, nil); err != nil {
				return err
			}
		}
		return h.cfg.Store.Sync(b)
	}
	for _, span := range append(spans, reversed(keys.ReplicaSpans(id))...) {
		if err := h.cfg.Store.Excise(ctx, span); err != nil {
			return err
		}
	}
	if err := b.Delete(keys.Broken(id), nil); err != nil {
		return err
	}
	return h.cfg.Store.Sync(b)
}

// reversed has the descriptor's span, the first, at the end.
func reversed(spans []keys.Span) []keys.Span {
	slices.Reverse(spans)
	return spans
}
