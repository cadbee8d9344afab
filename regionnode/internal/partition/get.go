package partition

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"antipode/regionnode"
	"antipode/regionnode/expr"
	"antipode/regionnode/internal/keys"
	"antipode/regionnode/item"
)

// Get reads one item; see regionnode.Data. A consistent read is served by the
// leader alone, any other by every replica from what it has applied.
func (p *Partition) Get(ctx context.Context, r *regionnode.GetRequest) (*regionnode.GetResponse, error) {
	v, err := p.reader(ctx, &r.Target, r.Consistent)
	if err != nil {
		return nil, p.outward(err)
	}
	p.load.note(r.Key)
	resp := &regionnode.GetResponse{}
	if err := p.get(v, r.Key, r.Projection, resp); err != nil {
		return nil, p.outward(err)
	}
	return resp, p.unchanged(&r.Target)
}

// seekFrom is from how many keys on one iterator that seeks is cheaper than a
// look-up of each.
const seekFrom = 8

// BatchGet reads many items; see regionnode.Data.
func (p *Partition) BatchGet(ctx context.Context, r *regionnode.BatchGetRequest) (*regionnode.BatchGetResponse, error) {
	v, err := p.reader(ctx, &r.Target, r.Consistent)
	if err != nil {
		return nil, p.outward(err)
	}
	resp := &regionnode.BatchGetResponse{Items: make([]regionnode.GetResponse, len(r.Keys))}
	for _, key := range r.Keys {
		p.load.note(key)
	}
	if len(r.Keys) >= seekFrom {
		err = p.getSorted(v, r, resp.Items)
	} else {
		for i := 0; i < len(r.Keys) && err == nil; i++ {
			err = p.get(v, r.Keys[i], r.Projection, &resp.Items[i])
		}
	}
	if err != nil {
		return nil, p.outward(err)
	}
	return resp, p.unchanged(&r.Target)
}

// getSorted reads many items in key order through one iterator: neighbours are
// found from one another, and what an iterator costs is paid once.
func (p *Partition) getSorted(v *view, r *regionnode.BatchGetRequest, out []regionnode.GetResponse) error {
	order := make([]int, len(r.Keys))
	hashes := v.spec.hashes()
	for i, key := range r.Keys {
		if !hashes.Contains(key) {
			return p.stale("key lies outside")
		}
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return bytes.Compare(r.Keys[a], r.Keys[b]) })
	it, err := p.host.cfg.Store.Iterate(keys.DataSpan(v.spec.Table, 0, hashes))
	if err != nil {
		return err
	}
	defer it.Close()
	var memory arena
	var at []byte
	for _, i := range order {
		at = keys.AppendData(at[:0], v.spec.Table, 0, r.Keys[i])
		if !it.SeekPrefixGE(at) {
			if err := it.Error(); err != nil {
				return err
			}
			continue
		}
		raw, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if err := answerItem(raw, r.Projection, &memory, &out[i]); err != nil {
			return err
		}
	}
	return nil
}

// reader checks a read and, if it is consistent, waits until this replica's
// state is new enough.
func (p *Partition) reader(ctx context.Context, t *regionnode.Target, consistent bool) (*view, error) {
	if _, err := p.check(t); err != nil {
		return nil, err
	}
	if consistent {
		if err := p.confirm(ctx); err != nil {
			return nil, err
		}
	} else if err := ctx.Err(); err != nil {
		return nil, err
	}
	return p.check(t)
}

// unchanged refuses an answer that was read while the range changed or the
// partition was destroyed, for then keys may have been missing.
func (p *Partition) unchanged(t *regionnode.Target) error {
	_, err := p.check(t)
	return err
}

func (p *Partition) get(v *view, key []byte, projection *expr.Projection, out *regionnode.GetResponse) error {
	if !v.spec.hashes().Contains(key) {
		return p.stale("key lies outside")
	}
	raw, closer, err := p.host.cfg.Store.Get(keyOf(v, key))
	if err != nil || closer == nil {
		return err
	}
	defer closer.Close()
	return answerItem(raw, projection, nil, out)
}

// answerItem copies what a stored value holds, or the chosen part of it, for an
// answer. memory may be nil.
func answerItem(raw []byte, projection *expr.Projection, memory *arena, out *regionnode.GetResponse) error {
	it, err := storedItem(raw)
	if err != nil {
		return fmt.Errorf("stored value: %w", err)
	}
	if len(it) == 0 {
		return nil
	}
	out.Size = it.Size()
	out.Item, err = memory.project(it, projection)
	return err
}

// arena gives many images memory in few pieces. A nil arena gives each its own.
type arena struct {
	free []byte // the length is what is taken
	all  int
}

// maxPiece bounds an arena's pieces, each of which lives as long as one of its
// images does.
const maxPiece = 64 << 10

// room is empty memory for n bytes.
func (a *arena) room(n int) []byte {
	if a == nil {
		return make([]byte, 0, n)
	}
	if n > cap(a.free)-len(a.free) {
		// As much again as there is: a page of one item wastes nothing.
		a.free = make([]byte, 0, max(n, min(a.all, maxPiece)))
	}
	return a.free[len(a.free):len(a.free):cap(a.free)]
}

// take keeps what was appended to room.
func (a *arena) take(b []byte) item.Encoded {
	if a != nil {
		a.free = a.free[:min(len(a.free)+len(b), cap(a.free))]
		a.all += len(b)
	}
	return item.Encoded(b[:len(b):len(b)])
}

// project copies an image, or the chosen part of it, for an answer. An item that
// has nothing of the projection is an empty item, not none.
func (a *arena) project(it item.Encoded, projection *expr.Projection) (item.Encoded, error) {
	if len(it) == 0 {
		return nil, nil
	}
	room := a.room(len(it))
	if projection == nil {
		return a.take(append(room, it...)), nil
	}
	out, err := projection.Append(room, it)
	if err != nil {
		return nil, err
	}
	return a.take(out), nil
}
