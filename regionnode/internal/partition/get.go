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
	p.noteRequest(r.Key)
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
		p.noteRequest(key)
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
	return answerItem(raw, projection, &arena{}, out)
}

// answerItem copies what a stored value holds, or the chosen part of it, for an
// answer.
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

// arena gives the images of an answer memory, many small ones in few pieces.
type arena struct {
	piece   []byte // the length is what is taken
	taken   int    // of all pieces
	scratch []byte
}

// maxPiece bounds an arena's pieces, and so what is left over of the last one.
const maxPiece = 4 << 10

// project copies an image, or the chosen part of it. An item that has nothing of
// the projection is an empty item, not none.
func (a *arena) project(it item.Encoded, projection *expr.Projection) (item.Encoded, error) {
	if projection == nil || len(it) == 0 {
		return a.copy(it), nil
	}
	var err error
	a.scratch, err = projection.Append(a.scratch[:0], it)
	return a.copy(a.scratch), err
}

func (a *arena) copy(it item.Encoded) item.Encoded {
	n := len(it)
	if n == 0 || n > maxPiece/4 {
		return cloneImage(it)
	}
	if n > cap(a.piece)-len(a.piece) {
		// As much again as there is: an answer of one item wastes nothing.
		a.piece = make([]byte, 0, max(n, min(a.taken, maxPiece)))
	}
	start := len(a.piece)
	a.piece = append(a.piece, it...)
	a.taken += n
	return a.piece[start:len(a.piece):len(a.piece)]
}
