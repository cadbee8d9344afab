package functions

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// stream is one stream of a table as a request names it.
type stream struct {
	arn     string
	table   *table.Descriptor
	what    table.Stream
	backend regionnode.Streams
}

// splitStreamARN takes table name and label out of a stream's ARN.
func splitStreamARN(arn string) (name, label string, ok bool) {
	if !strings.HasPrefix(arn, "arn:") {
		return "", "", false
	}
	_, resource, ok := strings.Cut(arn, ":table/")
	if !ok {
		return "", "", false
	}
	name, label, ok = strings.Cut(resource, "/stream/")
	return name, label, ok && name != "" && label != "" && !strings.Contains(label, "/")
}

func streamMissing(arn string) error {
	return apierr.Newf(apierr.ResourceNotFound, "Requested resource not found: Stream: %s not found", arn)
}

func shardMissing() error {
	return apierr.New(apierr.ResourceNotFound, "Requested resource not found: Shard does not exist")
}

// stream finds the stream with an ARN. A descriptor from the cache will do if it
// has the stream.
func (c *call) stream(arn string) (*stream, error) {
	backend, ok := c.backend.(regionnode.Streams)
	if !ok {
		return nil, absent(c.op)
	}
	name, label, ok := splitStreamARN(arn)
	if !ok {
		return nil, apierr.Invalid("Invalid StreamArn")
	}
	for _, ask := range []func() (*table.Descriptor, error){
		func() (*table.Descriptor, error) { return c.backend.Descriptor(c.ctx, name) },
		func() (*table.Descriptor, error) { return c.backend.DescribeTable(c.ctx, name) },
	} {
		d, err := ask()
		if apierr.Is(err, apierr.ResourceNotFound) {
			return nil, streamMissing(arn)
		}
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(d.Streams(c.now), func(s table.Stream) bool { return s.Label == label })
		if i >= 0 && streamARN(d, label) == arn {
			return &stream{arn: arn, table: d, what: d.Streams(c.now)[i], backend: backend}, nil
		}
	}
	return nil, streamMissing(arn)
}

func streamARN(d *table.Descriptor, label string) string { return d.ARN() + "/stream/" + label }

// maxShardCalls bounds how many partitions, or tables, are asked at once.
const maxShardCalls = 16

// shards lists all shards of a stream, sorted by id. whole tells that every
// partition knows the stream by now. All are asked by one map, which a split
// outdates: so both children of a closed shard are listed, or neither.
func (c *call) shards(s *stream) (list []shard, whole bool, err error) {
	for range maxReroutes {
		var stale *regionnode.Stale
		if list, whole, err = c.shardsOnce(s); !errors.As(err, &stale) {
			break
		}
	}
	slices.SortFunc(list, func(a, b shard) int { return strings.Compare(a.id, b.id) })
	return list, whole, err
}

func (c *call) shardsOnce(s *stream) ([]shard, bool, error) {
	m, err := c.backend.Partitions(c.ctx, s.table.ID)
	if err != nil {
		return nil, false, err
	}
	found := make([][]regionnode.StreamShard, len(m.Partitions))
	g, ctx := errgroup.WithContext(c.ctx)
	g.SetLimit(maxShardCalls)
	for i := range m.Partitions {
		g.Go(func() error {
			target := regionnode.Target{Table: s.table.ID, Partition: m.Partitions[i].ID, Range: m.Partitions[i].Epoch.Range}
			resp, err := s.backend.StreamShards(ctx, &regionnode.StreamShardsRequest{Target: target, Label: s.what.Label})
			if err == nil {
				found[i] = resp.Shards
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, false, err
	}
	var out []shard
	whole := true
	for _, shards := range found {
		whole = whole && len(shards) > 0
		for _, sh := range shards {
			out = append(out, shard{StreamShard: sh, id: shardID(s.what.Label, sh.Generation)})
		}
	}
	return out, whole, nil
}

// shard is a shard under the id that clients know it by.
type shard struct {
	regionnode.StreamShard
	id string
}

// shardID names what a stream shows of one log generation, in the form of
// DynamoDB's ids. Generations are unique and rise, so ids sort children behind
// their parents.
func shardID(label string, g uint64) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s/%d", label, g)
	return fmt.Sprintf("shardId-%020d-%08x", g, h.Sum32())
}

// sequenceNumber writes a place in a log as the 21 digits that clients compare
// as numbers or as text.
func sequenceNumber(n uint64) string { return fmt.Sprintf("1%020d", n) }

// parseSequenceNumber is sequenceNumber's inverse.
func parseSequenceNumber(s string) (uint64, bool) {
	if len(s) != 21 || s[0] != '1' {
		return 0, false
	}
	var n uint64
	for _, c := range []byte(s[1:]) {
		d := uint64(c - '0')
		if d > 9 || n > (1<<64-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// iterator is what a ShardIterator says. It is not secret: who may read the
// stream may read any place of it.
type iterator struct {
	arn        string
	made       time.Time
	partition  table.PartitionID
	generation uint64
	after      uint64
	since      int64 // see regionnode.StreamRecordsRequest
}

// iteratorLife is how long an iterator may be used after it was made.
const iteratorLife = 15 * time.Minute

// iteratorFormat stands between the ARN and the rest, as in DynamoDB's iterators.
const iteratorFormat = "|1|"

func (it *iterator) String() string {
	b := make([]byte, 0, 5*8+4)
	for _, v := range []uint64{uint64(it.made.UnixMilli()), uint64(it.partition), it.generation, it.after, uint64(it.since)} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	b = binary.BigEndian.AppendUint32(b, it.sum(b))
	return it.arn + iteratorFormat + base64.RawURLEncoding.EncodeToString(b)
}

// sum tells an iterator from one that was cut or put together.
func (it *iterator) sum(b []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE([]byte(it.arn)), crc32.IEEETable, b)
}

func parseIterator(s string) (*iterator, error) {
	arn, rest, ok := strings.Cut(s, iteratorFormat)
	b, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	it := &iterator{arn: arn}
	if !ok || err != nil || len(b) != 5*8+4 || binary.BigEndian.Uint32(b[40:]) != it.sum(b[:40]) {
		return nil, apierr.Invalid("Invalid ShardIterator")
	}
	at := func(i int) uint64 { return binary.BigEndian.Uint64(b[8*i:]) }
	it.made = time.UnixMilli(int64(at(0)))
	it.partition, it.generation = table.PartitionID(at(1)), at(2)
	it.after, it.since = at(3), int64(at(4))
	return it, nil
}

// atMost refuses a Limit above what the API's text allows; the model has no such
// bound.
func atMost(limit, bound int64) error {
	if limit <= bound {
		return nil
	}
	return apierr.Invalid("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: "+
		"Member must have value less than or equal to %d", limit, bound)
}
