package bench

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Lag is the time from the acknowledgement of a write in one region to its
// visibility in another, in nanoseconds, under Rate writes a second.
type Lag struct {
	Rate    float64 `json:"rate"`
	Samples int     `json:"samples"`
	P50     int64   `json:"p50_ns"`
	P99     int64   `json:"p99_ns"`
	Max     int64   `json:"max_ns"`
}

// measureLag runs two regions with one node each, writes in the first at the
// rate asked for, and looks sampled keys up in the second until they are there.
func (c *Config) measureLag(ctx context.Context) (*Lag, error) {
	dir, err := os.MkdirTemp(c.Dir, "bench-lag-")
	if err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	p, err := startProcess(ctx, c.Binary, c.Stderr, "up", "--json", "--regions", "us-east-1,eu-west-1", "--port", "0", "--data", dir)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	addr, err := hostPort(p.ready.Endpoint)
	if err != nil {
		return nil, err
	}
	if err := globalTable(ctx, addr); err != nil {
		return nil, fmt.Errorf("make global table: %w", err)
	}
	fmt.Fprintf(c.Progress, "replication lag at %d writes/s for %v …\r", c.LagRate, c.LagDuration)
	return c.sampleLag(ctx, addr)
}

func globalTable(ctx context.Context, addr string) error {
	home, err := dialCaller(addr, "us-east-1")
	if err != nil {
		return err
	}
	defer home.conn.Close()
	if _, err := home.call("CreateTable", `{"TableName":"bench","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"}],"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}],"StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_AND_OLD_IMAGES"}}`); err != nil {
		return err
	}
	if err := home.awaitActive(ctx, "bench"); err != nil {
		return err
	}
	if _, err := home.call("UpdateTable", `{"TableName":"bench","ReplicaUpdates":[{"Create":{"RegionName":"eu-west-1"}}]}`); err != nil {
		return err
	}
	for {
		answer, err := home.call("DescribeTable", `{"TableName":"bench"}`)
		if err == nil && strings.Contains(string(answer), `"ReplicaStatus":"ACTIVE"`) && strings.Contains(string(answer), `"TableStatus":"ACTIVE"`) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func dialCaller(addr, region string) (*caller, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &caller{conn: conn, reader: bufio.NewReader(conn), region: region}, nil
}

// write is an acknowledged write that a watcher is to look for.
type write struct {
	key   string
	acked time.Time
}

const lagWriters = 32

func (c *Config) sampleLag(ctx context.Context, addr string) (*Lag, error) {
	ctx, cancel := context.WithTimeout(ctx, c.LagDuration+30*time.Second)
	defer cancel()
	samples := make(chan write, 1)
	var lags []int64
	var watchErr error
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		lags, watchErr = watch(addr, samples)
	}()
	began := time.Now()
	total, err := c.writeAll(ctx, addr, samples)
	elapsed := time.Since(began)
	close(samples)
	<-watched
	if err != nil {
		return nil, err
	}
	if watchErr != nil {
		return nil, watchErr
	}
	slices.Sort(lags)
	return &Lag{
		Rate: float64(total) / elapsed.Seconds(), Samples: len(lags),
		P50: quantile(lags, 0.50), P99: quantile(lags, 0.99), Max: quantile(lags, 1),
	}, nil
}

// writeAll writes fresh keys at LagRate from several connections and offers
// each acknowledged one to the watcher, which takes what it has time for.
func (c *Config) writeAll(ctx context.Context, addr string, samples chan<- write) (int, error) {
	perLane := c.LagRate * int(c.LagDuration/time.Millisecond) / 1000 / lagWriters
	gap := time.Second * lagWriters / time.Duration(c.LagRate)
	errs := make([]error, lagWriters)
	var group sync.WaitGroup
	for lane := range lagWriters {
		group.Go(func() { errs[lane] = writeLane(ctx, addr, lane, perLane, gap, samples) })
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return perLane * lagWriters, nil
}

func writeLane(ctx context.Context, addr string, lane, count int, gap time.Duration, samples chan<- write) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	filler := strings.Repeat("w", 900)
	ticker := time.NewTicker(gap)
	defer ticker.Stop()
	for i := range count {
		key := fmt.Sprintf("lag-%d-%d", lane, i)
		raw, err := signed("us-east-1", "PutItem", `{"TableName":"bench","Item":{"pk":{"S":"`+key+`"},"text":{"S":"`+filler+`"}}}`)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if err := exchange(conn, reader, raw); err != nil {
			return err
		}
		select {
		case samples <- write{key, time.Now()}:
		default:
		}
	}
	return nil
}

// watch looks each sample up in the other region until it is visible.
func watch(addr string, samples <-chan write) ([]int64, error) {
	remote, err := dialCaller(addr, "eu-west-1")
	if err != nil {
		return nil, err
	}
	defer remote.conn.Close()
	var lags []int64
	for sample := range samples {
		raw, err := signed("eu-west-1", "GetItem", `{"TableName":"bench","ProjectionExpression":"pk","Key":{"pk":{"S":"`+sample.key+`"}}}`)
		if err != nil {
			return nil, err
		}
		for {
			answer, err := fetch(remote.conn, remote.reader, raw)
			if err != nil {
				return nil, fmt.Errorf("look up %s: %w", sample.key, err)
			}
			if strings.Contains(string(answer), sample.key) {
				break
			}
			if time.Since(sample.acked) > 30*time.Second {
				return nil, fmt.Errorf("%s did not arrive within 30 s", sample.key)
			}
			time.Sleep(200 * time.Microsecond)
		}
		lags = append(lags, int64(time.Since(sample.acked)))
	}
	return lags, nil
}
