package globaltables

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"

	"antipode/localstack/cluster"
)

var (
	endpointFlag = flag.String("endpoint", "", `"aws", a URL for all regions, or region=URL,…; empty starts a cluster in this process`)
	regionsFlag  = flag.String("regions", strings.Join(cluster.DefaultRegions, ","), "regions to test with; at least two")
	nodesFlag    = flag.Int("nodes", 1, "nodes per region of the cluster to start")
	replicaFlag  = flag.Int("replication", 1, "nodes that hold each partition of the cluster to start")
	partsFlag    = flag.Int("partitions", 1, "partitions of each table of the cluster to start")
	accessKey    = flag.String("access-key", "local", "access key of endpoints other than AWS's")
	secretKey    = flag.String("secret-key", "local", "its secret")
	// AWS takes minutes for a replica, and up to days for an expired item: -run
	// without TimeToLive there, or much patience.
	patienceFlag = flag.Duration("patience", time.Minute, "how long a test waits for anything")
)

// world is the regions under test, and how each is reached.
var world struct {
	regions []string
	config  map[string]aws.Config
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	world.regions = strings.Split(*regionsFlag, ",")
	if len(world.regions) < 2 {
		fmt.Fprintln(os.Stderr, "global tables need two regions or more: -regions")
		return 2
	}
	endpoint := *endpointFlag
	if endpoint == "" {
		c, err := cluster.Start(context.Background(), cluster.Config{
			Regions: world.regions, InMemory: true, NodesPerRegion: *nodesFlag, Replication: *replicaFlag, Partitions: *partsFlag,
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, "start cluster:", err)
			return 1
		}
		defer c.Close()
		endpoint = c.Info().Endpoint
	}
	if err := reach(endpoint); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	return m.Run()
}

// reach finds each region's configuration.
func reach(endpoint string) error {
	world.config = map[string]aws.Config{}
	// Shared by all clients: one of its own for each would leave its connections open.
	connections := awshttp.NewBuildableClient()
	for _, region := range world.regions {
		if endpoint == "aws" {
			c, err := config.LoadDefaultConfig(context.Background(), config.WithRegion(region))
			if err != nil {
				return fmt.Errorf("configuration of AWS: %w", err)
			}
			world.config[region] = c
			continue
		}
		url := endpointOf(endpoint, region)
		if url == "" {
			return fmt.Errorf("-endpoint names none for %s", region)
		}
		world.config[region] = aws.Config{
			Region: region, BaseEndpoint: aws.String(url), HTTPClient: connections,
			Credentials: credentials.NewStaticCredentialsProvider(*accessKey, *secretKey, ""),
		}
	}
	return nil
}

// endpointOf reads -endpoint: a URL, or region=URL separated by commas.
func endpointOf(endpoint, region string) string {
	if strings.HasPrefix(endpoint, "http") {
		return endpoint
	}
	for part := range strings.SplitSeq(endpoint, ",") {
		if url, ok := strings.CutPrefix(part, region+"="); ok {
			return url
		}
	}
	return ""
}

func in(region string) *dynamodb.Client { return dynamodb.NewFromConfig(world.config[region]) }

func streamsIn(region string) *dynamodbstreams.Client {
	return dynamodbstreams.NewFromConfig(world.config[region])
}

// eventually asks until ok, and fails the test with the last answer otherwise.
func eventually(t *testing.T, what string, ask func(ctx context.Context) (string, bool)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), *patienceFlag)
	defer cancel()
	pause := 5 * time.Millisecond
	for {
		got, ok := ask(ctx)
		if ok {
			return
		}
		// Slower each time: AWS throttles who asks about a table all the time.
		pause = min(2*pause, *patienceFlag/60)
		select {
		case <-ctx.Done():
			t.Fatalf("%s: still %s after %v", what, got, *patienceFlag)
		case <-time.After(pause):
		}
	}
}
