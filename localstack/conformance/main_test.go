package conformance

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"antipode/localstack/cluster"
	"antipode/regionnode/node"
)

var (
	endpointFlag   = flag.String("endpoint", "", "server to test; empty starts a cluster in this process")
	regionsFlag    = flag.String("regions", strings.Join(cluster.DefaultRegions, ","), "regions that the endpoint serves")
	nodesFlag      = flag.Int("nodes", 1, "nodes per region of the cluster to start")
	partitionsFlag = flag.Int("partitions", 1, "partitions of each table of the cluster to start")
	replicaFlag    = flag.Int("replication", 1, "nodes that hold each partition of the cluster to start")
	splitSize      node.Size
	accessKey      = flag.String("access-key", "local", "access key")
	secretKey      = flag.String("secret-key", "local", "its secret")
)

// collectionSize bounds the item collections of the cluster to start: DynamoDB's
// 10 GB would be much to write.
const collectionSize = 2 << 20

// target is the system under test.
var target struct {
	endpoint string
	regions  []string
	splits   func(context.Context) (int, error) // of the cluster started here; nil for another server
}

func init() {
	flag.Var(&splitSize, "split-size", "size at which the cluster to start splits partitions; 0: never")
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	target.regions = strings.Split(*regionsFlag, ",")
	target.endpoint = *endpointFlag
	if target.endpoint == "" {
		c, err := cluster.Start(context.Background(), cluster.Config{
			Regions: target.regions, InMemory: true, NodesPerRegion: *nodesFlag, Partitions: *partitionsFlag,
			Replication: *replicaFlag, Splits: node.SplitConfig{Size: splitSize}, CollectionSize: collectionSize,
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, "start cluster:", err)
			return 1
		}
		defer c.Close()
		target.endpoint = c.Info().Endpoint
		target.splits = func(ctx context.Context) (int, error) { return splitsDone(ctx, c) }
	}
	return covered(m.Run())
}

// splitsDone counts the splits that the nodes of a cluster have done.
func splitsDone(ctx context.Context, c *cluster.Cluster) (int, error) {
	total := 0
	for _, region := range c.Info().Regions {
		for _, n := range region.Nodes {
			done, err := splitsOf(ctx, n.Admin)
			if err != nil {
				return 0, err
			}
			total += done
		}
	}
	return total, nil
}

// splitsOf reads one node's count from its metrics.
func splitsOf(ctx context.Context, admin string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		labels, text, _ := strings.Cut(lines.Text(), "} ")
		if strings.HasPrefix(labels, "antipode_splits_total{") && strings.Contains(labels, `outcome="done"`) {
			return strconv.Atoi(text)
		}
	}
	return 0, errors.Join(lines.Err(), errors.New("no count of splits at "+admin))
}

// connections are shared by all clients: one of its own for each would leave its
// connections open.
var connections = awshttp.NewBuildableClient()

// in is a stock SDK client for one region.
func in(region string) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		Region:       region,
		BaseEndpoint: aws.String(target.endpoint),
		HTTPClient:   connections,
		Credentials:  credentials.NewStaticCredentialsProvider(*accessKey, *secretKey, ""),
		APIOptions:   recorded,
	})
}

var tableCount atomic.Int64

// tableName is a name that no other test uses.
func tableName(t *testing.T) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, t.Name())
	return fmt.Sprintf("%s-%d-%d", clean, os.Getpid(), tableCount.Add(1))
}

// newTable makes a table with a string key "id" and waits for it; the test's
// end deletes it.
func newTable(t *testing.T, region string) string {
	t.Helper()
	name := tableName(t)
	_, err := in(region).CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName:            &name,
		BillingMode:          types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatalf("create table: %v", err)
	}
	deleteAtEnd(t, region, name)
	awaitTable(t, region, name)
	return name
}

// deleteAtEnd deletes a table when the test is done.
func deleteAtEnd(t *testing.T, region, name string) {
	t.Cleanup(func() {
		_, _ = in(region).DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: &name})
	})
}

// patience bounds every wait; nothing asserts how long a wait took.
const patience = 60 * time.Second

// eventually asks until ok, and fails the test with the last answer otherwise.
func eventually(t *testing.T, what string, ask func(ctx context.Context) (string, bool)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		got, ok := ask(ctx)
		if ok {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: still %s after %v", what, got, patience)
		case <-tick.C:
		}
	}
}

// awaitTable waits until the table is ACTIVE in a region, with all its replicas.
func awaitTable(t *testing.T, region, name string) {
	t.Helper()
	eventually(t, "table "+name+" in "+region, func(ctx context.Context) (string, bool) {
		out, err := in(region).DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
		if err != nil {
			return err.Error(), false
		}
		if out.Table.TableStatus != types.TableStatusActive {
			return string(out.Table.TableStatus), false
		}
		for _, r := range out.Table.Replicas {
			if r.ReplicaStatus != types.ReplicaStatusActive {
				return fmt.Sprintf("replica %s %s", *r.RegionName, r.ReplicaStatus), false
			}
		}
		return "", true
	})
}
