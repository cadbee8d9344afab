package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streams "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/aws/smithy-go"
)

// streamsIn is a stock SDK client of DynamoDB Streams for one region.
func streamsIn(region string) *dynamodbstreams.Client {
	return dynamodbstreams.New(dynamodbstreams.Options{
		Region:       region,
		BaseEndpoint: aws.String(target.endpoint),
		HTTPClient:   connections,
		Credentials:  credentials.NewStaticCredentialsProvider(*accessKey, *secretKey, ""),
		APIOptions:   recorded,
	})
}

// startStream switches a table's stream on and answers with its ARN once it is
// enabled.
func startStream(t *testing.T, region, name string, view types.StreamViewType) string {
	t.Helper()
	out, err := in(region).UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
		TableName: &name, StreamSpecification: &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: view},
	})
	if err != nil {
		t.Fatalf("start stream: %v", err)
	}
	awaitTable(t, region, name)
	arn := *out.TableDescription.LatestStreamArn
	awaitStream(t, region, arn, streams.StreamStatusEnabled)
	return arn
}

func awaitStream(t *testing.T, region, arn string, want streams.StreamStatus) {
	t.Helper()
	eventually(t, arn, func(ctx context.Context) (string, bool) {
		out, err := streamsIn(region).DescribeStream(ctx, &dynamodbstreams.DescribeStreamInput{StreamArn: &arn})
		if err != nil {
			return err.Error(), false
		}
		return string(out.StreamDescription.StreamStatus), out.StreamDescription.StreamStatus == want
	})
}

func endStream(t *testing.T, region, name, arn string) {
	t.Helper()
	_, err := in(region).UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
		TableName: &name, StreamSpecification: &types.StreamSpecification{StreamEnabled: aws.Bool(false)},
	})
	if err != nil {
		t.Fatalf("end stream: %v", err)
	}
	awaitTable(t, region, name)
	awaitStream(t, region, arn, streams.StreamStatusDisabled)
}

// listShards lists a stream's shards, one a page.
func listShards(t *testing.T, region, arn string) []streams.Shard {
	t.Helper()
	var all []streams.Shard
	var start *string
	for {
		out, err := streamsIn(region).DescribeStream(t.Context(), &dynamodbstreams.DescribeStreamInput{
			StreamArn: &arn, ExclusiveStartShardId: start, Limit: aws.Int32(1),
		})
		if err != nil {
			t.Fatalf("describe stream: %v", err)
		}
		all = append(all, out.StreamDescription.Shards...)
		if start = out.StreamDescription.LastEvaluatedShardId; start == nil {
			return all
		}
	}
}

func iteratorOf(t *testing.T, region, arn string, shard *string, kind streams.ShardIteratorType, sequence *string) *string {
	t.Helper()
	out, err := streamsIn(region).GetShardIterator(t.Context(), &dynamodbstreams.GetShardIteratorInput{
		StreamArn: &arn, ShardId: shard, ShardIteratorType: kind, SequenceNumber: sequence,
	})
	if err != nil {
		t.Fatalf("iterator %s: %v", kind, err)
	}
	return out.ShardIterator
}

// drain reads from an iterator, limit records at a time, until a page is empty
// or the shard ends; next is where it stopped, nil at the shard's end.
func drain(t *testing.T, region string, iterator *string, limit int32) (recs []streams.Record, next *string) {
	t.Helper()
	for iterator != nil {
		out, err := streamsIn(region).GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: iterator, Limit: &limit})
		if err != nil {
			t.Fatalf("get records: %v", err)
		}
		if out.Records == nil {
			t.Fatal("no Records member")
		}
		recs = append(recs, out.Records...)
		if iterator = out.NextShardIterator; len(out.Records) == 0 {
			break
		}
	}
	return recs, iterator
}

// recordsOf are all records of a stream from its beginning.
func recordsOf(t *testing.T, region, arn string) []streams.Record {
	t.Helper()
	var all []streams.Record
	for _, s := range listShards(t, region, arn) {
		recs, _ := drain(t, region, iteratorOf(t, region, arn, s.ShardId, streams.ShardIteratorTypeTrimHorizon, nil), 2)
		all = append(all, recs...)
	}
	return all
}

// byItem writes the records of each item as a line: event, old text > new text.
func byItem(recs []streams.Record) map[string]string {
	text := func(image map[string]streams.AttributeValue) string {
		if v, ok := image["text"].(*streams.AttributeValueMemberS); ok {
			return v.Value
		}
		if image != nil {
			return "."
		}
		return "-"
	}
	lines := map[string]string{}
	for _, r := range recs {
		id := r.Dynamodb.Keys["id"].(*streams.AttributeValueMemberS).Value
		lines[id] += fmt.Sprintf("%s %s>%s; ", r.EventName, text(r.Dynamodb.OldImage), text(r.Dynamodb.NewImage))
	}
	return lines
}

func remove(t *testing.T, region, name, id string) {
	t.Helper()
	_, err := in(region).DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &name, Key: map[string]types.AttributeValue{
		"id": &types.AttributeValueMemberS{Value: id},
	}})
	if err != nil {
		t.Fatalf("delete %s in %s: %v", id, region, err)
	}
}

// update sets an item's text.
func update(t *testing.T, region, name, id, text string) {
	t.Helper()
	_, err := in(region).UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: &name, Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: id}},
		UpdateExpression:          aws.String("SET #t = :t"),
		ExpressionAttributeNames:  map[string]string{"#t": "text"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":t": &types.AttributeValueMemberS{Value: text}},
	})
	if err != nil {
		t.Fatalf("update %s in %s: %v", id, region, err)
	}
}

// TestStreamRecords writes in every way: one record for each change, in order
// for each item, with the images of the view.
func TestStreamRecords(t *testing.T) {
	region := target.regions[0]
	for view, want := range map[types.StreamViewType]string{
		types.StreamViewTypeKeysOnly:        "INSERT ->-; MODIFY ->-; MODIFY ->-; REMOVE ->-; INSERT ->-; ",
		types.StreamViewTypeNewImage:        "INSERT ->a; MODIFY ->b; MODIFY ->.; REMOVE ->-; INSERT ->d; ",
		types.StreamViewTypeOldImage:        "INSERT ->-; MODIFY a>-; MODIFY b>-; REMOVE .>-; INSERT ->-; ",
		types.StreamViewTypeNewAndOldImages: "INSERT ->a; MODIFY a>b; MODIFY b>.; REMOVE .>-; INSERT ->d; ",
	} {
		name := newTable(t, region)
		put(t, region, name, "i0", "before")
		arn := startStream(t, region, name, view)
		all := map[string]string{}
		for i := range 6 {
			id := fmt.Sprintf("i%d", i+1)
			all[id] = want
			put(t, region, name, id, "a")
			put(t, region, name, id, "a")
			update(t, region, name, id, "b")
			update(t, region, name, id, "b")
			_, err := in(region).BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{
				name: {{PutRequest: &types.PutRequest{Item: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: id}}}}},
			}})
			if err != nil {
				t.Fatalf("batch: %v", err)
			}
			remove(t, region, name, id)
			remove(t, region, name, id)
			update(t, region, name, id, "d")
		}
		recs := recordsOf(t, region, arn)
		if got := byItem(recs); !mapsEqual(got, all) {
			t.Errorf("%s: got %v, want %s each", view, got, want)
		}
		ids := map[string]bool{}
		for _, r := range recs {
			ids[*r.EventID] = true
			d := r.Dynamodb
			if *r.EventVersion != "1.1" || *r.EventSource != "aws:dynamodb" || *r.AwsRegion != region || r.UserIdentity != nil ||
				len(*d.SequenceNumber) != 21 || string(d.StreamViewType) != string(view) || *d.SizeBytes < 4 ||
				time.Since(*d.ApproximateCreationDateTime).Abs() > time.Hour {
				t.Errorf("record %+v of %+v", r, d)
			}
		}
		if len(ids) != len(recs) {
			t.Errorf("%d event ids of %d records", len(ids), len(recs))
		}
	}
}

func mapsEqual(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

// TestStreamIterators begins at each kind of place.
func TestStreamIterators(t *testing.T) {
	region := target.regions[0]
	name := newTable(t, region)
	arn := startStream(t, region, name, types.StreamViewTypeNewImage)
	empty := listShards(t, region, arn)[0]
	for _, kind := range []streams.ShardIteratorType{streams.ShardIteratorTypeAtSequenceNumber, streams.ShardIteratorTypeAfterSequenceNumber} {
		iteratorOf(t, region, arn, empty.ShardId, kind, empty.SequenceNumberRange.StartingSequenceNumber)
	}
	for i := range 5 {
		update(t, region, name, "one", fmt.Sprint(i))
	}
	var shard *string
	var recs []streams.Record
	var latest *string
	for _, s := range listShards(t, region, arn) {
		got, next := drain(t, region, iteratorOf(t, region, arn, s.ShardId, streams.ShardIteratorTypeTrimHorizon, nil), 1000)
		if len(got) > 0 {
			shard, recs, latest = s.ShardId, got, next
		}
	}
	if len(recs) != 5 || latest == nil {
		t.Fatalf("%d records, next %v", len(recs), latest)
	}
	third := recs[2].Dynamodb.SequenceNumber
	fromLatest := iteratorOf(t, region, arn, shard, streams.ShardIteratorTypeLatest, nil)
	for kind, want := range map[streams.ShardIteratorType][]streams.Record{
		streams.ShardIteratorTypeAtSequenceNumber:    recs[2:],
		streams.ShardIteratorTypeAfterSequenceNumber: recs[3:],
	} {
		got, _ := drain(t, region, iteratorOf(t, region, arn, shard, kind, third), 1)
		same := slices.EqualFunc(got, want, func(a, b streams.Record) bool { return *a.EventID == *b.EventID })
		if !same {
			t.Errorf("%s: %d records, want %d", kind, len(got), len(want))
		}
	}
	for what, it := range map[string]*string{"LATEST": fromLatest, "the end": latest} {
		if got, _ := drain(t, region, it, 10); len(got) != 0 {
			t.Errorf("from %s: %d records", what, len(got))
		}
	}
	update(t, region, name, "one", "last")
	for what, it := range map[string]*string{"LATEST": fromLatest, "the end": latest} {
		if got, _ := drain(t, region, it, 10); len(got) != 1 {
			t.Errorf("from %s after a write: %d records", what, len(got))
		}
	}
}

// TestStreamLife switches a stream off and another one on.
func TestStreamLife(t *testing.T) {
	region := target.regions[0]
	name := newTable(t, region)
	first := startStream(t, region, name, types.StreamViewTypeNewImage)
	put(t, region, name, "one", "1")
	open := iteratorOf(t, region, first, listShards(t, region, first)[0].ShardId, streams.ShardIteratorTypeTrimHorizon, nil)
	endStream(t, region, name, first)
	put(t, region, name, "two", "2")
	second := startStream(t, region, name, types.StreamViewTypeKeysOnly)
	put(t, region, name, "three", "3")
	if first == second {
		t.Fatal("a stream that was started again has the old ARN")
	}
	for _, s := range listShards(t, region, first) {
		if s.SequenceNumberRange.EndingSequenceNumber == nil {
			t.Errorf("shard %s of an ended stream is open", *s.ShardId)
		}
		if _, next := drain(t, region, iteratorOf(t, region, first, s.ShardId, streams.ShardIteratorTypeTrimHorizon, nil), 10); next != nil {
			t.Errorf("shard %s of an ended stream has no end", *s.ShardId)
		}
	}
	if _, next := drain(t, region, open, 1); next != nil {
		t.Error("an iterator from before the end goes on")
	}
	if got, want := byItem(recordsOf(t, region, first)), map[string]string{"one": "INSERT ->1; "}; !mapsEqual(got, want) {
		t.Errorf("first stream: %v", got)
	}
	if got, want := byItem(recordsOf(t, region, second)), map[string]string{"three": "INSERT ->-; "}; !mapsEqual(got, want) {
		t.Errorf("second stream: %v", got)
	}
	if got := listed(t, region, &name, 1); !slices.Equal(got, []string{first, second}) {
		t.Errorf("streams of the table: %v", got)
	}
	all := listed(t, region, nil, 1)
	if !slices.Contains(all, first) || !slices.Contains(all, second) {
		t.Errorf("streams of all tables: %v", all)
	}
	if got := listed(t, region, aws.String(newTable(t, region)), 1); len(got) != 0 {
		t.Errorf("streams of a table without: %v", got)
	}
}

// listed pages through ListStreams.
func listed(t *testing.T, region string, name *string, limit int32) (arns []string) {
	t.Helper()
	var start *string
	for {
		out, err := streamsIn(region).ListStreams(t.Context(), &dynamodbstreams.ListStreamsInput{
			TableName: name, Limit: &limit, ExclusiveStartStreamArn: start,
		})
		if err != nil {
			t.Fatalf("list streams: %v", err)
		}
		for _, s := range out.Streams {
			if !strings.Contains(*s.StreamArn, ":table/"+*s.TableName+"/stream/"+*s.StreamLabel) {
				t.Errorf("stream %+v", s)
			}
			arns = append(arns, *s.StreamArn)
		}
		if start = out.LastEvaluatedStreamArn; start == nil {
			return arns
		}
	}
}

// TestStreamErrors asks for what is not there and for what makes no sense.
func TestStreamErrors(t *testing.T) {
	region := target.regions[0]
	name := newTable(t, region)
	arn := startStream(t, region, name, types.StreamViewTypeNewImage)
	shard := listShards(t, region, arn)[0].ShardId
	start := listShards(t, region, arn)[0].SequenceNumberRange.StartingSequenceNumber
	iterator := iteratorOf(t, region, arn, shard, streams.ShardIteratorTypeTrimHorizon, nil)
	client := streamsIn(region)
	describe := func(in dynamodbstreams.DescribeStreamInput) func() error {
		return func() error { _, err := client.DescribeStream(t.Context(), &in); return err }
	}
	get := func(in dynamodbstreams.GetShardIteratorInput) func() error {
		if in.StreamArn == nil {
			in.StreamArn = &arn
		}
		if in.ShardId == nil {
			in.ShardId = shard
		}
		return func() error { _, err := client.GetShardIterator(t.Context(), &in); return err }
	}
	read := func(in dynamodbstreams.GetRecordsInput) func() error {
		return func() error { _, err := client.GetRecords(t.Context(), &in); return err }
	}
	list := func(in dynamodbstreams.ListStreamsInput) func() error {
		return func() error { _, err := client.ListStreams(t.Context(), &in); return err }
	}
	gone := strings.Replace(arn, "/stream/2", "/stream/1", 1)
	long := strings.Repeat("x", 60)
	for what, c := range map[string]struct {
		do            func() error
		code, message string
	}{
		"no such stream":        {describe(dynamodbstreams.DescribeStreamInput{StreamArn: &gone}), "ResourceNotFoundException", "Requested resource not found: Stream: " + gone + " not found"},
		"no ARN":                {describe(dynamodbstreams.DescribeStreamInput{StreamArn: &long}), "ValidationException", "Invalid StreamArn"},
		"too many shards":       {describe(dynamodbstreams.DescribeStreamInput{StreamArn: &arn, Limit: aws.Int32(101)}), "ValidationException", "less than or equal to 100"},
		"no such table":         {list(dynamodbstreams.ListStreamsInput{TableName: aws.String(name + "-none")}), "ResourceNotFoundException", "not found"},
		"too many streams":      {list(dynamodbstreams.ListStreamsInput{Limit: aws.Int32(101)}), "ValidationException", "less than or equal to 100"},
		"no shards":             {list(dynamodbstreams.ListStreamsInput{Limit: aws.Int32(0)}), "ValidationException", "greater than or equal to 1"},
		"list from no ARN":      {list(dynamodbstreams.ListStreamsInput{ExclusiveStartStreamArn: &long}), "ValidationException", "Invalid StreamArn"},
		"iterator: no stream":   {get(dynamodbstreams.GetShardIteratorInput{StreamArn: &gone, ShardIteratorType: "LATEST"}), "ResourceNotFoundException", "Stream: " + gone},
		"iterator: no shard":    {get(dynamodbstreams.GetShardIteratorInput{ShardId: &long, ShardIteratorType: "LATEST"}), "ResourceNotFoundException", "Requested resource not found: Shard does not exist"},
		"iterator: no type":     {get(dynamodbstreams.GetShardIteratorInput{ShardIteratorType: "bulle"}), "ValidationException", "enum value set"},
		"iterator: no sequence": {get(dynamodbstreams.GetShardIteratorInput{ShardIteratorType: "AT_SEQUENCE_NUMBER"}), "ValidationException", "SequenceNumber"},
		"iterator: a sequence":  {get(dynamodbstreams.GetShardIteratorInput{ShardIteratorType: "LATEST", SequenceNumber: start}), "ValidationException", "SequenceNumber"},
		"iterator: odd sequence": {get(dynamodbstreams.GetShardIteratorInput{ShardIteratorType: "AT_SEQUENCE_NUMBER", SequenceNumber: aws.String("99999999999999999999999")}),
			"ValidationException", "SequenceNumber"},
		"not an iterator":   {read(dynamodbstreams.GetRecordsInput{ShardIterator: &long}), "ValidationException", "Invalid ShardIterator"},
		"a broken iterator": {read(dynamodbstreams.GetRecordsInput{ShardIterator: aws.String((*iterator)[:len(*iterator)-2] + "xx")}), "ValidationException", "Invalid ShardIterator"},
		"too many records":  {read(dynamodbstreams.GetRecordsInput{ShardIterator: iterator, Limit: aws.Int32(1001)}), "ValidationException", "less than or equal to 1000"},
	} {
		err := c.do()
		var api smithy.APIError
		if !errors.As(err, &api) || api.ErrorCode() != c.code || !strings.Contains(api.ErrorMessage(), c.message) {
			t.Errorf("%s: %v, want %s with %q", what, err, c.code, c.message)
		}
	}
}

// TestStreamOfGlobalTable: each region's stream shows each change once, wherever
// it was made.
func TestStreamOfGlobalTable(t *testing.T) {
	name := newGlobalTable(t)
	want := map[string]string{}
	for i, region := range target.regions {
		id := fmt.Sprint("item", i)
		put(t, region, name, id, "1")
		want[id] = "INSERT ->1; "
	}
	for _, region := range target.regions {
		out, err := in(region).DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &name})
		if err != nil {
			t.Fatal(err)
		}
		if out.Table.LatestStreamArn == nil {
			t.Fatalf("no stream in %s", region)
		}
		eventually(t, "stream in "+region, func(context.Context) (string, bool) {
			got := byItem(recordsOf(t, region, *out.Table.LatestStreamArn))
			return fmt.Sprint(got), mapsEqual(got, want)
		})
	}
}
