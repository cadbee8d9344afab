package partition

import (
	"bytes"
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"antipode/regionnode"
	"antipode/regionnode/internal/keys"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// page is one Range under way.
type page struct {
	p    *Partition
	view *view
	req  *regionnode.RangeRequest
	max  int // bytes of evaluated items
	resp *regionnode.RangeResponse
	// filtered are the attributes that the filter reads.
	filtered []string
	memory   arena
}

// Range reads a page of one index span; see regionnode.Data.
func (p *Partition) Range(ctx context.Context, r *regionnode.RangeRequest) (*regionnode.RangeResponse, error) {
	v, err := p.reader(ctx, &r.Target, r.Consistent)
	if err != nil {
		return nil, p.outward(err)
	}
	if r.Target.Index > maxLocal {
		return nil, p.stale("no such index")
	}
	p.noteRequest(r.Low)
	pg := page{p: p, view: v, req: r, max: r.MaxBytes, resp: &regionnode.RangeResponse{}, filtered: r.Filter.Attributes()}
	if pg.max <= 0 {
		pg.max = table.MaxPageSize
	}
	if err := pg.read(ctx); err != nil {
		return nil, p.outward(err)
	}
	return pg.resp, p.unchanged(&r.Target)
}

// span is what is left to read: the partition's interval, cut by Low, High and
// After.
func (pg *page) span() keys.Span {
	t, index := pg.view.spec.Table, pg.req.Target.Index
	s := keys.DataSpan(t, index, pg.view.spec.hashes())
	cut := func(key []byte, bound *[]byte, up bool) {
		if full := keys.Data(t, index, key); (bytes.Compare(full, *bound) > 0) == up {
			*bound = full
		}
	}
	if pg.req.Low != nil {
		cut(pg.req.Low, &s.Start, true)
	}
	if pg.req.High != nil {
		cut(pg.req.High, &s.End, false)
	}
	if pg.req.After != nil && pg.req.Backward {
		cut(pg.req.After, &s.End, false)
	} else if pg.req.After != nil {
		// The next possible key.
		cut(append(bytes.Clone(pg.req.After), 0), &s.Start, true)
	}
	return s
}

func (pg *page) read(ctx context.Context) error {
	s := pg.span()
	if bytes.Compare(s.Start, s.End) >= 0 {
		return nil
	}
	it, err := pg.p.host.cfg.Store.Iterate(s)
	if err != nil {
		return err
	}
	defer it.Close()
	first, next := it.First, it.Next
	if pg.req.Backward {
		first, next = it.Last, it.Prev
	}
	for ok := first(); ok; ok = next() {
		full, err := pg.one(it)
		if err != nil {
			return fmt.Errorf("%s: %w", keys.Print(it.Key()), err)
		}
		if full {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return it.Error()
}

// one evaluates the iterator's item; true ends the page there.
func (pg *page) one(it *pebble.Iterator) (full bool, err error) {
	value, err := it.ValueAndErr()
	if err != nil {
		return false, err
	}
	image, err := storedItem(value)
	if err != nil || len(image) == 0 {
		return false, err
	}
	resp, req := pg.resp, pg.req
	resp.Scanned++
	resp.Bytes += image.Size()
	if err := pg.answer(image); err != nil {
		return false, err
	}
	if resp.Bytes < pg.max && (req.Limit == 0 || resp.Scanned < req.Limit) {
		return false, nil
	}
	key, _ := keys.DataKey(it.Key())
	resp.LastKey, resp.Last = bytes.Clone(key), cloneImage(image)
	return true, nil
}

// answer adds an image to the page if it passes the filter.
func (pg *page) answer(image item.Encoded) error {
	resp, req := pg.resp, pg.req
	if req.Fetch {
		fetched, err := pg.fetch(image)
		if err != nil {
			return err
		}
		image = fetched
		resp.Fetched = append(resp.Fetched, image.Size())
	}
	if req.Filter != nil {
		some, err := image.Borrow(pg.filtered)
		if err != nil {
			return err
		}
		if ok, err := req.Filter.Eval(some); err != nil || !ok {
			return err
		}
	}
	resp.Count++
	if req.CountOnly {
		return nil
	}
	if resp.Items == nil {
		resp.Items = make([]item.Encoded, 0, 16)
	}
	it, err := pg.memory.project(image, req.Projection)
	resp.Items = append(resp.Items, it)
	return err
}

// fetch reads the table's item behind a local index entry.
func (pg *page) fetch(entry item.Encoded) (item.Encoded, error) {
	key, err := pg.view.schema.key.KeyOf(nil, entry)
	if err != nil {
		return nil, fmt.Errorf("key of index entry: %w", err)
	}
	var got regionnode.GetResponse
	if err := pg.p.get(pg.view, key, nil, &got); err != nil {
		return nil, err
	}
	if got.Item == nil {
		// Deleted since the iterator was opened: the entry as it was then.
		return cloneImage(entry), nil
	}
	return got.Item, nil
}
