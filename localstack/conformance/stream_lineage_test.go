package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	streams "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

// TestStreamLineage fills a table until its partitions split, where the cluster
// splits them, and reads its stream as consumers do: a shard's parent before the
// shard. Each change is there once, and each item's changes are in order.
func TestStreamLineage(t *testing.T) {
	region := target.regions[0]
	name := newTable(t, region)
	arn := startStream(t, region, name, types.StreamViewTypeNewAndOldImages)
	first := len(listShards(t, region, arn))
	const items, rounds = 40, 3
	pad := strings.Repeat("x", 1<<10+int(splitSize)**partitionsFlag*3/items) // three times what does not split
	for round := range rounds {
		for i := range items {
			put(t, region, name, fmt.Sprint("i", i), fmt.Sprint(round, pad))
		}
	}
	if splitSize > 0 {
		eventually(t, "shards", func(context.Context) (string, bool) {
			n := len(listShards(t, region, arn))
			return fmt.Sprint(n), n > first
		})
	}
	for i := range items {
		put(t, region, name, fmt.Sprint("i", i), fmt.Sprint(rounds, pad))
	}

	shards := listShards(t, region, arn)
	got := map[string][]string{}
	for _, s := range parentsFirst(t, shards) {
		recs, _ := drain(t, region, iteratorOf(t, region, arn, s.ShardId, streams.ShardIteratorTypeTrimHorizon, nil), 1000)
		for _, r := range recs {
			id := r.Dynamodb.Keys["id"].(*streams.AttributeValueMemberS).Value
			text := r.Dynamodb.NewImage["text"].(*streams.AttributeValueMemberS).Value
			got[id] = append(got[id], text[:1])
		}
	}
	want := make([]string, rounds+1)
	for i := range want {
		want[i] = fmt.Sprint(i)
	}
	for i := range items {
		if id := fmt.Sprint("i", i); !slices.Equal(got[id], want) {
			t.Errorf("%s: records %v, want %v", id, got[id], want)
		}
	}
	if len(got) != items {
		t.Errorf("records of %d items, want %d", len(got), items)
	}
	t.Logf("%d shards at first, %d at the end", first, len(shards))
}

// parentsFirst orders shards so that none comes before its parent; a shard that
// is a parent has ended.
func parentsFirst(t *testing.T, shards []streams.Shard) []streams.Shard {
	t.Helper()
	byID := map[string]streams.Shard{}
	for _, s := range shards {
		byID[*s.ShardId] = s
	}
	var out []streams.Shard
	seen := map[string]bool{}
	var visit func(streams.Shard)
	visit = func(s streams.Shard) {
		if seen[*s.ShardId] {
			return
		}
		seen[*s.ShardId] = true
		if parent, ok := byID[aws.ToString(s.ParentShardId)]; ok {
			if parent.SequenceNumberRange.EndingSequenceNumber == nil {
				t.Errorf("shard %s has a child and no end", *parent.ShardId)
			}
			visit(parent)
		}
		out = append(out, s)
	}
	for _, s := range shards {
		visit(s)
	}
	return out
}

// TestZSplits looks, behind all other tests, whether partitions were split while
// they ran.
func TestZSplits(t *testing.T) {
	if splitSize == 0 || target.splits == nil {
		return // this server is not told to split
	}
	eventually(t, "splits", func(ctx context.Context) (string, bool) {
		done, err := target.splits(ctx)
		return fmt.Sprint(done, err), done > 0
	})
	done, err := target.splits(t.Context())
	t.Logf("%d splits, %v", done, err)
}

// TestListedOperations calls what no other test does.
func TestListedOperations(t *testing.T) {
	client := in(target.regions[0])
	name := newTable(t, target.regions[0])
	endpoints, err := client.DescribeEndpoints(t.Context(), &dynamodb.DescribeEndpointsInput{})
	if err != nil || len(endpoints.Endpoints) != 1 {
		t.Errorf("endpoints %+v, %v", endpoints, err)
	}
	list, err := client.ListGlobalTables(t.Context(), &dynamodb.ListGlobalTablesInput{})
	if err != nil || len(list.GlobalTables) != 0 {
		t.Errorf("global tables %+v, %v", list, err)
	}
	_, err = client.DescribeGlobalTable(t.Context(), &dynamodb.DescribeGlobalTableInput{GlobalTableName: &name})
	wantError(t, err, "GlobalTableNotFoundException", "Global table with name: '"+name+"' does not exist.")
}
