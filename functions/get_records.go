package functions

import (
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// Bounds of one GetRecords.
const (
	maxRecords     = 1000
	maxRecordBytes = 1 << 20
)

func getRecords(c *call, in *wire.GetRecordsInput) error {
	limit := in.Limit.Or(maxRecords)
	if err := atMost(limit, maxRecords); err != nil {
		return err
	}
	it, err := parseIterator(in.ShardIterator.Value)
	if err != nil {
		return err
	}
	if c.now.Sub(it.made) > iteratorLife {
		return apierr.New(apierr.ExpiredIterator, "The provided iterator exceeds the maximum age allowed.")
	}
	s, err := c.stream(it.arn)
	if err != nil {
		return err
	}
	page, err := c.streamPage(s, it, int(limit))
	if err != nil {
		return err
	}
	w := c.out.BeginObject().Name("Records").BeginArray()
	for i := range page.Records {
		writeRecord(w, c.region, s, it.generation, &page.Records[i])
	}
	w.EndArray()
	if !page.Drained {
		it.made, it.after = c.now, page.Last
		w.Name("NextShardIterator").String(it.String())
	}
	w.EndObject()
	return nil
}

// streamPage reads behind an iterator. If the shard has moved to another
// partition since the iterator was made, the iterator follows.
func (c *call) streamPage(s *stream, it *iterator, limit int) (*regionnode.StreamRecordsResponse, error) {
	read := func() (*regionnode.StreamRecordsResponse, error) {
		return s.backend.StreamRecords(c.ctx, &regionnode.StreamRecordsRequest{
			Target: regionnode.Target{Table: s.table.ID, Partition: it.partition},
			Label:  s.what.Label, Generation: it.generation, After: it.after, Since: it.since,
			Limit: limit, MaxBytes: maxRecordBytes,
		})
	}
	page, err := read()
	var stale *regionnode.Stale
	if !errors.As(err, &stale) && !apierr.Is(err, apierr.ResourceNotFound) {
		return page, err
	}
	all, _, err := c.shards(s)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(sh shard) bool { return sh.Generation == it.generation })
	if i < 0 {
		return nil, shardMissing()
	}
	it.partition = all[i].Partition
	return read()
}

// writeRecord writes one record of a stream, in version 1.1 of the format.
func writeRecord(w *wire.Writer, region string, s *stream, g uint64, r *regionnode.StreamRecord) {
	w.BeginObject()
	w.Name("awsRegion").String(region)
	w.Name("dynamodb").BeginObject()
	// Seconds, rounded down, although more is known.
	w.Name("ApproximateCreationDateTime").Time(time.UnixMilli(r.At).Truncate(time.Second))
	w.Name("Keys").Item(r.Keys)
	if r.New != nil {
		w.Name("NewImage").Item(r.New)
	}
	if r.Old != nil {
		w.Name("OldImage").Item(r.Old)
	}
	w.Name("SequenceNumber").String(sequenceNumber(r.Sequence))
	w.Name("SizeBytes").Int(int64(r.Size))
	w.Name("StreamViewType").String(s.what.View)
	w.EndObject()
	w.Name("eventID").String(eventID(s.table, s.what.Label, g, r.Sequence))
	w.Name("eventName").String(eventName(r.Event))
	w.Name("eventSource").String("aws:dynamodb")
	w.Name("eventVersion").String("1.1")
	if r.Expired {
		w.Name("userIdentity").BeginObject()
		w.Name("PrincipalId").String("dynamodb.amazonaws.com").Name("Type").String("Service").EndObject()
	}
	w.EndObject()
}

func eventName(e regionnode.StreamEvent) string {
	switch e {
	case regionnode.StreamInsert:
		return "INSERT"
	case regionnode.StreamRemove:
		return "REMOVE"
	}
	return "MODIFY"
}

// eventID names a record among all streams' records, the same each time that it
// is read.
func eventID(d *table.Descriptor, label string, g uint64, sequence uint64) string {
	h := fnv.New128a()
	fmt.Fprintf(h, "%s/%s/%s/%d/%d", d.Region, d.UUID, label, g, sequence)
	return hex.EncodeToString(h.Sum(nil))
}
