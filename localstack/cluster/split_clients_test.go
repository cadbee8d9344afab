package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Each client that writes has keys of its own, so that it knows what is there.

func own(name string, i int) string { return fmt.Sprintf("%s%d", name, i) }

// some are a few of a client's keys, each once.
func some(random *rand.Rand, name string, n int) []string {
	var out []string
	for _, i := range random.Perm(clientKeys)[:n] {
		out = append(out, own(name, i))
	}
	return out
}

// single does one operation on one item.
func (w *splitWorld) single(ctx context.Context, random *rand.Rand, name string) error {
	pk := own(name, random.IntN(clientKeys))
	key := keyImage(pk, 0)
	switch random.IntN(6) {
	case 0:
		if _, err := w.db.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: aws.String(splitTable), Key: key}); err != nil {
			return err
		}
		w.changed(pk, 0)
	case 1:
		n := w.next.Add(1)
		out, err := w.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: aws.String(splitTable), Key: key,
			UpdateExpression: aws.String("SET n = :n, filler = :p"), ReturnValues: types.ReturnValueAllOld,
			ExpressionAttributeValues: image{":n": num(n), ":p": str(padding)}})
		if err != nil {
			return err
		}
		if err := w.is(pk, out.Attributes); err != nil {
			return err
		}
		w.changed(pk, n)
	case 2:
		_, err := w.db.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(splitTable), Item: w.image(pk, 0, w.next.Add(1)),
			ConditionExpression: aws.String("n = :none"), ExpressionAttributeValues: image{":none": num(-1)}})
		if _, refused := errors.AsType[*types.ConditionalCheckFailedException](err); !refused {
			return fmt.Errorf("a write on a condition that does not hold: %w", err)
		}
	case 3:
		out, err := w.db.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String(splitTable), Key: key, ConsistentRead: aws.Bool(true)})
		if err != nil {
			return err
		}
		return w.is(pk, out.Item)
	default:
		n := w.next.Add(1)
		if _, err := w.db.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(splitTable), Item: w.image(pk, 0, n)}); err != nil {
			return err
		}
		w.changed(pk, n)
	}
	return nil
}

// batchTries is how often a batch is sent, at most.
const batchTries = 5

// batch writes some items at once and reads some.
func (w *splitWorld) batch(ctx context.Context, random *rand.Rand, name string) error {
	var writes []types.WriteRequest
	numbers := map[string]int64{}
	for _, pk := range some(random, name, 10) {
		if random.IntN(4) == 0 {
			numbers[pk] = 0
			writes = append(writes, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: keyImage(pk, 0)}})
			continue
		}
		numbers[pk] = w.next.Add(1)
		writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: w.image(pk, 0, numbers[pk])}})
	}
	// What a batch hands back unprocessed is sent again, as its callers must.
	for try := 0; len(writes) > 0; try++ {
		if try == batchTries {
			return fmt.Errorf("%d writes of a batch were not processed", len(writes))
		}
		out, err := w.db.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{splitTable: writes}})
		if err != nil {
			return err
		}
		writes = out.UnprocessedItems[splitTable]
	}
	for pk, n := range numbers {
		w.changed(pk, n)
	}
	keys := types.KeysAndAttributes{ConsistentRead: aws.Bool(true)}
	asked := some(random, name, 20)
	for _, pk := range asked {
		keys.Keys = append(keys.Keys, keyImage(pk, 0))
	}
	got, err := w.db.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{splitTable: keys}})
	if err != nil {
		return err
	}
	if n := len(got.UnprocessedKeys); n > 0 {
		return fmt.Errorf("keys of a batch were not processed")
	}
	found := map[string]image{}
	for _, it := range got.Responses[splitTable] {
		found[text(it, "pk")] = it
	}
	for _, pk := range asked {
		if err := w.is(pk, found[pk]); err != nil {
			return err
		}
	}
	return nil
}

// transact writes some items in one transaction and reads some in another.
func (w *splitWorld) transact(ctx context.Context, random *rand.Rand, name string) error {
	n := w.next.Add(1)
	keys := some(random, name, 4)
	var writes []types.TransactWriteItem
	for _, pk := range keys[1:] {
		writes = append(writes, types.TransactWriteItem{Put: &types.Put{TableName: aws.String(splitTable), Item: w.image(pk, 0, n)}})
	}
	writes = append(writes, types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{TableName: aws.String(splitTable), Key: keyImage(keys[0], 0),
		ConditionExpression: aws.String("attribute_not_exists(nothing)")}})
	if _, err := w.db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes}); err != nil {
		return err
	}
	for _, pk := range keys[1:] {
		w.changed(pk, n)
	}
	var reads []types.TransactGetItem
	for _, pk := range keys {
		reads = append(reads, types.TransactGetItem{Get: &types.Get{TableName: aws.String(splitTable), Key: keyImage(pk, 0)}})
	}
	out, err := w.db.TransactGetItems(ctx, &dynamodb.TransactGetItemsInput{TransactItems: reads})
	if err != nil {
		return err
	}
	for i, pk := range keys {
		if err := w.is(pk, out.Responses[i].Item); err != nil {
			return err
		}
	}
	return nil
}

// statement puts and reads one item through PartiQL, and reads a whole item
// collection.
func (w *splitWorld) statement(ctx context.Context, random *rand.Rand, name string) error {
	pk := own(name, random.IntN(clientKeys))
	n := w.next.Add(1)
	do := func(statement string, parameters ...types.AttributeValue) ([]image, error) {
		var all []image
		in := &dynamodb.ExecuteStatementInput{Statement: &statement, Parameters: parameters, ConsistentRead: aws.Bool(strings.HasPrefix(statement, "SELECT"))}
		for {
			out, err := w.db.ExecuteStatement(ctx, in)
			if err != nil {
				return nil, err
			}
			all = append(all, out.Items...)
			if in.NextToken = out.NextToken; in.NextToken == nil {
				return all, nil
			}
		}
	}
	change := fmt.Sprintf("INSERT INTO %s VALUE {'pk': ?, 'sk': 0, 'n': ?, 'filler': ?}", splitTable)
	parameters := []types.AttributeValue{str(pk), num(n), str(padding)}
	if w.held(pk) != 0 {
		change = fmt.Sprintf("UPDATE %s SET n = ? WHERE pk = ? AND sk = 0", splitTable)
		parameters = []types.AttributeValue{num(n), str(pk)}
	}
	if _, err := do(change, parameters...); err != nil {
		return err
	}
	w.changed(pk, n)
	got, err := do(fmt.Sprintf("SELECT * FROM %s WHERE pk = ? AND sk = 0", splitTable), str(pk))
	if err != nil {
		return err
	}
	if len(got) != 1 {
		return fmt.Errorf("%d items with the key %s", len(got), pk)
	}
	if err := w.is(pk, got[0]); err != nil {
		return err
	}
	all, err := do(fmt.Sprintf("SELECT pk FROM %s WHERE begins_with(pk, 'still')", splitTable))
	if err == nil && len(all) != stillItems {
		err = fmt.Errorf("%d still items are selected of %d", len(all), stillItems)
	}
	return err
}

// pages scans and hands every item on.
func (w *splitWorld) pages(ctx context.Context, in *dynamodb.ScanInput, f func(image) error) error {
	in.TableName = aws.String(splitTable)
	for {
		out, err := w.db.Scan(ctx, in)
		if err != nil {
			return err
		}
		for _, it := range out.Items {
			if err := f(it); err != nil {
				return err
			}
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			return nil
		}
	}
}

// stills checks that every still item comes once.
type stills map[string]bool

func (s stills) add(it image) error {
	pk := text(it, "pk")
	if !strings.HasPrefix(pk, "still") {
		return nil
	}
	if s[pk] {
		return fmt.Errorf("%s comes twice", pk)
	}
	s[pk] = true
	return nil
}

func (s stills) whole() error {
	if len(s) != stillItems {
		return fmt.Errorf("%d still items of %d", len(s), stillItems)
	}
	return nil
}

// scan reads the whole table, page by page.
func (w *splitWorld) scan(ctx context.Context, random *rand.Rand, _ string) error {
	s := stills{}
	err := w.pages(ctx, &dynamodb.ScanInput{Limit: aws.Int32(int32(5 + random.IntN(60))), ConsistentRead: aws.Bool(random.IntN(2) == 0)}, s.add)
	return errors.Join(err, s.whole())
}

// segments reads the whole table in parts.
func (w *splitWorld) segments(ctx context.Context, random *rand.Rand, _ string) error {
	s := stills{}
	parts := int32(1 + random.IntN(5))
	for i := range parts {
		in := &dynamodb.ScanInput{Segment: &i, TotalSegments: &parts, Limit: aws.Int32(int32(10 + random.IntN(60)))}
		if err := w.pages(ctx, in, s.add); err != nil {
			return err
		}
	}
	return s.whole()
}

// query reads one item collection, page by page, in either direction.
func (w *splitWorld) query(ctx context.Context, random *rand.Rand, _ string) error {
	forward := random.IntN(2) == 0
	in := &dynamodb.QueryInput{TableName: aws.String(splitTable), Limit: aws.Int32(int32(3 + random.IntN(30))),
		ConsistentRead: aws.Bool(random.IntN(2) == 0), ScanIndexForward: &forward,
		KeyConditionExpression: aws.String("pk = :pk"), ExpressionAttributeValues: image{":pk": str(fmt.Sprintf("query%d", random.IntN(queryKeys)))}}
	var got, want []string
	for {
		out, err := w.db.Query(ctx, in)
		if err != nil {
			return err
		}
		for _, it := range out.Items {
			got = append(got, it["sk"].(*types.AttributeValueMemberN).Value)
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			break
		}
	}
	for i := range querySorts {
		want = append(want, fmt.Sprint(i))
	}
	if !forward {
		slices.Reverse(want)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("a query came back with %v", got)
	}
	return nil
}

// readIndex reads a group of the global index, and all of it.
func (w *splitWorld) readIndex(ctx context.Context, random *rand.Rand, _ string) error {
	group := random.IntN(stillGroups)
	in := &dynamodb.QueryInput{TableName: aws.String(splitTable), IndexName: aws.String("byGroup"), Limit: aws.Int32(int32(1 + random.IntN(20))),
		KeyConditionExpression: aws.String("g = :g"), ExpressionAttributeValues: image{":g": str(fmt.Sprintf("g%d", group))}}
	s := stills{}
	for {
		out, err := w.db.Query(ctx, in)
		if err != nil {
			return err
		}
		for _, it := range out.Items {
			if err := s.add(it); err != nil {
				return fmt.Errorf("index: %w", err)
			}
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			break
		}
	}
	if len(s) != stillItems/stillGroups {
		return fmt.Errorf("%d items of group %d in the index", len(s), group)
	}
	clear(s)
	err := w.pages(ctx, &dynamodb.ScanInput{IndexName: aws.String("byGroup"), Limit: aws.Int32(int32(5 + random.IntN(60)))}, s.add)
	return errors.Join(err, s.whole())
}
