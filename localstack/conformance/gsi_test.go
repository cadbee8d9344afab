package conformance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// attributes makes an item of strings and integers.
func attributes(fields map[string]any) map[string]types.AttributeValue {
	out := make(map[string]types.AttributeValue, len(fields))
	for name, v := range fields {
		switch v := v.(type) {
		case string:
			out[name] = &types.AttributeValueMemberS{Value: v}
		case int:
			out[name] = &types.AttributeValueMemberN{Value: strconv.Itoa(v)}
		case types.AttributeValue:
			out[name] = v
		}
	}
	return out
}

// gsi describes a global index in a few words: "hash+hash range+range", with a
// projection of "ALL", "KEYS_ONLY" or the attributes to include.
func gsi(name, key, projection string, include ...string) types.GlobalSecondaryIndex {
	x := types.GlobalSecondaryIndex{IndexName: aws.String(name), Projection: &types.Projection{ProjectionType: types.ProjectionType(projection), NonKeyAttributes: include}}
	for i, part := range strings.Fields(key) {
		kind := [...]types.KeyType{types.KeyTypeHash, types.KeyTypeRange}[i]
		for _, attribute := range strings.Split(part, "+") {
			x.KeySchema = append(x.KeySchema, types.KeySchemaElement{AttributeName: aws.String(attribute), KeyType: kind})
		}
	}
	return x
}

// numbers are the attributes that are numbers wherever these tests define them.
const numbers = "n1 n2"

func definitions(key []types.KeySchemaElement, indexes ...types.GlobalSecondaryIndex) []types.AttributeDefinition {
	names := map[string]bool{}
	for _, x := range indexes {
		key = append(key, x.KeySchema...)
	}
	for _, e := range key {
		names[*e.AttributeName] = true
	}
	var out []types.AttributeDefinition
	for _, name := range slices.Sorted(maps.Keys(names)) {
		kind := types.ScalarAttributeTypeS
		if slices.Contains(strings.Fields(numbers), name) {
			kind = types.ScalarAttributeTypeN
		}
		out = append(out, types.AttributeDefinition{AttributeName: aws.String(name), AttributeType: kind})
	}
	return out
}

// newIndexedTable makes a table with the key pk, sk and global indexes.
func newIndexedTable(t *testing.T, region string, indexes ...types.GlobalSecondaryIndex) string {
	t.Helper()
	name := tableName(t)
	key := gsi("", "pk sk", "ALL").KeySchema
	_, err := in(region).CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest, KeySchema: key,
		AttributeDefinitions: definitions(key, indexes...), GlobalSecondaryIndexes: indexes,
	})
	if err != nil {
		t.Fatalf("create table: %v", err)
	}
	t.Cleanup(func() {
		_, _ = in(region).DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: &name})
	})
	awaitTable(t, region, name)
	return name
}

func putItem(t *testing.T, region, name string, fields map[string]any) *types.ConsumedCapacity {
	t.Helper()
	out, err := in(region).PutItem(t.Context(), &dynamodb.PutItemInput{
		TableName: &name, Item: attributes(fields), ReturnConsumedCapacity: types.ReturnConsumedCapacityIndexes,
	})
	if err != nil {
		t.Fatalf("put %v: %v", fields, err)
	}
	return out.ConsumedCapacity
}

// queryIndex reads an index by a condition whose values are named :a, :b, … in
// their order.
func queryIndex(ctx context.Context, region, name, index, condition string, values ...any) ([]map[string]types.AttributeValue, error) {
	in := in(region)
	q := &dynamodb.QueryInput{TableName: &name, IndexName: &index, KeyConditionExpression: &condition, ExpressionAttributeValues: map[string]types.AttributeValue{}}
	for i, v := range values {
		maps.Copy(q.ExpressionAttributeValues, attributes(map[string]any{":" + string(rune('a'+i)): v}))
	}
	var items []map[string]types.AttributeValue
	pages := dynamodb.NewQueryPaginator(in, q)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		items = append(items, page.Items...)
	}
	return items, nil
}

// shown is the values of one attribute of each item, in order.
func shown(items []map[string]types.AttributeValue, attribute string) string {
	var out []string
	for _, it := range items {
		switch v := it[attribute].(type) {
		case *types.AttributeValueMemberS:
			out = append(out, v.Value)
		case *types.AttributeValueMemberN:
			out = append(out, v.Value)
		default:
			out = append(out, "-")
		}
	}
	return strings.Join(out, " ")
}

// awaitQuery waits until a query of an index shows these sort keys.
func awaitQuery(t *testing.T, region, name, index, want, condition string, values ...any) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s of %s where %s %v", index, name, condition, values), func(ctx context.Context) (string, bool) {
		items, err := queryIndex(ctx, region, name, index, condition, values...)
		if err != nil {
			return err.Error(), false
		}
		got := shown(items, "sk")
		return strconv.Quote(got), got == want
	})
}

func TestGlobalIndexFollowsTable(t *testing.T) {
	region := target.regions[0]
	name := newIndexedTable(t, region, gsi("by-kind", "kind n1", "ALL"), gsi("keys", "kind", "KEYS_ONLY"), gsi("some", "kind n2", "INCLUDE", "x", "y"))
	for i, n := range []int{30, -2, 7, 100} {
		putItem(t, region, name, map[string]any{"pk": "p", "sk": fmt.Sprint("s", i), "kind": "k", "n1": n, "n2": i, "x": "x", "z": "z"})
	}
	putItem(t, region, name, map[string]any{"pk": "p", "sk": "bare", "x": "x"})
	putItem(t, region, name, map[string]any{"pk": "p", "sk": "half", "kind": "k", "x": "x"})

	awaitQuery(t, region, name, "by-kind", "s1 s2 s0 s3", "kind = :a", "k")
	awaitQuery(t, region, name, "by-kind", "s2 s0", "kind = :a AND n1 BETWEEN :b AND :c", "k", 0, 30)
	awaitQuery(t, region, name, "by-kind", "s1", "kind = :a AND n1 < :b", "k", 0)
	awaitQuery(t, region, name, "by-kind", "", "kind = :a", "none")

	eventually(t, "the index of keys", func(ctx context.Context) (string, bool) {
		items, err := queryIndex(ctx, region, name, "keys", "kind = :a", "k")
		if err != nil {
			return err.Error(), false
		}
		for _, it := range items {
			if got := slices.Sorted(maps.Keys(it)); !slices.Equal(got, []string{"kind", "pk", "sk"}) {
				t.Fatalf("the index of keys shows %v", got)
			}
		}
		return fmt.Sprint(len(items), " items"), len(items) == 5
	})
	eventually(t, "the index of some attributes", func(ctx context.Context) (string, bool) {
		items, err := queryIndex(ctx, region, name, "some", "kind = :a", "k")
		if err != nil {
			return err.Error(), false
		}
		for _, it := range items {
			if got := slices.Sorted(maps.Keys(it)); !slices.Equal(got, []string{"kind", "n2", "pk", "sk", "x"}) {
				t.Fatalf("the index of some attributes shows %v", got)
			}
		}
		return fmt.Sprint(len(items), " items"), len(items) == 4
	})

	update := func(sk, expression string, values map[string]any) {
		t.Helper()
		u := &dynamodb.UpdateItemInput{TableName: &name, Key: attributes(map[string]any{"pk": "p", "sk": sk}), UpdateExpression: &expression}
		if values != nil {
			u.ExpressionAttributeValues = attributes(values)
		}
		if _, err := in(region).UpdateItem(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	update("s3", "SET n1 = :n", map[string]any{":n": -50}) // moves inside its collection
	update("s0", "SET kind = :k", map[string]any{":k": "other"})
	update("s2", "REMOVE n1", nil) // leaves one index, stays in another
	if _, err := in(region).DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &name, Key: attributes(map[string]any{"pk": "p", "sk": "s1"})}); err != nil {
		t.Fatal(err)
	}
	awaitQuery(t, region, name, "by-kind", "s3", "kind = :a", "k")
	awaitQuery(t, region, name, "by-kind", "s0", "kind = :a", "other")
	awaitQuery(t, region, name, "some", "s2 s3", "kind = :a", "k")
	awaitQuery(t, region, name, "keys", "s0", "kind = :a", "other")
}

func TestGlobalIndexPagesAndScans(t *testing.T) {
	region := target.regions[0]
	name := newIndexedTable(t, region, gsi("idx", "kind n1", "ALL"))
	want := map[string]bool{}
	for i := range 23 {
		sk := fmt.Sprintf("s%02d", i)
		want[sk] = true
		putItem(t, region, name, map[string]any{"pk": fmt.Sprint("p", i%5), "sk": sk, "kind": fmt.Sprint("k", i%2), "n1": i / 6})
	}
	for _, forward := range []bool{true, false} {
		eventually(t, "all pages", func(ctx context.Context) (string, bool) {
			got, ordered, err := pages(ctx, in(region), &dynamodb.QueryInput{
				TableName: &name, IndexName: aws.String("idx"), Limit: aws.Int32(3), ScanIndexForward: &forward,
				KeyConditionExpression: aws.String("kind = :k"), ExpressionAttributeValues: attributes(map[string]any{":k": "k0"}),
			})
			if err != nil {
				return err.Error(), false
			}
			if !ordered {
				t.Fatalf("pages are out of order: %v", got)
			}
			return fmt.Sprint(got), len(got) == 12
		})
	}
	seen := map[string]bool{}
	for segment := range int32(3) {
		scan := dynamodb.NewScanPaginator(in(region), &dynamodb.ScanInput{
			TableName: &name, IndexName: aws.String("idx"), Limit: aws.Int32(2), Segment: aws.Int32(segment), TotalSegments: aws.Int32(3),
		})
		for scan.HasMorePages() {
			page, err := scan.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if last := page.LastEvaluatedKey; last != nil && len(last) != 4 {
				t.Fatalf("a page of the index ends at %v", last)
			}
			for _, it := range page.Items {
				sk := it["sk"].(*types.AttributeValueMemberS).Value
				if seen[sk] {
					t.Fatalf("%s came twice", sk)
				}
				seen[sk] = true
			}
		}
	}
	if !maps.Equal(seen, want) {
		t.Fatalf("the scan found %v", slices.Sorted(maps.Keys(seen)))
	}
}

// pages reads a query to its end and tells whether n1 is in order.
func pages(ctx context.Context, client *dynamodb.Client, q *dynamodb.QueryInput) (sks []string, ordered bool, err error) {
	var order []int
	for p := dynamodb.NewQueryPaginator(client, q); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			return nil, false, err
		}
		for _, it := range page.Items {
			n, err := strconv.Atoi(it["n1"].(*types.AttributeValueMemberN).Value)
			if err != nil {
				return nil, false, err
			}
			order = append(order, n)
			sks = append(sks, it["sk"].(*types.AttributeValueMemberS).Value)
		}
	}
	if !*q.ScanIndexForward {
		slices.Reverse(order)
	}
	return sks, slices.IsSortedFunc(order, cmp.Compare[int]), nil
}

// TestGlobalIndexAddedUnderWrites adds an index while items are written and
// deleted, and removes it again.
func TestGlobalIndexAddedUnderWrites(t *testing.T) {
	region := target.regions[0]
	name := newIndexedTable(t, region)
	client := in(region)
	var items sync.WaitGroup
	for w := range 8 {
		items.Go(func() {
			for i := range 40 {
				putItem(t, region, name, map[string]any{"pk": fmt.Sprint("p", w), "sk": fmt.Sprintf("a%03d", i), "kind": "k", "n1": w*1000 + i})
			}
		})
	}
	items.Wait()
	done := make(chan struct{})
	var writes sync.WaitGroup
	for w := range 4 {
		writes.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				sk := fmt.Sprintf("a%03d", i%40)
				if i%3 == 0 {
					_, err := client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &name, Key: attributes(map[string]any{"pk": fmt.Sprint("p", w), "sk": sk})})
					if err != nil {
						t.Error(err)
						return
					}
					continue
				}
				putItem(t, region, name, map[string]any{"pk": fmt.Sprint("p", w), "sk": sk, "kind": fmt.Sprint("k", i%2), "n1": i})
			}
		})
	}
	addIndex(t, region, name, gsi("idx", "kind n1", "ALL"))
	close(done)
	writes.Wait()
	want := tableContent(t, region, name, "")
	eventually(t, "the new index", func(ctx context.Context) (string, bool) {
		got := tableContent(t, region, name, "idx")
		return fmt.Sprintf("%d entries of %d", len(got), len(want)), maps.Equal(got, want)
	})
	removeIndex(t, region, name, "idx")
	_, err := queryIndex(t.Context(), region, name, "idx", "kind = :a", "k")
	wantError(t, err, "ValidationException", "The table does not have the specified index: idx")
	addIndex(t, region, name, gsi("idx", "kind", "KEYS_ONLY")) // the name is free again
	eventually(t, "an index of the same name", func(ctx context.Context) (string, bool) {
		got := tableContent(t, region, name, "idx")
		return fmt.Sprintf("%d entries of %d", len(got), len(want)), len(got) == len(want)
	})
}

// addIndex adds an index and waits until it is ACTIVE; before that it is not
// read.
func addIndex(t *testing.T, region, name string, x types.GlobalSecondaryIndex) {
	t.Helper()
	out, err := in(region).UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
		TableName: &name, AttributeDefinitions: definitions(nil, x),
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: &types.CreateGlobalSecondaryIndexAction{
			IndexName: x.IndexName, KeySchema: x.KeySchema, Projection: x.Projection,
		}}},
	})
	if err != nil {
		t.Fatalf("add index: %v", err)
	}
	if got := out.TableDescription.GlobalSecondaryIndexes; len(got) == 0 || got[len(got)-1].IndexStatus != types.IndexStatusCreating {
		t.Fatalf("an index that is added shows as %+v", got)
	}
	eventually(t, "index "+*x.IndexName, func(ctx context.Context) (string, bool) {
		out, err := in(region).DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
		if err != nil {
			return err.Error(), false
		}
		for _, d := range out.Table.GlobalSecondaryIndexes {
			if *d.IndexName == *x.IndexName {
				active := d.IndexStatus == types.IndexStatusActive
				if active && aws.ToBool(d.Backfilling) {
					t.Fatal("an ACTIVE index is being back-filled")
				}
				return string(d.IndexStatus), active && out.Table.TableStatus == types.TableStatusActive
			}
		}
		return "missing", false
	})
}

func removeIndex(t *testing.T, region, name, index string) {
	t.Helper()
	_, err := in(region).UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
		TableName:                   &name,
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Delete: &types.DeleteGlobalSecondaryIndexAction{IndexName: &index}}},
	})
	if err != nil {
		t.Fatalf("remove index: %v", err)
	}
	eventually(t, "index "+index+" is gone", func(ctx context.Context) (string, bool) {
		out, err := in(region).DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
		if err != nil {
			return err.Error(), false
		}
		return fmt.Sprint(len(out.Table.GlobalSecondaryIndexes), " indexes"), len(out.Table.GlobalSecondaryIndexes) == 0
	})
}

// tableContent is everything that a scan of a table, or of an index, shows.
func tableContent(t *testing.T, region, name, index string) map[string]string {
	t.Helper()
	q := &dynamodb.ScanInput{TableName: &name}
	if index != "" {
		q.IndexName = &index
	}
	out := map[string]string{}
	for p := dynamodb.NewScanPaginator(in(region), q); p.HasMorePages(); {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range page.Items {
			out[shown([]map[string]types.AttributeValue{it}, "pk")+"/"+shown([]map[string]types.AttributeValue{it}, "sk")] = itemText(it)
		}
	}
	return out
}

// TestGlobalIndexManyAttributes: up to four attributes hash an index and up to
// four order it.
func TestGlobalIndexManyAttributes(t *testing.T) {
	region := target.regions[0]
	name := newIndexedTable(t, region, gsi("idx", "h1+h2+h3+n1 r1+r2+n2+r4", "ALL"))
	put := func(sk, h3, r1, r2 string, n2 int, r4 string) {
		t.Helper()
		fields := map[string]any{"pk": "p", "sk": sk, "h1": "a", "h2": "b", "h3": h3, "n1": 1, "r1": r1, "r2": r2, "n2": n2, "r4": r4}
		maps.DeleteFunc(fields, func(_ string, v any) bool { return v == "" })
		putItem(t, region, name, fields)
	}
	put("s1", "c", "x", "m", 10, "q")
	put("s2", "c", "x", "m", 9, "q")
	put("s3", "c", "x", "l", 50, "q")
	put("s4", "c", "w", "z", 0, "q")
	put("s5", "d", "x", "m", 10, "q")
	put("s6", "", "x", "m", 10, "q") // lacks a part of the hash
	put("s7", "c", "x", "m", 10, "") // lacks a part of the order
	put("s8", "c", "x", "m", 10, "p")

	hash := "h1 = :a AND h2 = :b AND h3 = :c AND n1 = :d"
	awaitQuery(t, region, name, "idx", "s4 s3 s2 s8 s1", hash, "a", "b", "c", 1)
	awaitQuery(t, region, name, "idx", "s3 s2 s8 s1", hash+" AND r1 = :e", "a", "b", "c", 1, "x")
	awaitQuery(t, region, name, "idx", "s2 s8 s1", hash+" AND r1 = :e AND r2 > :f", "a", "b", "c", 1, "x", "l")
	awaitQuery(t, region, name, "idx", "s8 s1", "n2 >= :g AND r2 = :f AND "+hash+" AND r1 = :e", "a", "b", "c", 1, "x", "m", 10)
	awaitQuery(t, region, name, "idx", "s8", hash+" AND r1 = :e AND r2 = :f AND n2 = :g AND begins_with(r4, :h)", "a", "b", "c", 1, "x", "m", 10, "p")

	_, err := queryIndex(t.Context(), region, name, "idx", hash+" AND r2 = :e", "a", "b", "c", 1, "m")
	wantError(t, err, "ValidationException",
		"RANGE key attributes r1 must have equality conditions specified in the query because a condition is present on key attribute r2")
	_, err = queryIndex(t.Context(), region, name, "idx", hash+" AND r1 > :e AND r2 = :f", "a", "b", "c", 1, "a", "m")
	wantError(t, err, "ValidationException",
		"RANGE key attributes r1 must have equality conditions specified in the query because a condition is present on key attribute r2")
	page, err := in(region).Query(t.Context(), &dynamodb.QueryInput{
		TableName: &name, IndexName: aws.String("idx"), Limit: aws.Int32(2), KeyConditionExpression: &hash,
		ExpressionAttributeValues: attributes(map[string]any{":a": "a", ":b": "b", ":c": "c", ":d": 1}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(page.LastEvaluatedKey)); strings.Join(got, " ") != "h1 h2 h3 n1 n2 pk r1 r2 r4 sk" {
		t.Fatalf("a page ends at %v", got)
	}
}

func TestGlobalIndexCapacity(t *testing.T) {
	region := target.regions[0]
	name := newIndexedTable(t, region, gsi("all", "kind", "ALL"), gsi("keys", "kind", "KEYS_ONLY"))
	units := func(c *types.ConsumedCapacity) string {
		out := fmt.Sprint("table ", *c.Table.CapacityUnits)
		for _, x := range slices.Sorted(maps.Keys(c.GlobalSecondaryIndexes)) {
			out += fmt.Sprint(" ", x, " ", *c.GlobalSecondaryIndexes[x].CapacityUnits)
		}
		return fmt.Sprint(out, " of ", *c.CapacityUnits)
	}
	expect := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s costs %s, not %s", what, got, want)
		}
	}
	long := strings.Repeat("x", 1500)
	row := func(kind, text string) map[string]any {
		fields := map[string]any{"pk": "p", "sk": "s", "kind": kind, "text": text}
		maps.DeleteFunc(fields, func(_ string, v any) bool { return v == "" })
		return fields
	}
	expect("a put into the indexes", units(putItem(t, region, name, row("k", long))), "table 2 all 2 keys 1 of 5")
	expect("a put of the same", units(putItem(t, region, name, row("k", long))), "table 2 of 2")
	expect("a change of what one index holds", units(putItem(t, region, name, row("k", "short"))), "table 2 all 2 of 4")
	expect("a move", units(putItem(t, region, name, row("other", "short"))), "table 1 all 2 keys 2 of 5")
	expect("a put out of the indexes", units(putItem(t, region, name, row("", "short"))), "table 1 all 1 keys 1 of 3")
	expect("a put beside the indexes", units(putItem(t, region, name, row("", "longer"))), "table 1 of 1")
	putItem(t, region, name, row("k", "short"))
	out, err := in(region).DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
		TableName: &name, Key: attributes(map[string]any{"pk": "p", "sk": "s"}), ReturnConsumedCapacity: types.ReturnConsumedCapacityIndexes,
	})
	if err != nil {
		t.Fatal(err)
	}
	expect("a delete", units(out.ConsumedCapacity), "table 1 all 1 keys 1 of 3")
	read, err := in(region).Query(t.Context(), &dynamodb.QueryInput{
		TableName: &name, IndexName: aws.String("keys"), KeyConditionExpression: aws.String("kind = :k"),
		ExpressionAttributeValues: attributes(map[string]any{":k": "none"}), ReturnConsumedCapacity: types.ReturnConsumedCapacityIndexes,
	})
	if err != nil {
		t.Fatal(err)
	}
	expect("a query of an index", units(read.ConsumedCapacity), "table 0 keys 0.5 of 0.5")
}

func TestGlobalIndexRefusals(t *testing.T) {
	region := target.regions[0]
	name := newIndexedTable(t, region, gsi("idx", "kind n1", "KEYS_ONLY"))
	client := in(region)
	key := map[string]any{"pk": "p", "sk": "s"}
	putIt := func(more map[string]any) error {
		fields := maps.Clone(key)
		maps.Copy(fields, more)
		_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &name, Item: attributes(fields)})
		return err
	}
	const invalid = "One or more parameter values were invalid: "
	wantError(t, putIt(map[string]any{"kind": 1}), "ValidationException",
		invalid+"Type mismatch for Index Key kind Expected: S Actual: N IndexName: idx")
	wantError(t, putIt(map[string]any{"n1": "one"}), "ValidationException",
		invalid+"Type mismatch for Index Key n1 Expected: N Actual: S IndexName: idx")
	wantError(t, putIt(map[string]any{"kind": ""}), "ValidationException",
		"One or more parameter values are not valid. A value specified for a secondary index key is not supported. "+
			"The AttributeValue for a key attribute cannot contain an empty string value. IndexName: idx, IndexKey: kind")
	_, err := client.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: &name, Key: attributes(key), UpdateExpression: aws.String("SET kind = :k"), ExpressionAttributeValues: attributes(map[string]any{":k": 1}),
	})
	wantError(t, err, "ValidationException",
		invalid+"Type mismatch for Index Key kind Expected: S Actual: N IndexName: idx")

	q := dynamodb.QueryInput{
		TableName: &name, IndexName: aws.String("idx"), KeyConditionExpression: aws.String("kind = :k"),
		ExpressionAttributeValues: attributes(map[string]any{":k": "k"}),
	}
	consistent := q
	consistent.ConsistentRead = aws.Bool(true)
	_, err = client.Query(t.Context(), &consistent)
	wantError(t, err, "ValidationException", "Consistent reads are not supported on global secondary indexes")
	_, err = client.Scan(t.Context(), &dynamodb.ScanInput{TableName: &name, IndexName: aws.String("idx"), ConsistentRead: aws.Bool(true)})
	wantError(t, err, "ValidationException", "Consistent reads are not supported on global secondary indexes")
	all := q
	all.Select = types.SelectAllAttributes
	_, err = client.Query(t.Context(), &all)
	wantError(t, err, "ValidationException", "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported "+
		"for global secondary index idx because its projection type is not ALL")
	missing := q
	missing.IndexName = aws.String("none")
	_, err = client.Query(t.Context(), &missing)
	wantError(t, err, "ValidationException", "The table does not have the specified index: none")
}

// wantError holds an error against a code and a message.
func wantError(t *testing.T, err error, code, message string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) {
		t.Fatalf("got %v, want %s: %s", err, code, message)
	}
	if api.ErrorCode() != code || api.ErrorMessage() != message {
		t.Errorf("got %s: %s\nwant %s: %s", api.ErrorCode(), api.ErrorMessage(), code, message)
	}
}

// TestGlobalIndexOfGlobalTable: each region keeps its own index of what comes
// from the others, also an index that is added later.
func TestGlobalIndexOfGlobalTable(t *testing.T) {
	if len(target.regions) < 2 {
		t.Fatal("needs two regions")
	}
	home, away := target.regions[0], target.regions[1]
	name := newIndexedTable(t, home, gsi("idx", "kind", "ALL"))
	putItem(t, home, name, map[string]any{"pk": "p", "sk": "s1", "kind": "k"})
	addReplica(t, home, name, away)
	awaitQuery(t, away, name, "idx", "s1", "kind = :a", "k")
	putItem(t, away, name, map[string]any{"pk": "p", "sk": "s2", "kind": "k"})
	awaitQuery(t, home, name, "idx", "s1 s2", "kind = :a", "k")
	putItem(t, home, name, map[string]any{"pk": "p", "sk": "s2", "kind": "moved"})
	awaitQuery(t, away, name, "idx", "s1", "kind = :a", "k")
	awaitQuery(t, away, name, "idx", "s2", "kind = :a", "moved")

	addIndex(t, home, name, gsi("later", "sk", "KEYS_ONLY"))
	awaitTable(t, home, name)
	awaitTable(t, away, name)
	for _, region := range []string{home, away} {
		awaitQuery(t, region, name, "later", "s2", "sk = :a", "s2")
	}
	remove := &dynamodb.DeleteItemInput{TableName: &name, Key: attributes(map[string]any{"pk": "p", "sk": "s2"})}
	if _, err := in(away).DeleteItem(t.Context(), remove); err != nil {
		t.Fatal(err)
	}
	for _, region := range []string{home, away} {
		awaitQuery(t, region, name, "later", "", "sk = :a", "s2")
		awaitQuery(t, region, name, "idx", "", "kind = :a", "moved")
	}
}

// TestItemCounts: DescribeTable counts items and entries, if not at once.
func TestItemCounts(t *testing.T) {
	region := target.regions[0]
	name := newIndexedTable(t, region, gsi("idx", "kind", "KEYS_ONLY"))
	for i := range 10 {
		fields := map[string]any{"pk": "p", "sk": fmt.Sprint("s", i), "text": "four"}
		if i%2 == 0 {
			fields["kind"] = "k"
		}
		putItem(t, region, name, fields)
	}
	awaitCounts(t, region, name, 10, 10*(2+1+2+2+4+4)+5*(4+1), 5, 5*(2+1+2+2+4+1))
	for i := range 3 {
		_, err := in(region).DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &name, Key: attributes(map[string]any{"pk": "p", "sk": fmt.Sprint("s", i)})})
		if err != nil {
			t.Fatal(err)
		}
	}
	awaitCounts(t, region, name, 7, 7*(2+1+2+2+4+4)+3*(4+1), 3, 3*(2+1+2+2+4+1))
}

func awaitCounts(t *testing.T, region, name string, want ...int64) {
	t.Helper()
	eventually(t, "the counts of "+name, func(ctx context.Context) (string, bool) {
		out, err := in(region).DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
		if err != nil {
			return err.Error(), false
		}
		x := out.Table.GlobalSecondaryIndexes[0]
		got := []int64{*out.Table.ItemCount, *out.Table.TableSizeBytes, *x.ItemCount, *x.IndexSizeBytes}
		return fmt.Sprint(got, " of ", want), slices.Equal(got, want)
	})
}

// TestGlobalIndexOfTransactions: an index follows transactions and batches, and
// they charge for it.
func TestGlobalIndexOfTransactions(t *testing.T) {
	region := target.regions[0]
	name := newIndexedTable(t, region, gsi("idx", "kind", "ALL"))
	client := in(region)
	out, err := client.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{
		ReturnConsumedCapacity: types.ReturnConsumedCapacityIndexes,
		TransactItems: []types.TransactWriteItem{
			{Put: &types.Put{TableName: &name, Item: attributes(map[string]any{"pk": "p", "sk": "s1", "kind": "k"})}},
			{Update: &types.Update{
				TableName: &name, Key: attributes(map[string]any{"pk": "p", "sk": "s2"}), UpdateExpression: aws.String("SET kind = :k"),
				ExpressionAttributeValues: attributes(map[string]any{":k": "k"}),
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if used := out.ConsumedCapacity[0]; used.Table == nil || *used.Table.CapacityUnits != 4 || used.GlobalSecondaryIndexes["idx"].CapacityUnits == nil {
		t.Errorf("the transaction consumed %s", capacityText(&used))
	}
	awaitQuery(t, region, name, "idx", "s1 s2", "kind = :a", "k")
	_, err = client.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Delete: &types.Delete{TableName: &name, Key: attributes(map[string]any{"pk": "p", "sk": "s1"})}},
		{Put: &types.Put{TableName: &name, Item: attributes(map[string]any{"pk": "p", "sk": "s2", "kind": "other"})}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	awaitQuery(t, region, name, "idx", "", "kind = :a", "k")
	awaitQuery(t, region, name, "idx", "s2", "kind = :a", "other")
	_, err = client.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{name: {
		{PutRequest: &types.PutRequest{Item: attributes(map[string]any{"pk": "q", "sk": "s3", "kind": "other"})}},
		{DeleteRequest: &types.DeleteRequest{Key: attributes(map[string]any{"pk": "p", "sk": "s2"})}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	awaitQuery(t, region, name, "idx", "s3", "kind = :a", "other")
}
