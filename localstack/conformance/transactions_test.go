package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// strs is an item of strings, in pairs of name and value.
func strs(pairs ...string) map[string]types.AttributeValue {
	it := map[string]types.AttributeValue{}
	for i := 0; i < len(pairs); i += 2 {
		it[pairs[i]] = &types.AttributeValueMemberS{Value: pairs[i+1]}
	}
	return it
}

func putOf(name string, pairs ...string) types.TransactWriteItem {
	return types.TransactWriteItem{Put: &types.Put{TableName: &name, Item: strs(pairs...)}}
}

// reasonCodes are the codes of a canceled transaction's reasons, in order.
func reasonCodes(t *testing.T, err error) []string {
	t.Helper()
	canceled, ok := errors.AsType[*types.TransactionCanceledException](err)
	if !ok {
		t.Fatalf("error is %v, no canceled transaction", err)
	}
	var codes []string
	for _, r := range canceled.CancellationReasons {
		codes = append(codes, *r.Code)
	}
	want := "Transaction cancelled, please refer cancellation reasons for specific reasons [" + strings.Join(codes, ", ") + "]"
	if canceled.ErrorMessage() != want {
		t.Errorf("message is %q, want %q", canceled.ErrorMessage(), want)
	}
	return codes
}

func wantRefusal(t *testing.T, err error, code, message string) {
	t.Helper()
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorCode() != code || api.ErrorMessage() != message {
		t.Errorf("error is %v, want %s: %s", err, code, message)
	}
}

func stringOf(it map[string]types.AttributeValue, name string) string {
	if v, ok := it[name].(*types.AttributeValueMemberS); ok {
		return v.Value
	}
	return ""
}

func TestTransactWrite(t *testing.T) {
	region := target.regions[0]
	db, name, other := in(region), newTable(t, region), newTable(t, region)
	write := func(items ...types.TransactWriteItem) error {
		_, err := db.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: items})
		return err
	}
	read := func(name, id string) map[string]types.AttributeValue {
		out, err := db.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &name, Key: strs("id", id), ConsistentRead: aws.Bool(true)})
		if err != nil {
			t.Fatal(err)
		}
		return out.Item
	}
	check := func(id, condition string) types.TransactWriteItem {
		return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{TableName: &name, Key: strs("id", id), ConditionExpression: &condition}}
	}
	if err := write(putOf(name, "id", "a", "v", "1"), putOf(other, "id", "a", "v", "2"), check("none", "attribute_not_exists(id)")); err != nil {
		t.Fatal(err)
	}
	if got := stringOf(read(name, "a"), "v") + stringOf(read(other, "a"), "v"); got != "12" {
		t.Fatalf("wrote %q to the two tables", got)
	}
	// A refused transaction changes nothing, and says why in the order of its items.
	refused := putOf(name, "id", "a", "v", "3")
	refused.Put.ConditionExpression = aws.String("attribute_not_exists(id)")
	refused.Put.ReturnValuesOnConditionCheckFailure = types.ReturnValuesOnConditionCheckFailureAllOld
	err := write(putOf(other, "id", "b"), refused, check("none", "attribute_exists(id)"))
	if codes := reasonCodes(t, err); !slices.Equal(codes, []string{"None", "ConditionalCheckFailed", "ConditionalCheckFailed"}) {
		t.Errorf("reasons are %v", codes)
	}
	canceled, _ := errors.AsType[*types.TransactionCanceledException](err)
	if r := canceled.CancellationReasons[1]; stringOf(r.Item, "v") != "1" || *r.Message != "The conditional request failed" {
		t.Errorf("the reason is %s with item %v", *r.Message, r.Item)
	}
	if canceled.CancellationReasons[2].Item != nil {
		t.Error("a reason has an item that was not asked for")
	}
	if read(other, "b") != nil || stringOf(read(name, "a"), "v") != "1" {
		t.Error("a refused transaction has changed items")
	}
	// An update that cannot be done cancels as well.
	up := types.TransactWriteItem{Update: &types.Update{
		TableName: &name, Key: strs("id", "a"), UpdateExpression: aws.String("SET v = v + :n"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":n": &types.AttributeValueMemberN{Value: "1"}},
	}}
	if codes := reasonCodes(t, write(up)); !slices.Equal(codes, []string{"ValidationError"}) {
		t.Errorf("reasons are %v", codes)
	}
	// Deletes, and the item that was marked by refused transactions is free.
	if err := write(types.TransactWriteItem{Delete: &types.Delete{TableName: &name, Key: strs("id", "a")}}, putOf(other, "id", "b")); err != nil {
		t.Fatal(err)
	}
	if read(name, "a") != nil || read(other, "b") == nil {
		t.Error("a delete and a put were not done together")
	}
}

func TestTransactRefusals(t *testing.T) {
	region := target.regions[0]
	db, name := in(region), newTable(t, region)
	write := func(items ...types.TransactWriteItem) error {
		_, err := db.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: items})
		return err
	}
	wantRefusal(t, write(putOf(name, "id", "a"), putOf(name, "id", "a")), "ValidationException",
		"Transaction request cannot include multiple operations on one item")
	wantRefusal(t, write(putOf(name, "id", "a"), putOf("no-such-table-here", "id", "a")), "ResourceNotFoundException", "Requested resource not found")
	wantRefusal(t, write(putOf(name, "id", "")), "ValidationException",
		"One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: id")
	two := putOf(name, "id", "a")
	two.Delete = &types.Delete{TableName: &name, Key: strs("id", "b")}
	wantRefusal(t, write(two), "ValidationException", "TransactItems can only contain one of Check, Put, Update or Delete")
	codes := reasonCodes(t, write(putOf(name, "id", "a"), types.TransactWriteItem{Put: &types.Put{
		TableName: &name, Item: map[string]types.AttributeValue{"id": &types.AttributeValueMemberN{Value: "1"}},
	}}))
	if !slices.Equal(codes, []string{"None", "ValidationError"}) {
		t.Errorf("reasons are %v", codes)
	}
	_, err := db.TransactGetItems(t.Context(), &dynamodb.TransactGetItemsInput{TransactItems: []types.TransactGetItem{
		{Get: &types.Get{TableName: &name, Key: strs("id", "a")}}, {Get: &types.Get{TableName: &name, Key: strs("id", "a")}},
	}})
	wantRefusal(t, err, "ValidationException", "Transaction request cannot include multiple operations on one item")
	big := strings.Repeat("x", 390_000)
	var items []types.TransactWriteItem
	for i := range 11 {
		items = append(items, putOf(name, "id", fmt.Sprint(i), "v", big))
	}
	if api, ok := errors.AsType[smithy.APIError](write(items...)); !ok || api.ErrorCode() != "ValidationException" {
		t.Errorf("more than 4 MB: %v", err)
	}
	if err := write(items[:10]...); err != nil {
		t.Errorf("less than 4 MB: %v", err)
	}
}

func TestTransactToken(t *testing.T) {
	region := target.regions[0]
	db, name := in(region), newTable(t, region)
	request := func(token, add string) (*dynamodb.TransactWriteItemsOutput, error) {
		return db.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{
			ClientRequestToken: &token, ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
			TransactItems: []types.TransactWriteItem{{Update: &types.Update{
				TableName: &name, Key: strs("id", "n"), UpdateExpression: aws.String("ADD n :n"),
				ExpressionAttributeValues: map[string]types.AttributeValue{":n": &types.AttributeValueMemberN{Value: add}},
			}}},
		})
	}
	first, err := request(name+"-1", "1")
	if err != nil {
		t.Fatal(err)
	}
	if c := first.ConsumedCapacity[0]; *c.CapacityUnits != 2 || c.WriteCapacityUnits == nil || c.ReadCapacityUnits != nil {
		t.Errorf("a write of one item consumed %+v", c)
	}
	for range 3 {
		again, err := request(name+"-1", "1")
		if err != nil {
			t.Fatal(err)
		}
		if c := again.ConsumedCapacity[0]; c.ReadCapacityUnits == nil || c.WriteCapacityUnits != nil {
			t.Errorf("the same request again consumed %+v", c)
		}
	}
	_, err = request(name+"-1", "2")
	if _, ok := errors.AsType[*types.IdempotentParameterMismatchException](err); !ok {
		t.Errorf("another request with the token: %v", err)
	}
	if _, err := request(name+"-2", "1"); err != nil {
		t.Fatal(err)
	}
	out, err := db.TransactGetItems(t.Context(), &dynamodb.TransactGetItemsInput{
		ReturnConsumedCapacity: types.ReturnConsumedCapacityIndexes,
		TransactItems: []types.TransactGetItem{
			{Get: &types.Get{TableName: &name, Key: strs("id", "n"), ProjectionExpression: aws.String("n")}},
			{Get: &types.Get{TableName: &name, Key: strs("id", "none")}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := out.Responses[0].Item["n"].(*types.AttributeValueMemberN); !ok || n.Value != "2" || len(out.Responses[0].Item) != 1 {
		t.Errorf("read %v, want n = 2", out.Responses[0].Item)
	}
	if out.Responses[1].Item != nil {
		t.Errorf("read %v where there is nothing", out.Responses[1].Item)
	}
	if c := out.ConsumedCapacity[0]; *c.CapacityUnits != 4 || *c.Table.ReadCapacityUnits != 4 {
		t.Errorf("two reads consumed %+v", c)
	}
}

// TestTransactContention counts with transactions and with single updates at
// once: each is done or refused, and none is lost.
func TestTransactContention(t *testing.T) {
	region := target.regions[0]
	db, name := in(region), newTable(t, region)
	one := map[string]types.AttributeValue{":n": &types.AttributeValueMemberN{Value: "1"}}
	add := func(id string) *types.Update {
		return &types.Update{TableName: &name, Key: strs("id", id), UpdateExpression: aws.String("ADD n :n"), ExpressionAttributeValues: one}
	}
	var both, single atomic.Int64
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for range 20 {
				_, err := db.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{
					TransactItems: []types.TransactWriteItem{{Update: add("a")}, {Update: add("b")}},
				})
				if canceled, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
					if !slices.ContainsFunc(canceled.CancellationReasons, func(r types.CancellationReason) bool {
						return *r.Code == "TransactionConflict" && *r.Message == "Transaction is ongoing for the item"
					}) {
						t.Errorf("refused for %v", canceled.ErrorMessage())
					}
				} else if err != nil {
					t.Error(err)
				} else {
					both.Add(1)
				}
				u := add("a")
				_, err = db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
					TableName: u.TableName, Key: u.Key, UpdateExpression: u.UpdateExpression, ExpressionAttributeValues: one,
				})
				if _, ok := errors.AsType[*types.TransactionConflictException](err); !ok && err != nil {
					t.Error(err)
				} else if err == nil {
					single.Add(1)
				}
			}
		})
	}
	work.Wait()
	want := map[string]int64{"a": both.Load() + single.Load(), "b": both.Load()}
	for id, n := range want {
		out, err := db.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &name, Key: strs("id", id), ConsistentRead: aws.Bool(true)})
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := out.Item["n"].(*types.AttributeValueMemberN); !ok || got.Value != fmt.Sprint(n) {
			t.Errorf("%s counts %v, want %d", id, out.Item["n"], n)
		}
	}
	if both.Load() == 0 || single.Load() == 0 {
		t.Errorf("%d transactions and %d single updates succeeded", both.Load(), single.Load())
	}
	// The ledger is no client's.
	tables, err := db.ListTables(t.Context(), &dynamodb.ListTablesInput{})
	if err != nil || slices.ContainsFunc(tables.TableNames, func(n string) bool { return strings.HasPrefix(n, ":") }) {
		t.Errorf("tables are %v, %v", tables.TableNames, err)
	}
}

// TestTransactGlobal: what a transaction writes reaches the other regions, item
// by item, while others write there.
func TestTransactGlobal(t *testing.T) {
	if len(target.regions) < 2 {
		t.Log("one region only: there are no replicas to look at")
		return
	}
	name, there := newGlobalTable(t), target.regions[1]
	for i := range 5 {
		for _, region := range target.regions[:2] {
			value := fmt.Sprint(region, " ", i)
			_, err := in(region).TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
				putOf(name, "id", "own "+region, "text", value), putOf(name, "id", "shared", "text", value),
			}})
			// Its marks may be in the way of what comes from elsewhere, and the other
			// way round, never for long.
			if err != nil {
				reasonCodes(t, err)
			}
		}
	}
	_, err := in(there).TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		putOf(name, "id", "x", "text", "done"), putOf(name, "id", "y", "text", "done"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, region := range target.regions {
		awaitText(t, region, name, "x", "done")
		awaitText(t, region, name, "y", "done")
	}
	want := make([]string, len(target.regions))
	eventually(t, "the shared item", func(ctx context.Context) (string, bool) {
		for i, region := range target.regions {
			var err error
			if want[i], err = text(ctx, region, name, "shared"); err != nil {
				return err.Error(), false
			}
		}
		return fmt.Sprint(want), want[0] != "" && !slices.ContainsFunc(want, func(s string) bool { return s != want[0] })
	})
}
