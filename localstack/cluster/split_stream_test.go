package cluster

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streams "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

// streamReader reads a stream as its users do: all shards, parents before
// children.
type streamReader struct {
	w *splitWorld
	// shards by id; only follow changes the map.
	shards map[string]*shardReader

	mu   sync.Mutex
	got  map[string][]int64 // numbers of writes by partition key, 0 for a deletion
	ids  map[string]bool    // eventIDs
	seen int
}

type shardReader struct {
	shard    streams.Shard
	iterator *string
	last     string // sequence number
	ended    bool
}

func newStreamReader(w *splitWorld) *streamReader {
	return &streamReader{w: w, shards: map[string]*shardReader{}, got: map[string][]int64{}, ids: map[string]bool{}}
}

// follow reads until ctx ends.
func (r *streamReader) follow(ctx context.Context) {
	for ctx.Err() == nil && r.w.failed() == nil {
		err := r.list(ctx)
		for _, s := range r.shards {
			if err == nil && r.readable(s) {
				err = r.read(ctx, s)
			}
		}
		if err != nil && ctx.Err() == nil {
			r.w.fail("stream: %w", err)
			return
		}
		pauseFor(ctx, 5*time.Millisecond)
	}
}

func pauseFor(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// list finds new shards.
func (r *streamReader) list(ctx context.Context) error {
	var start *string
	for {
		out, err := r.w.sdb.DescribeStream(ctx, &dynamodbstreams.DescribeStreamInput{StreamArn: &r.w.arn, ExclusiveStartShardId: start})
		if err != nil {
			return err
		}
		for _, s := range out.StreamDescription.Shards {
			if known := r.shards[*s.ShardId]; known != nil {
				known.shard = s
				continue
			}
			if s.ParentShardId != nil && r.shards[*s.ParentShardId] == nil {
				return fmt.Errorf("shard %s comes before its parent %s", *s.ShardId, *s.ParentShardId)
			}
			r.shards[*s.ShardId] = &shardReader{shard: s}
		}
		if start = out.StreamDescription.LastEvaluatedShardId; start == nil {
			return r.families()
		}
	}
}

// families checks that a closed shard has two children, both listed with it.
func (r *streamReader) families() error {
	children := map[string]int{}
	for _, s := range r.shards {
		if s.shard.ParentShardId != nil {
			children[*s.shard.ParentShardId]++
		}
	}
	for id, s := range r.shards {
		closed := s.shard.SequenceNumberRange.EndingSequenceNumber != nil
		if n := children[id]; closed && n != 2 || !closed && n != 0 {
			return fmt.Errorf("shard %s, closed %v, has %d children", id, closed, n)
		}
	}
	return nil
}

func (r *streamReader) readable(s *shardReader) bool {
	return !s.ended && (s.shard.ParentShardId == nil || r.shards[*s.shard.ParentShardId].ended)
}

// read reads what a shard has now.
func (r *streamReader) read(ctx context.Context, s *shardReader) error {
	if s.iterator == nil {
		out, err := r.w.sdb.GetShardIterator(ctx, &dynamodbstreams.GetShardIteratorInput{
			StreamArn: &r.w.arn, ShardId: s.shard.ShardId, ShardIteratorType: streams.ShardIteratorTypeTrimHorizon,
		})
		if err != nil {
			return err
		}
		s.iterator = out.ShardIterator
	}
	for {
		out, err := r.w.sdb.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: s.iterator, Limit: aws.Int32(100)})
		if err != nil {
			return err
		}
		for i := range out.Records {
			if err := r.take(s, &out.Records[i]); err != nil {
				return err
			}
		}
		if s.iterator = out.NextShardIterator; s.iterator == nil {
			s.ended = true
			return nil
		}
		if len(out.Records) == 0 {
			return nil
		}
	}
}

func (r *streamReader) take(s *shardReader, record *streams.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids[*record.EventID] {
		return fmt.Errorf("record %s comes twice", *record.EventID)
	}
	r.ids[*record.EventID] = true
	if at := *record.Dynamodb.SequenceNumber; at <= s.last {
		return fmt.Errorf("record %s of shard %s comes behind %s", at, *s.shard.ShardId, s.last)
	}
	s.last = *record.Dynamodb.SequenceNumber
	pk := record.Dynamodb.Keys["pk"].(*streams.AttributeValueMemberS).Value
	if strings.HasPrefix(pk, "still") || strings.HasPrefix(pk, "query") {
		return nil
	}
	n := int64(0)
	if v, ok := record.Dynamodb.NewImage["n"].(*streams.AttributeValueMemberN); ok {
		n, _ = strconv.ParseInt(v.Value, 10, 64)
	}
	r.got[pk] = append(r.got[pk], n)
	r.seen++
	return nil
}

// complete tells whether as many records were read as changes were made. It is
// asked once the clients have ended.
func (r *streamReader) complete() bool {
	r.w.mu.Lock()
	want := 0
	for _, h := range r.w.history {
		want += len(h)
	}
	r.w.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen >= want
}

// check compares what was read with what was done, item by item.
func (r *streamReader) check() {
	for pk, want := range r.w.history {
		if !slices.Equal(r.got[pk], want) {
			r.w.fail("records of %s: %v, changes: %v", pk, r.got[pk], want)
			return
		}
	}
	if len(r.got) != len(r.w.history) {
		r.w.fail("records of %d items, %d were changed", len(r.got), len(r.w.history))
	}
}
