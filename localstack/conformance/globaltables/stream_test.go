package globaltables

import (
	"context"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streams "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

// records are all of a region's stream, each shard from its beginning until a
// page is empty, which says nothing of what comes later.
func (s *suite) records(ctx context.Context, region string) ([]streams.Record, error) {
	d, err := s.describe(ctx, region)
	if err != nil {
		return nil, err
	}
	var all []streams.Record
	var start *string
	for {
		out, err := streamsIn(region).DescribeStream(ctx, &dynamodbstreams.DescribeStreamInput{StreamArn: d.LatestStreamArn, ExclusiveStartShardId: start})
		if err != nil {
			return nil, err
		}
		for _, shard := range out.StreamDescription.Shards {
			recs, err := shardRecords(ctx, region, d.LatestStreamArn, shard.ShardId)
			if err != nil {
				return nil, err
			}
			all = append(all, recs...)
		}
		if start = out.StreamDescription.LastEvaluatedShardId; start == nil {
			return all, nil
		}
	}
}

func shardRecords(ctx context.Context, region string, arn, shard *string) ([]streams.Record, error) {
	it, err := streamsIn(region).GetShardIterator(ctx, &dynamodbstreams.GetShardIteratorInput{
		StreamArn: arn, ShardId: shard, ShardIteratorType: streams.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		return nil, err
	}
	var all []streams.Record
	empty := 0
	// AWS gives empty pages before records that are there.
	for next := it.ShardIterator; next != nil && empty < 5; {
		out, err := streamsIn(region).GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: next})
		if err != nil {
			return nil, err
		}
		all = append(all, out.Records...)
		if empty++; len(out.Records) > 0 {
			empty = 0
		}
		next = out.NextShardIterator
	}
	return all, nil
}

// TestStreamPerRegion: each region has a stream of its own, with both images,
// that shows every key's changes in order, those from other regions included,
// and ends with what the region reads. Changes may have been coalesced on the way.
func TestStreamPerRegion(t *testing.T) {
	s := global(t, nil)
	const keys, rounds = 5, 6
	for round := range rounds {
		region := world.regions[round%len(world.regions)]
		for k := range keys {
			s.put(region, fmt.Sprint(k), fmt.Sprint(round))
		}
		for k := range keys {
			s.arrives(fmt.Sprint(k), fmt.Sprint(round), world.regions...)
		}
	}
	arns := map[string]bool{}
	for _, region := range world.regions {
		d, err := s.describe(t.Context(), region)
		if err != nil {
			t.Fatal(err)
		}
		if d.StreamSpecification == nil || !aws.ToBool(d.StreamSpecification.StreamEnabled) || d.StreamSpecification.StreamViewType != types.StreamViewTypeNewAndOldImages {
			t.Errorf("stream of %s: %+v", region, d.StreamSpecification)
		}
		arns[aws.ToString(d.LatestStreamArn)] = true
		eventually(t, "stream of "+region, func(ctx context.Context) (string, bool) {
			recs, err := s.records(ctx, region)
			if err != nil {
				return err.Error(), false
			}
			last := map[string]string{}
			for _, r := range recs {
				id := r.Dynamodb.Keys["id"].(*streams.AttributeValueMemberS).Value
				text := r.Dynamodb.NewImage["text"].(*streams.AttributeValueMemberS).Value
				if text < last[id] {
					t.Fatalf("%s: %s goes from %s back to %s", region, id, last[id], text)
				}
				if old := r.Dynamodb.OldImage["text"]; old != nil && old.(*streams.AttributeValueMemberS).Value != last[id] {
					t.Fatalf("%s: %s was %q, its old image says %v", region, id, last[id], old)
				}
				last[id] = text
			}
			done := 0
			for _, text := range last {
				if text == fmt.Sprint(rounds-1) {
					done++
				}
			}
			return fmt.Sprint(last), done == keys
		})
	}
	if len(arns) != len(world.regions) {
		t.Errorf("streams of %d regions: %v", len(world.regions), arns)
	}
}

// TestTimeToLive: the setting is the table's everywhere; a region that expires
// an item says so in its stream, for the others it is an ordinary delete.
func TestTimeToLive(t *testing.T) {
	s := global(t, nil)
	_, err := in(s.home).UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{
		TableName: &s.name, TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("until"), Enabled: aws.Bool(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, region := range world.regions {
		eventually(t, "time to live in "+region, func(ctx context.Context) (string, bool) {
			out, err := in(region).DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &s.name})
			if err != nil {
				return err.Error(), false
			}
			d := out.TimeToLiveDescription
			return string(d.TimeToLiveStatus), d.TimeToLiveStatus == types.TimeToLiveStatusEnabled && *d.AttributeName == "until"
		})
	}
	s.putItem(s.home, itemOf{"id": str("gone"), "text": str("x"), "until": num(hourAgo())})
	s.arrives("gone", "", world.regions...)
	services := 0
	for _, region := range world.regions {
		eventually(t, "removal in the stream of "+region, func(ctx context.Context) (string, bool) {
			recs, err := s.records(ctx, region)
			if err != nil {
				return err.Error(), false
			}
			// An item may expire in the home before others ever had it.
			inserted := false
			for _, r := range recs {
				inserted = inserted || r.EventName == streams.OperationTypeInsert
				if r.EventName != streams.OperationTypeRemove {
					continue
				}
				if r.UserIdentity != nil {
					services++
					if *r.UserIdentity.PrincipalId != "dynamodb.amazonaws.com" || *r.UserIdentity.Type != "Service" {
						t.Errorf("identity %+v", *r.UserIdentity)
					}
				}
				return "", true
			}
			return "no removal", !inserted && region != s.home
		})
	}
	// Two regions may run the same deletion at once.
	if services == 0 {
		t.Error("no region names the service as who deleted")
	}
}
