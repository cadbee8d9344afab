package partition

import (
	"context"
	"fmt"

	"antipode/regionnode"
	"antipode/regionnode/expr"
	"antipode/regionnode/item"
)

// Get reads one item; see regionnode.Data. A consistent read is served by the
// leader alone, any other by every replica from what it has applied.
func (p *Partition) Get(ctx context.Context, r *regionnode.GetRequest) (*regionnode.GetResponse, error) {
	v, err := p.reader(ctx, &r.Target, r.Consistent)
	if err != nil {
		return nil, p.outward(err)
	}
	resp := &regionnode.GetResponse{}
	if err := p.get(v, r.Key, r.Projection, resp); err != nil {
		return nil, p.outward(err)
	}
	return resp, p.unchanged(&r.Target)
}

// BatchGet reads many items; see regionnode.Data.
func (p *Partition) BatchGet(ctx context.Context, r *regionnode.BatchGetRequest) (*regionnode.BatchGetResponse, error) {
	v, err := p.reader(ctx, &r.Target, r.Consistent)
	if err != nil {
		return nil, p.outward(err)
	}
	resp := &regionnode.BatchGetResponse{Items: make([]regionnode.GetResponse, len(r.Keys))}
	for i, key := range r.Keys {
		if err := p.get(v, key, r.Projection, &resp.Items[i]); err != nil {
			return nil, p.outward(err)
		}
	}
	return resp, p.unchanged(&r.Target)
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
	it, err := storedItem(raw)
	if err != nil {
		return fmt.Errorf("stored value: %w", err)
	}
	if len(it) == 0 {
		return nil
	}
	out.Size = it.Size()
	out.Item, err = projectItem(it, projection)
	return err
}

// projectItem copies an image, or the chosen part of it, for an answer. An item
// that has nothing of the projection is an empty item, not none.
func projectItem(it item.Encoded, projection *expr.Projection) (item.Encoded, error) {
	if projection == nil {
		return cloneImage(it), nil
	}
	tree, err := it.Decode()
	if err != nil {
		return nil, err
	}
	return projection.Apply(tree).Encode(), nil
}
