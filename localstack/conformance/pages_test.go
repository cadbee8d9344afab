package conformance

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// textOf makes a text of n bytes.
func textOf(n int) types.AttributeValue {
	return &types.AttributeValueMemberS{Value: strings.Repeat("x", n)}
}

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

// collections makes a table with a partition key, a sort key and a local index.
func collections(t *testing.T, region string) string {
	t.Helper()
	name := tableName(t)
	hash, sort := types.KeySchemaElement{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}, types.KeyTypeRange
	_, err := in(region).CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("sk"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("l"), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{hash, {AttributeName: aws.String("sk"), KeyType: sort}},
		LocalSecondaryIndexes: []types.LocalSecondaryIndex{{
			IndexName: aws.String("local"), KeySchema: []types.KeySchemaElement{hash, {AttributeName: aws.String("l"), KeyType: sort}},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		}},
	})
	if err != nil {
		t.Fatalf("create table: %v", err)
	}
	deleteAtEnd(t, region, name)
	awaitTable(t, region, name)
	return name
}

// TestPagesEndAtOneMegabyte: Query, in both directions, and Scan give 1 MB of
// items before the filter, with the item that passes the bound, and go on behind it.
func TestPagesEndAtOneMegabyte(t *testing.T) {
	region := target.regions[0]
	client := in(region)
	name := collections(t, region)
	const items, size = 7, 250_000
	for i := range items {
		_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &name, Item: map[string]types.AttributeValue{
			"pk": str("p"), "sk": str(fmt.Sprint(i)), "l": str(fmt.Sprint(i)), "v": textOf(size),
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, forward := range []bool{true, false} {
		query := &dynamodb.QueryInput{
			TableName: &name, ConsistentRead: aws.Bool(true), ScanIndexForward: &forward,
			KeyConditionExpression: aws.String("pk = :p"), FilterExpression: aws.String("l <> :one"),
			ExpressionAttributeValues: map[string]types.AttributeValue{":p": str("p"), ":one": str("1")},
		}
		var scanned []int32
		order := ""
		for pages := dynamodb.NewQueryPaginator(client, query); pages.HasMorePages(); {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			scanned = append(scanned, page.ScannedCount)
			for _, it := range page.Items {
				order += it["sk"].(*types.AttributeValueMemberS).Value
			}
		}
		want := map[bool]string{true: "023456", false: "654320"}[forward]
		if fmt.Sprint(scanned) != "[5 2]" || order != want {
			t.Errorf("query, forward %v: %v items in pages, in order %s; want [5 2], %s", forward, scanned, order, want)
		}
	}
	var scanned []int32
	for pages := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{TableName: &name, ConsistentRead: aws.Bool(true)}); pages.HasMorePages(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		scanned = append(scanned, page.ScannedCount)
	}
	if fmt.Sprint(scanned) != "[5 2]" {
		t.Errorf("scan: %v items in pages, want [5 2]", scanned)
	}
}

// TestParallelScan: the segments of a scan share the items out, whatever their
// number and while each is read in pages.
func TestParallelScan(t *testing.T) {
	region := target.regions[0]
	client := in(region)
	name := newTable(t, region)
	const items = 100
	for from := 0; from < items; from += 25 {
		var writes []types.WriteRequest
		for i := range 25 {
			writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: map[string]types.AttributeValue{"id": str(fmt.Sprint(from + i))}}})
		}
		batchWrite(t, client, name, writes)
	}
	for _, segments := range []int32{1, 3, 16} {
		var mu sync.Mutex
		var wg sync.WaitGroup
		got := map[string]int{}
		for segment := range segments {
			wg.Go(func() {
				pages := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{
					TableName: &name, ConsistentRead: aws.Bool(true), Limit: aws.Int32(4), Segment: &segment, TotalSegments: &segments,
				})
				for pages.HasMorePages() {
					page, err := pages.NextPage(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for _, it := range page.Items {
						got[it["id"].(*types.AttributeValueMemberS).Value]++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		for id, n := range got {
			if n != 1 {
				t.Errorf("%d segments: item %s came %d times", segments, id, n)
			}
		}
		if len(got) != items {
			t.Errorf("%d segments: %d items of %d", segments, len(got), items)
		}
	}
}

// batchWrite writes until nothing is unprocessed.
func batchWrite(t *testing.T, client *dynamodb.Client, name string, writes []types.WriteRequest) {
	t.Helper()
	for len(writes) > 0 {
		out, err := client.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{name: writes}})
		if err != nil {
			t.Fatal(err)
		}
		writes = out.UnprocessedItems[name]
	}
}

// TestUnprocessedKeys: a BatchGetItem of more than 16 MB leaves keys unprocessed,
// as they were asked for, and asking for those gives the rest.
func TestUnprocessedKeys(t *testing.T) {
	region := target.regions[0]
	client := in(region)
	name := newTable(t, region)
	const items, size = 45, 390_000
	var keys []map[string]types.AttributeValue
	for i := range items {
		id := str(fmt.Sprint(i))
		keys = append(keys, map[string]types.AttributeValue{"id": id})
		_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &name, Item: map[string]types.AttributeValue{"id": id, "v": textOf(size)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	ask := map[string]types.KeysAndAttributes{name: {
		Keys: keys, ConsistentRead: aws.Bool(true), ProjectionExpression: aws.String("#i"), ExpressionAttributeNames: map[string]string{"#i": "id"},
	}}
	got := map[string]int{}
	rounds := 0
	for ; len(ask) > 0; rounds++ {
		out, err := client.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: ask})
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range out.Responses[name] {
			got[it["id"].(*types.AttributeValueMemberS).Value]++
		}
		if ask = out.UnprocessedKeys; len(ask) > 0 {
			if k := ask[name]; *k.ProjectionExpression != "#i" || k.ExpressionAttributeNames["#i"] != "id" || !*k.ConsistentRead {
				t.Fatalf("unprocessed keys are asked for in another way: %+v", k)
			}
		}
	}
	if rounds != 2 || len(got) != items {
		t.Errorf("%d items in %d answers, want %d in 2", len(got), rounds, items)
	}
}

// TestCollectionSize: an item collection of a table with a local index takes no
// more than its bound; what makes it smaller goes on, and other collections do.
func TestCollectionSize(t *testing.T) {
	if !ownServer() {
		return // the bound is 10 GB elsewhere
	}
	region := target.regions[0]
	client := in(region)
	name := collections(t, region)
	write := func(pk string, sk int) error {
		_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &name, Item: map[string]types.AttributeValue{
			"pk": str(pk), "sk": str(fmt.Sprint(sk)), "l": str("l"), "v": textOf(390_000),
		}})
		return err
	}
	const fit = collectionSize / 390_000
	for i := range fit {
		if err := write("p", i); err != nil {
			t.Fatal(err)
		}
	}
	const refused = "Collection size exceeded."
	wantError(t, write("p", fit), "ItemCollectionSizeLimitExceededException", refused)
	_, err := client.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{{
		Put: &types.Put{TableName: &name, Item: map[string]types.AttributeValue{"pk": str("p"), "sk": str("t"), "v": textOf(390_000)}},
	}}})
	var canceled *types.TransactionCanceledException
	if !errors.As(err, &canceled) || *canceled.CancellationReasons[0].Code != "ItemCollectionSizeLimitExceeded" ||
		*canceled.CancellationReasons[0].Message != refused {
		t.Errorf("transaction: %v", err)
	}
	if err := write("q", 0); err != nil {
		t.Errorf("another collection: %v", err)
	}
	_, err = client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &name, Key: map[string]types.AttributeValue{
		"pk": str("p"), "sk": str("0"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := write("p", fit); err != nil {
		t.Errorf("after a delete: %v", err)
	}
}
