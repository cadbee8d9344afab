package functions

import (
	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// read is a Query or Scan that has passed its checks: what it reads, and how it
// is answered.
type read struct {
	query    bool // a Query, not a Scan
	d        *table.Descriptor
	index    *table.Index // nil for the table itself
	table    string       // as the request named it
	capacity string       // ReturnConsumedCapacity
	r        regionnode.RangeRequest
}

// target points the read at the span that holds what it reads.
func (rd *read) target() {
	switch {
	case rd.index == nil:
		rd.r.Target = regionnode.Target{Table: rd.d.ID}
	case rd.index.IsLocal():
		rd.r.Target = regionnode.Target{Table: rd.d.ID, Index: rd.index.Local}
	default:
		rd.r.Target = regionnode.Target{Table: rd.index.Table}
	}
}

// findIndex resolves IndexName. An index that is still being made has no
// answers yet.
func (rd *read) findIndex(name wire.Opt[string]) error {
	if !name.Set {
		return nil
	}
	x := rd.d.Index(name.Value)
	if x == nil || x.Status == table.Deleting {
		return apierr.Invalid("The table does not have the specified index: %s", name.Value)
	}
	if !x.IsLocal() && x.Status == table.Creating {
		return apierr.Invalid("Cannot read from backfilling global secondary index: %s", name.Value)
	}
	if !x.IsLocal() && rd.r.Consistent {
		return apierr.Invalid("Consistent reads are not supported on global secondary indexes")
	}
	rd.index = x
	return nil
}

// schema is the key by which what is read is selected.
func (rd *read) schema() table.KeySchema {
	if rd.index != nil {
		return rd.index.Key
	}
	return rd.d.Key
}

// order is the key by which what is read is ordered: of all attributes that a
// LastEvaluatedKey has.
func (rd *read) order() table.KeySchema {
	if rd.index != nil {
		return rd.d.IndexKey(rd.index)
	}
	return rd.d.Key
}

// page is what a read has found so far.
type page struct {
	items   []item.Encoded
	count   int
	scanned int
	bytes   int
	fetched []int
	last    item.Encoded
}

func (p *page) add(resp *regionnode.RangeResponse) {
	if p.items == nil {
		p.items = resp.Items
	} else {
		p.items = append(p.items, resp.Items...)
	}
	p.count += resp.Count
	p.scanned += resp.Scanned
	p.bytes += resp.Bytes
	p.fetched = append(p.fetched, resp.Fetched...)
	p.last = resp.Last
}

// answerPages runs the read and writes its page. Where the encoded answer is
// bounded, a page that came out too long is read again with half the bytes: its
// counts and its LastEvaluatedKey must be those of what it holds.
func (c *call) answerPages(rd *read, run func() (*page, error)) error {
	rd.r.MaxBytes = table.MaxPageSize
	for {
		p, err := run()
		if err != nil {
			return err
		}
		start := c.out.Len()
		if err := rd.write(c.out, p); err != nil {
			return err
		}
		limit := c.cfg.MaxResponseBytes
		if limit == 0 || c.out.Len() <= limit || p.scanned <= 1 {
			return nil
		}
		c.out.Truncate(start)
		rd.r.MaxBytes /= 2
	}
}

func (rd *read) write(w *wire.Writer, p *page) error {
	w.BeginObject()
	if !rd.r.CountOnly {
		// Most of an answer is text; quotes and kinds come on top.
		size := 64 * len(p.items)
		for _, it := range p.items {
			size += len(it) + len(it)/8
		}
		w.Grow(size)
		w.Name("Items").BeginArray()
		for _, it := range p.items {
			w.Item(it)
		}
		w.EndArray()
	}
	w.Name("Count").Int(int64(p.count))
	w.Name("ScannedCount").Int(int64(p.scanned))
	if p.last != nil {
		w.Name("LastEvaluatedKey").BeginObject()
		for _, name := range rd.order().Names() {
			v, ok, err := p.last.Get(name)
			if err != nil {
				return err
			}
			if ok {
				w.Name(name).Value(v)
			}
		}
		w.EndObject()
	}
	used := rd.used(p)
	used.writeMember(w, rd.capacity, rd.table)
	w.EndObject()
	return nil
}

// used charges a page: the evaluated bytes to the span that was read, and each
// item that was fetched behind a local index's entry to the table.
func (rd *read) used(p *page) capacity {
	var used capacity
	units := readUnits(p.bytes, rd.r.Consistent)
	if rd.index == nil {
		used.table = units
		return used
	}
	used.addIndex(rd.index.Name, rd.index.IsLocal(), units)
	for _, size := range p.fetched {
		used.table += readUnits(size, rd.r.Consistent)
	}
	return used
}
