package functions

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"

	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

func scan(c *call, in *wire.ScanInput) error {
	rd := &read{table: in.TableName.Value, capacity: in.ReturnConsumedCapacity.Value, r: regionnode.RangeRequest{
		Consistent: in.ConsistentRead.Value,
		Limit:      int(in.Limit.Value),
		CountOnly:  in.Select.Value == selectCount,
	}}
	err := prepareScan(in, &rd.r)
	if err != nil {
		return c.envelope(err)
	}
	if rd.d, err = c.descriptor(in.TableName.Value); err != nil {
		return err
	}
	if err := rd.findIndex(in.IndexName); err != nil {
		return err
	}
	if err := rd.checkStart(in.ExclusiveStartKey); err != nil {
		return err
	}
	if err := rd.checkIndexRead(in.Select.Value); err != nil {
		return err
	}
	part := segmentOf(in)
	if in.ExclusiveStartKey != nil {
		if rd.r.After, err = rd.startKey(in.ExclusiveStartKey); err != nil {
			return err
		}
		if !part.contains(rd.r.After) {
			return apierr.Invalid("The provided starting key is invalid: Invalid ExclusiveStartKey. "+
				"Please use ExclusiveStartKey with correct Segment. TotalSegments: %d Segment: %d",
				in.TotalSegments.Value, in.Segment.Value)
		}
	}
	if err := refuseNestedChoice(rd.d, rd.r.Projection); err != nil {
		return err
	}
	if err := refuseNested(rd.d, rd.r.Filter.NestedAttributes()); err != nil {
		return err
	}
	rd.target()
	return c.answerPages(rd, func() (*page, error) { return c.walk(rd, part) })
}

// prepareScan checks what needs no table, in DynamoDB's order.
func prepareScan(in *wire.ScanInput, r *regionnode.RangeRequest) error {
	modern := []given{
		{"ProjectionExpression", in.ProjectionExpression.Set},
		{"FilterExpression", in.FilterExpression.Set},
	}
	if err := refuseMixed([]given{
		{"AttributesToGet", in.AttributesToGet != nil},
		{"ScanFilter", in.ScanFilter != nil},
		{"ConditionalOperator", in.ConditionalOperator.Set},
	}, modern); err != nil {
		return err
	}
	s, err := substitutions(in.ExpressionAttributeNames, in.ExpressionAttributeValues, modern)
	if err != nil {
		return err
	}
	if err := checkSegment(in); err != nil {
		return err
	}
	chosen := chooser(in.ProjectionExpression.Set, in.AttributesToGet)
	if err := checkSelect(in.Select.Value, chosen, in.IndexName.Set); err != nil {
		return err
	}
	if r.Filter, err = filter(in.FilterExpression, in.ScanFilter, in.ConditionalOperator, s); err != nil {
		return err
	}
	if r.Projection, err = projection(in.ProjectionExpression, in.AttributesToGet, s); err != nil {
		return err
	}
	return refuseUnused(s)
}

func checkSegment(in *wire.ScanInput) error {
	switch {
	case in.Segment.Set && !in.TotalSegments.Set:
		return apierr.Invalid("The TotalSegments parameter is required but was not present in the request " +
			"when Segment parameter is present")
	case in.TotalSegments.Set && !in.Segment.Set:
		return apierr.Invalid("The Segment parameter is required but was not present in the request " +
			"when parameter TotalSegments is present")
	case in.Segment.Set && in.Segment.Value >= in.TotalSegments.Value:
		return apierr.Invalid("The Segment parameter is zero-based and must be less than parameter TotalSegments: "+
			"Segment: %d is not less than TotalSegments: %d", in.Segment.Value, in.TotalSegments.Value)
	}
	return nil
}

// hashes is an interval of hashes, last included: an end behind the greatest
// hash would not fit.
type hashes struct{ first, last uint64 }

// segmentOf cuts the hash space into TotalSegments equal parts, so that a
// parallel Scan stays the same when partitions split meanwhile.
func segmentOf(in *wire.ScanInput) hashes {
	if !in.Segment.Set {
		return hashes{0, ^uint64(0)}
	}
	part, parts := uint64(in.Segment.Value), uint64(in.TotalSegments.Value)
	h := hashes{first: cut(part, parts), last: ^uint64(0)}
	if part+1 < parts {
		h.last = cut(part+1, parts) - 1
	}
	return h
}

// cut is part/parts of the hash space, for part < parts.
func cut(part, parts uint64) uint64 {
	quotient, _ := bits.Div64(part, 0, parts)
	return quotient
}

// contains tells whether a key lies in the interval.
func (h hashes) contains(key []byte) bool {
	v := table.Hash(key)
	return h.first <= v && v <= h.last
}

func hashKey(h uint64) []byte { return binary.BigEndian.AppendUint64(nil, h) }

// walk reads one page from the partitions that hold the interval, in hash
// order.
func (c *call) walk(rd *read, part hashes) (*page, error) {
	r, p := rd.r, new(page)
	at := part.first
	if r.After != nil {
		at = table.Hash(r.After)
	}
	reroutes := 0
	for {
		m, err := c.backend.Partitions(c.ctx, r.Target.Table)
		if err != nil {
			return nil, err
		}
		last := aim(&r, m, at, part)
		resp, err := c.backend.Range(c.ctx, &r)
		var stale *regionnode.Stale
		if errors.As(err, &stale) && reroutes < maxReroutes {
			reroutes++
			continue
		}
		if err != nil {
			return nil, err
		}
		p.add(resp)
		if resp.LastKey != nil || last >= part.last {
			return p, nil
		}
		if r.Limit > 0 {
			r.Limit -= resp.Scanned
		}
		r.MaxBytes = max(1, r.MaxBytes-resp.Bytes)
		at, r.After = last+1, nil
	}
}

// aim points the request at the partition that holds the hash at, from there to
// the interval's or the partition's end, and returns the last hash of that.
func aim(r *regionnode.RangeRequest, m *regionnode.PartitionMap, at uint64, part hashes) uint64 {
	i := partitionOf(m, at)
	last := part.last
	if i+1 < len(m.Partitions) {
		last = min(last, m.Partitions[i+1].Start-1)
	}
	r.Target.Partition = m.Partitions[i].ID
	r.Target.Range = m.Partitions[i].Epoch.Range
	r.Low, r.High = hashKey(at), nil
	if last != ^uint64(0) {
		r.High = hashKey(last + 1)
	}
	if r.After != nil && bytes.Compare(r.After, r.Low) < 0 {
		r.After = nil
	}
	return last
}
