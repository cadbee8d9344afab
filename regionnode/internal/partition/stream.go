package partition

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/keys"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
	"antipode/replication"
)

// StreamWindow is what one stream of the table shows of a generation of the
// change log: a shard. Records from before the stream was switched on, or from
// after it was switched off, lie outside.
type StreamWindow struct {
	Label      string                 `msgpack:"l"`
	Generation replication.Generation `msgpack:"g"`
	// Parent is the generation that a split closed to open this one, 0 for none.
	Parent replication.Generation `msgpack:"p,omitempty"`
	// Start is the sequence before the first record, End that of the last one once
	// the window is closed.
	Start  uint64 `msgpack:"s"`
	End    uint64 `msgpack:"e,omitempty"`
	Closed bool   `msgpack:"c,omitempty"`
	// ClosedAt is when a split closed it, in Unix milliseconds; 0 for what the
	// stream's end closed, which goes with the stream.
	ClosedAt int64 `msgpack:"ca,omitempty"`
}

// followStreams opens, closes and forgets windows as the descriptor in force
// says; sequence is the last record that was written under the one before.
func (s *Spec) followStreams(sequence uint64) {
	d := s.Descriptor
	if d == nil || d.ID != s.Table {
		return // a system partition, or entries of a global index
	}
	var windows []StreamWindow
	known := false
	for _, w := range s.Streams {
		stream, listed := d.HasStream(w.Label)
		if !listed {
			continue
		}
		if !stream.Enabled && !w.Closed {
			w.Closed, w.End = true, sequence
		}
		known = known || d.Stream != nil && w.Label == d.Stream.Label
		windows = append(windows, w)
	}
	if d.Stream != nil && d.Stream.Enabled && !known {
		windows = append(windows, StreamWindow{Label: d.Stream.Label, Generation: s.Generation, Start: sequence})
	}
	s.Streams = windows
}

// shown tells whether a stream shows, or will show, records behind a sequence.
func (s *Spec) shown(after uint64) bool {
	return slices.ContainsFunc(s.Streams, func(w StreamWindow) bool { return !w.Closed || w.End > after })
}

// StreamShards is part of regionnode.Streams.
func (p *Partition) StreamShards(ctx context.Context, r *regionnode.StreamShardsRequest) (*regionnode.StreamShardsResponse, error) {
	v, err := p.reader(ctx, &r.Target, true)
	if err != nil {
		return nil, p.outward(err)
	}
	p.applied.mu.Lock()
	st := p.applied.state
	p.applied.mu.Unlock()
	resp := &regionnode.StreamShardsResponse{}
	for _, w := range v.spec.Streams {
		if w.Label != r.Label {
			continue
		}
		s := regionnode.StreamShard{Partition: p.id, Generation: uint64(w.Generation), Parent: uint64(w.Parent), End: w.End, Closed: w.Closed}
		if !w.Closed {
			s.End = st.Sequence
		}
		s.First = min(max(w.Start, st.Trimmed), s.End) + 1
		resp.Shards = append(resp.Shards, s)
	}
	return resp, nil
}

// StreamRecords is part of regionnode.Streams.
func (p *Partition) StreamRecords(ctx context.Context, r *regionnode.StreamRecordsRequest) (*regionnode.StreamRecordsResponse, error) {
	resp, err := p.streamRecords(ctx, r)
	if err != nil {
		return nil, p.outward(err)
	}
	return resp, nil
}

func (p *Partition) streamRecords(ctx context.Context, r *regionnode.StreamRecordsRequest) (*regionnode.StreamRecordsResponse, error) {
	if _, err := p.leading(ctx); err != nil {
		return nil, err
	}
	v, err := p.check(&r.Target)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(v.spec.Streams, func(w StreamWindow) bool { return w.Label == r.Label && uint64(w.Generation) == r.Generation })
	if i < 0 {
		return nil, apierr.New(apierr.ResourceNotFound, "Requested resource not found: Shard does not exist")
	}
	w := v.spec.Streams[i]
	p.applied.mu.Lock()
	st := p.applied.state
	p.applied.mu.Unlock()
	end := st.Sequence
	if w.Closed {
		end = w.End
	}
	// Nothing of an empty or drained window can have been trimmed too early.
	if r.After < end && r.After < max(w.Start, st.Trimmed) {
		return nil, trimmed()
	}
	page := streamPage{view: v, window: w, req: r, resp: &regionnode.StreamRecordsResponse{Last: r.After}}
	if stream, ok := v.spec.Descriptor.HasStream(w.Label); ok {
		page.what = stream.View
	}
	if err := page.read(p, end); err != nil {
		return nil, err
	}
	page.resp.Drained = w.Closed && page.resp.Last >= end
	return page.resp, nil
}

func trimmed() error {
	return apierr.New(apierr.TrimmedDataAccess, "The data you are trying to access has been trimmed")
}

// scanBytes bounds how much of the log one page looks at.
const scanBytes = 4 << 20

// streamPage is one StreamRecords under way.
type streamPage struct {
	view   *view
	window StreamWindow
	req    *regionnode.StreamRecordsRequest
	what   string // the stream's view type
	resp   *regionnode.StreamRecordsResponse
	size   int
}

func (s *streamPage) read(p *Partition, end uint64) error {
	if s.req.After >= end {
		return nil
	}
	it, err := p.host.cfg.Store.Iterate(keys.Changes(p.id, s.window.Generation, s.req.After+1, end+1))
	if err != nil {
		return err
	}
	defer it.Close()
	scanned := 0
	for ok := it.First(); ok && len(s.resp.Records) < s.req.Limit && scanned < scanBytes; ok = it.Next() {
		sequence, _ := keys.ChangeSequence(it.Key())
		if sequence != s.resp.Last+1 {
			return trimmed() // since the state was read
		}
		full, err := s.one(it, sequence)
		if err != nil {
			return fmt.Errorf("%s: %w", keys.Print(it.Key()), err)
		}
		if full {
			break
		}
		s.resp.Last = sequence
		scanned += len(it.Value())
	}
	return it.Error()
}

// one adds the iterator's record to the page if it shows a change; true when it
// does not fit any more.
func (s *streamPage) one(it *pebble.Iterator, sequence uint64) (full bool, err error) {
	at, err := changeTime(it.Value())
	if err != nil || at < s.req.Since {
		return false, err
	}
	change, err := decodeChange(sequence, it.Value())
	if err != nil || bytes.Equal(change.Old, change.New) {
		return false, err
	}
	r, err := s.show(&change)
	if err != nil {
		return false, err
	}
	if len(s.resp.Records) > 0 && s.size+r.Size > s.req.MaxBytes {
		return true, nil
	}
	r.At = at
	s.size += r.Size
	s.resp.Records = append(s.resp.Records, r)
	return false, nil
}

// show is a change as the stream's view shows it.
func (s *streamPage) show(c *replication.Record) (regionnode.StreamRecord, error) {
	r := regionnode.StreamRecord{Sequence: c.Sequence, Event: regionnode.StreamModify, Expired: c.Cause == replication.ByTTL}
	image := item.Encoded(c.New)
	switch {
	case len(c.Old) == 0:
		r.Event = regionnode.StreamInsert
	case len(c.New) == 0:
		r.Event = regionnode.StreamRemove
		image = c.Old
	}
	var err error
	if r.Keys, err = keysOf(&s.view.schema.key, image); err != nil {
		return r, err
	}
	if s.what == "NEW_IMAGE" || s.what == "NEW_AND_OLD_IMAGES" {
		r.New = c.New
	}
	if s.what == "OLD_IMAGE" || s.what == "NEW_AND_OLD_IMAGES" {
		r.Old = c.Old
	}
	r.Size = r.Keys.Size() + r.New.Size() + r.Old.Size()
	return r, nil
}

// keysOf is an item's key attributes alone.
func keysOf(k *table.KeySchema, image item.Encoded) (item.Encoded, error) {
	fields := make([]item.Field, 0, 2)
	for _, name := range k.Names() {
		v, ok, err := image.Get(name)
		if err != nil || !ok {
			return nil, fmt.Errorf("key attribute %s of a change: %w", name, errBroken)
		}
		fields = append(fields, item.Field{Name: name, Value: v})
	}
	return item.Make(fields).Encode(), nil
}

// TrimStreams removes change records that are too old for the table's streams
// and that no other reader needs. The node's leaders call it from time to time;
// a partition whose log nobody streams is left alone.
func (p *Partition) TrimStreams(ctx context.Context) error {
	for {
		again := false
		err := p.exclusive(ctx, positionLatch, func(v *view) (effects []byte, err error) {
			p.applied.mu.Lock()
			st, positions := p.applied.state, maps.Clone(p.applied.positions)
			p.applied.mu.Unlock()
			to := st.Sequence
			switch {
			case v.spec.Log.On:
				to, err = p.trimmable(v.spec, st, positions, 1)
			case v.spec.shown(st.Trimmed):
				to, err = p.streamTrimmable(v.spec, st.Trimmed, to)
			}
			if err != nil {
				return nil, err
			}
			again = to >= st.Trimmed+trimScan
			before := st.Trimmed
			st.Trimmed = max(st.Trimmed, to)
			if to <= before && !v.spec.forgettable(&st, positions, p.host.cfg.Clock.Physical()/int64(time.Millisecond)) {
				return nil, nil
			}
			return appendNumbered(nil, trimEffect, to), nil
		})
		if err != nil || !again {
			return err
		}
	}
}

// Streamed tells whether TrimStreams may have something to do here.
func (p *Partition) Streamed() bool {
	spec := p.Spec()
	if len(spec.Streams) == 0 && len(spec.Closed) == 0 && (spec.Log.On || spec.Descriptor == nil) {
		return false
	}
	p.applied.mu.Lock()
	defer p.applied.mu.Unlock()
	return p.role.Load().ready && (p.applied.state.Trimmed < p.applied.state.Sequence || len(spec.Closed) > 0)
}
