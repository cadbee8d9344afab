package partition

import (
	"bytes"
	"context"
	"fmt"

	"antipode/regionnode/internal/keys"
	"antipode/replication"
)

// itemsAfter bounds the partition's items behind a key, all for nil. The key may
// lie outside since a split.
func (s *Spec) itemsAfter(after []byte) keys.Span {
	span := keys.DataSpan(s.Table, 0, s.hashes())
	if after == nil {
		return span
	}
	behind := append(keys.Data(s.Table, 0, after), 0)
	if bytes.Compare(behind, span.Start) > 0 {
		span.Start = behind
	}
	if bytes.Compare(span.Start, span.End) > 0 {
		span.Start = span.End
	}
	return span
}

// ScanVersions reads current values in key order, with versions, contexts and
// tombstones: what a table replica is back-filled from. after is the key of the
// last record of the page before, nil for the first page. A page has at most max
// records of about maxBytes, and at least one if there is one. It is served by
// the leader, from state as new as the call (I9).
func (p *Partition) ScanVersions(ctx context.Context, after []byte, max, maxBytes int) (recs []replication.Record, more bool, err error) {
	if err := p.confirm(ctx); err != nil {
		return nil, false, err
	}
	return p.ScanVersionsHere(after, max, maxBytes)
}

// ScanVersionsHere is ScanVersions of this replica's own state, which may be
// behind the leader's.
func (p *Partition) ScanVersionsHere(after []byte, max, maxBytes int) (recs []replication.Record, more bool, err error) {
	spec := p.view().spec
	it, err := p.host.cfg.Store.Iterate(spec.itemsAfter(after))
	if err != nil {
		return nil, false, err
	}
	defer it.Close()
	size := 0
	for ok := it.First(); ok; ok = it.Next() {
		size += len(it.Key()) + len(it.Value())
		if len(recs) == max || len(recs) > 0 && size > maxBytes {
			return recs, true, nil
		}
		s, err := decodeStored(bytes.Clone(it.Value()))
		if err != nil {
			return nil, false, fmt.Errorf("%s: %w", keys.Print(it.Key()), err)
		}
		key, _ := keys.DataKey(it.Key())
		r := replication.Record{
			Key: bytes.Clone(key), Version: s.Version, Context: s.Context, Delete: s.Tombstone,
		}
		if s.live() {
			r.New = s.Item
		}
		recs = append(recs, r)
	}
	return recs, false, it.Error()
}
