package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"

	"antipode/regionnode/node"
)

// splitWorld is one region of three nodes whose partitions split while clients
// work. Clients retry nothing: a request that fails, fails the test.
type splitWorld struct {
	t     *testing.T
	table string
	db    *dynamodb.Client
	sdb   *dynamodbstreams.Client
	admin string
	arn   string
	// next numbers all writes; done counts what each kind of client did.
	next atomic.Int64
	stop chan struct{}

	mu sync.Mutex
	// items are what clients wrote last, by partition key; history all that they
	// changed, in order: a write's number, or 0 for a deletion.
	items   map[string]int64
	history map[string][]int64
	done    map[string]int
	failure error
}

const (
	splitTable = "growing"
	// still items are written before the clients start and never again.
	stillItems, stillGroups = 200, 10
	queryKeys, querySorts   = 4, 60
	clientKeys              = 60
)

// TestSplitsUnderClients: a table and its global index split again and again
// under writes, reads, batches, transactions, statements, scans, queries and a
// stream's reader. None of them notices: no request fails, no page misses or
// repeats an item, the stream has each change once and in order.
//
// When the machine stands still for as long as nodes wait before they replace a
// leader, requests may fail without any split: that run says nothing.
func TestSplitsUnderClients(t *testing.T) {
	for attempt := 1; ; attempt++ {
		stood, failure := splitUnderClients(t)
		if failure == nil {
			return
		}
		if stood < standstill || attempt == maxAttempts {
			t.Fatalf("%v (the machine stood still for %s)", failure, stood)
		}
		t.Logf("run %d says nothing: the machine stood still for %s: %v", attempt, stood, failure)
	}
}

const (
	standstill  = 300 * time.Millisecond
	maxAttempts = 4
)

// splitUnderClients is one run; stood is for how long, at most, the machine stood
// still.
func splitUnderClients(t *testing.T) (stood time.Duration, failure error) {
	c := start(t, Config{
		Regions: []string{"us-east-1"}, NodesPerRegion: 3, Replication: 3, InMemory: true,
		Splits: node.SplitConfig{Size: 40 << 10},
	})
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var clients, reader, watch sync.WaitGroup
	watch.Go(func() { stood = longestGap(ctx) })
	w := newSplitWorld(t, c)
	w.fill()
	for name, client := range map[string]func(context.Context, *rand.Rand, string) error{
		"single": w.single, "batch": w.batch, "transact": w.transact, "statement": w.statement,
		"scan": w.scan, "segments": w.segments, "query": w.query, "index": w.readIndex,
	} {
		clients.Go(func() { w.run(ctx, name, client) })
	}
	stream := newStreamReader(w)
	reader.Go(func() { stream.follow(ctx) })
	w.until(ctx, "enough splits and requests", func() bool {
		items, entries := w.partitions(ctx)
		w.mu.Lock()
		defer w.mu.Unlock()
		return items >= 8 && entries >= 2 && len(w.done) == 8 && slices.Min(slices.Collect(maps.Values(w.done))) >= 5
	})
	close(w.stop)
	clients.Wait()
	w.until(ctx, "all records are read", stream.complete)
	if w.failed() == nil {
		stream.check()
		w.check()
		items, entries := w.partitions(ctx)
		t.Logf("%d partitions of the table, %d of the index, %d writes, requests %v, %d shards", items, entries, w.next.Load(), w.done, len(stream.shards))
	}
	cancel()
	reader.Wait()
	watch.Wait()
	return stood, w.failed()
}

// longestGap is how long, at most, this process did not come to run until ctx
// ended.
func longestGap(ctx context.Context) (longest time.Duration) {
	const step = 10 * time.Millisecond
	for last := time.Now(); ctx.Err() == nil; {
		pauseFor(ctx, step)
		now := time.Now()
		longest, last = max(longest, now.Sub(last)-step), now
	}
	return longest
}

// fail notes why the run has failed: the first reason counts.
func (w *splitWorld) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failure == nil {
		w.failure = fmt.Errorf(format, args...)
	}
}

func (w *splitWorld) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failure
}

func newSplitWorld(t *testing.T, c *Cluster) *splitWorld {
	info := c.Info()
	w := &splitWorld{t: t, table: splitTable, admin: info.Regions[0].Nodes[0].Admin, stop: make(chan struct{}),
		items: map[string]int64{}, history: map[string][]int64{}, done: map[string]int{}}
	provider := credentials.NewStaticCredentialsProvider("local", "local", "")
	w.db = dynamodb.New(dynamodb.Options{Region: "us-east-1", BaseEndpoint: &info.Endpoint, Credentials: provider, Retryer: aws.NopRetryer{}})
	w.sdb = dynamodbstreams.New(dynamodbstreams.Options{Region: "us-east-1", BaseEndpoint: &info.Endpoint, Credentials: provider, Retryer: aws.NopRetryer{}})
	made, err := w.db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String(splitTable), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("sk"), AttributeType: types.ScalarAttributeTypeN},
			{AttributeName: aws.String("g"), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}, {AttributeName: aws.String("sk"), KeyType: types.KeyTypeRange},
		},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName: aws.String("byGroup"), KeySchema: []types.KeySchemaElement{{AttributeName: aws.String("g"), KeyType: types.KeyTypeHash}},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll},
		}},
		StreamSpecification: &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewAndOldImages},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.arn = *made.TableDescription.LatestStreamArn
	w.until(t.Context(), "the table is ACTIVE", func() bool {
		d, err := w.db.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String(splitTable)})
		return err == nil && d.Table.TableStatus == types.TableStatusActive
	})
	return w
}

func (w *splitWorld) until(ctx context.Context, what string, f func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for w.failed() == nil && !f() {
		select {
		case <-ctx.Done():
			w.fail("it never came to: %s", what)
		case <-tick.C:
		}
	}
}

// partitions counts those of the table and of its index.
func (w *splitWorld) partitions(ctx context.Context) (items, entries int) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.admin+"/partitions?table="+w.table, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	var rows []node.PartitionRow
	if err := json.NewDecoder(answer.Body).Decode(&rows); err != nil {
		w.t.Fatal(err)
	}
	for _, row := range rows {
		if row.Index == "" {
			items++
		} else {
			entries++
		}
	}
	return items, entries
}

type image = map[string]types.AttributeValue

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func num(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

var padding = strings.Repeat("x", 400)

func keyImage(pk string, sk int) image { return image{"pk": str(pk), "sk": num(int64(sk))} }

func (w *splitWorld) image(pk string, sk int, n int64) image {
	it := keyImage(pk, sk)
	it["n"], it["filler"] = num(n), str(padding)
	return it
}

// fill writes what is never written again, and waits until the index has it.
func (w *splitWorld) fill() {
	w.t.Helper()
	put := func(it image) {
		if _, err := w.db.PutItem(w.t.Context(), &dynamodb.PutItemInput{TableName: aws.String(splitTable), Item: it}); err != nil {
			w.fail("fill the table: %w", err)
		}
	}
	for i := range stillItems {
		it := w.image(fmt.Sprintf("still%d", i), 0, 1)
		it["g"] = str(fmt.Sprintf("g%d", i%stillGroups))
		put(it)
	}
	for i := range queryKeys * querySorts {
		put(w.image(fmt.Sprintf("query%d", i/querySorts), i%querySorts, 1))
	}
	w.until(w.t.Context(), "the index is filled", func() bool {
		out, err := w.db.Scan(w.t.Context(), &dynamodb.ScanInput{TableName: aws.String(splitTable), IndexName: aws.String("byGroup"), Select: types.SelectCount})
		return err == nil && out.Count == stillItems
	})
}

// run has one client work until the end.
func (w *splitWorld) run(ctx context.Context, name string, client func(context.Context, *rand.Rand, string) error) {
	random := rand.New(rand.NewPCG(1, uint64(len(name))))
	for w.failed() == nil {
		select {
		case <-w.stop:
			return
		default:
		}
		if err := client(ctx, random, name); err != nil {
			w.fail("%s: %w", name, err)
			return
		}
		w.mu.Lock()
		w.done[name]++
		w.mu.Unlock()
	}
}

// changed notes acknowledged writes; n is 0 for a deletion.
func (w *splitWorld) changed(pk string, n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n == 0 && w.items[pk] == 0 {
		return
	}
	w.items[pk] = n
	w.history[pk] = append(w.history[pk], n)
}

func (w *splitWorld) held(pk string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.items[pk]
}

// numberOf is the number of the write that an item comes from, 0 without item.
func numberOf(it image) int64 {
	v, ok := it["n"].(*types.AttributeValueMemberN)
	if !ok {
		return 0
	}
	n, _ := strconv.ParseInt(v.Value, 10, 64)
	return n
}

// is compares what was read of a client's own item with what it wrote.
func (w *splitWorld) is(pk string, it image) error {
	if got, want := numberOf(it), w.held(pk); got != want {
		return fmt.Errorf("%s is of write %d, should be of %d", pk, got, want)
	}
	return nil
}

// check reads everything at the end.
func (w *splitWorld) check() {
	w.t.Helper()
	found := map[string]int64{}
	total := 0
	if err := w.pages(w.t.Context(), &dynamodb.ScanInput{ConsistentRead: aws.Bool(true)}, func(it image) error {
		total++
		if pk := text(it, "pk"); !strings.HasPrefix(pk, "query") && !strings.HasPrefix(pk, "still") {
			found[pk] = numberOf(it)
		}
		return nil
	}); err != nil {
		w.fail("scan at the end: %w", err)
	}
	maps.DeleteFunc(w.items, func(_ string, n int64) bool { return n == 0 })
	if !maps.Equal(found, w.items) {
		w.fail("%d items of clients are there of %d, or others", len(found), len(w.items))
	}
	if want := len(w.items) + stillItems + queryKeys*querySorts; total != want {
		w.fail("%d items, should be %d", total, want)
	}
	w.until(w.t.Context(), "the counts are exact", func() bool {
		d, err := w.db.DescribeTable(w.t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String(splitTable)})
		return err == nil && *d.Table.ItemCount == int64(total) && *d.Table.GlobalSecondaryIndexes[0].ItemCount == stillItems
	})
}

func text(it image, name string) string {
	v, _ := it[name].(*types.AttributeValueMemberS)
	if v == nil {
		return ""
	}
	return v.Value
}
