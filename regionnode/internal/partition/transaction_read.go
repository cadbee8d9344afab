package partition

import (
	"context"
	"fmt"

	"antipode/regionnode"
	"antipode/regionnode/expr"
	"antipode/replication"
	"antipode/replication/hlc"
)

// ReadMarked is part of regionnode.Participants. The mark is looked at before
// the value, so a value without a mark is at least as new as that moment.
func (p *Partition) ReadMarked(ctx context.Context, r *regionnode.ReadMarkedRequest) (*regionnode.ReadMarkedResponse, error) {
	v, err := p.reader(ctx, &r.Target, true)
	if err != nil {
		return nil, p.outward(err)
	}
	var memory arena
	resp := &regionnode.ReadMarkedResponse{Items: make([]regionnode.MarkedItem, len(r.Keys))}
	for i, key := range r.Keys {
		if !v.spec.hashes().Contains(key) {
			return nil, p.stale("key lies outside")
		}
		p.noteRequest(key)
		out := &resp.Items[i]
		if out.Pending = p.marked(key) != nil; out.Pending {
			continue
		}
		var projection *expr.Projection
		if len(r.Projections) > 0 {
			projection = r.Projections[i]
		}
		if err := p.readMarked(v, key, projection, r.Compare, &memory, out); err != nil {
			return nil, p.outward(err)
		}
	}
	return resp, p.unchanged(&r.Target)
}

func (p *Partition) readMarked(v *view, key []byte, projection *expr.Projection, compare bool, memory *arena, out *regionnode.MarkedItem) error {
	// Read before the key: a delete that comes in between shows in the next round.
	deleted := p.watermarks(hlc.Timestamp{}).Deleted
	raw, closer, err := p.host.cfg.Store.Get(keyOf(v, key))
	if err != nil {
		return err
	}
	if closer == nil {
		// The key may have come and gone between two reads; then this has risen.
		out.Version = replication.Version{Time: deleted}
		return nil
	}
	defer closer.Close()
	s, err := decodeStored(raw)
	if err != nil {
		return fmt.Errorf("stored value: %w", err)
	}
	out.Version = s.Version
	if !s.live() {
		return nil
	}
	out.Size = s.Item.Size()
	if !compare {
		out.Item, err = memory.project(s.Item, projection)
	}
	return err
}

// StalledMark is a key that a transaction has marked too long ago.
type StalledMark struct {
	ID  regionnode.TransactionID
	Key []byte
}

// StalledMarks are the marks of attempts that began before a time, in Unix
// nanoseconds, as far as this replica leads; for whoever finishes what others
// left.
func (p *Partition) StalledMarks(before int64) []StalledMark {
	if !p.role.Load().ready {
		return nil
	}
	t := &p.transactions
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.marks) == 0 {
		p.host.attention.mark(p, false)
	}
	var out []StalledMark
	for key, m := range t.marks {
		if m.id.Time.Wall < before {
			out = append(out, StalledMark{ID: m.id, Key: []byte(key)})
		}
	}
	return out
}
