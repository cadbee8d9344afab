package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"syscall"
	"time"

	"antipode/localstack/cluster"
	"antipode/regionnode/node"
	"antipode/regionnode/table"
)

// region is the system under test: one region of nodes in processes.
type region struct {
	cluster *cluster.Cluster
	client  *client
	admin   *http.Client
	dir     string
	network *network // nil without faults
}

const regionName = "us-east-1"

// look is the pause between two looks at something that is awaited.
const look = 20 * time.Millisecond

// startRegion starts a region whose nodes can be killed and frozen.
func startRegion(ctx context.Context, c *Config) (*region, error) {
	r := &region{}
	return start(ctx, c, r, nil, func() error { return r.createNamed(ctx, tableName) })
}

// startFaulty starts a region whose network, disks and clocks can fail too.
func startFaulty(ctx context.Context, c *Config) (*region, error) {
	r := &region{network: newNetwork(c.Seed)}
	return start(ctx, c, r, func(name, rpc string) ([]string, error) {
		addr, err := r.network.before(name, rpc)
		return []string{"--advertise", addr, "--faults", r.troubleFile(name), "--scrub-interval", scrubInterval}, err
	}, func() error { return r.createWatched(ctx) })
}

func start(ctx context.Context, c *Config, r *region, args func(name, rpc string) ([]string, error), create func() error) (*region, error) {
	r.dir = c.Dir
	running, err := cluster.Start(ctx, cluster.Config{
		Regions: []string{regionName}, NodesPerRegion: c.Nodes, Replication: c.Replication, Partitions: c.Partitions, ReplaceAfter: c.ReplaceAfter, Splits: node.DefaultSplits,
		Dir: c.Dir, Processes: true, Binaries: c.Binaries, NodeArgs: args, LogLevel: c.LogLevel, Log: c.Log,
	})
	if err != nil {
		r.network.close()
		return nil, fmt.Errorf("start the region: %w", err)
	}
	r.cluster = running
	// The functions of the region have a process of their own, which stays.
	r.client = newClient(running.Info().Regions[0].Endpoint, regionName, c.Clients+1)
	r.admin = &http.Client{Timeout: time.Second}
	if err := create(); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *region) close() error {
	r.client.close()
	r.admin.CloseIdleConnections()
	err := r.cluster.Close()
	r.network.close()
	return err
}

// createWatched makes the table with a stream and a global index.
func (r *region) createWatched(ctx context.Context) error {
	return r.create(ctx, tableName, `{"TableName":"`+tableName+`","BillingMode":"PAY_PER_REQUEST",`+
		`"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"},{"AttributeName":"g","AttributeType":"S"}],`+
		`"KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],`+
		`"StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_AND_OLD_IMAGES"},`+
		`"GlobalSecondaryIndexes":[{"IndexName":"`+indexName+`","KeySchema":[{"AttributeName":"g","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}]}`)
}

// until waits for a condition.
func (r *region) until(ctx context.Context, what string, ok func() bool) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, context.Cause(ctx))
		case <-tick.C:
		}
	}
	return nil
}

func (r *region) nodes() []cluster.NodeInfo { return r.cluster.Info().Regions[0].Nodes }

// signal sends a signal to a node's process as it is now.
func (r *region) signal(i int, s syscall.Signal) error {
	n := r.nodes()[i]
	if err := syscall.Kill(n.PID, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %v to %s: %w", s, n.Name, err)
	}
	return nil
}

// statuses asks every node for its view; nil where one does not answer.
func (r *region) statuses(ctx context.Context) []*node.Status {
	nodes := r.nodes()
	out := make([]*node.Status, len(nodes))
	for i, n := range nodes {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.Admin+"/status", nil)
		if err != nil {
			continue
		}
		answer, err := r.admin.Do(request)
		if err != nil {
			continue
		}
		s := new(node.Status)
		if json.NewDecoder(answer.Body).Decode(s) == nil {
			out[i] = s
		}
		_ = answer.Body.Close()
	}
	return out
}

// whole tells whether a region is led, and all members of each partition are
// equally far, as they are once nothing is written.
func whole(statuses []*node.Status) bool {
	if !led(statuses) {
		return false
	}
	applied := map[table.PartitionID]uint64{}
	for _, s := range statuses {
		for _, p := range s.Partitions {
			if at, ok := applied[p.ID]; ok && at != p.Applied {
				return false
			}
			applied[p.ID] = p.Applied
		}
	}
	return true
}

// led tells whether every node answers, and every partition has one leader that
// all its members follow and that hears of all of them.
func led(statuses []*node.Status) bool {
	leaders := map[table.PartitionID]table.NodeID{}
	for _, s := range statuses {
		if s == nil {
			return false
		}
		for _, p := range s.Partitions {
			if p.Leader == 0 || len(p.Away) > 0 || len(p.Stranded) > 0 {
				return false
			}
			if leader, ok := leaders[p.ID]; ok && leader != p.Leader {
				return false
			}
			leaders[p.ID] = p.Leader
		}
	}
	return len(leaders) > 0
}

// leads counts what a node leads.
func leads(s *node.Status) int {
	n := 0
	for _, p := range s.Partitions {
		if p.Leader == s.ID {
			n++
		}
	}
	return n
}
