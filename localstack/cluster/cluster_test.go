package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// call makes one unsigned-as-anybody request in a region.
func call(ctx context.Context, endpoint, region, operation, body string) (int, string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	r.Header.Set("X-Amz-Date", time.Now().UTC().Format("20060102T150405Z"))
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=local/20260101/"+region+"/dynamodb/aws4_request, SignedHeaders=host;x-amz-date;x-amz-target, Signature=0")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}

func must(t *testing.T, endpoint, region, operation, body string) string {
	t.Helper()
	status, text, err := call(t.Context(), endpoint, region, operation, body)
	if err != nil || status != 200 {
		t.Fatalf("%s in %s: %d %s %v", operation, region, status, text, err)
	}
	return text
}

// until asks until the answer holds what is wanted.
func until(t *testing.T, endpoint, region, operation, body string, want func(string) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		status, text, err := call(ctx, endpoint, region, operation, body)
		if err == nil && status == 200 && want(text) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s in %s: still %d %s %v", operation, region, status, text, err)
		case <-tick.C:
		}
	}
}

const createNotes = `{"TableName":"notes","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}],"KeySchema":[{"AttributeName":"id","KeyType":"HASH"}]}`

func makeGlobal(t *testing.T, endpoint string, regions []string) {
	t.Helper()
	must(t, endpoint, regions[0], "CreateTable", createNotes)
	for _, other := range regions[1:] {
		until(t, endpoint, regions[0], "DescribeTable", `{"TableName":"notes"}`, allActive)
		must(t, endpoint, regions[0], "UpdateTable", `{"TableName":"notes","ReplicaUpdates":[{"Create":{"RegionName":"`+other+`"}}]}`)
	}
	for _, region := range regions {
		until(t, endpoint, region, "DescribeTable", `{"TableName":"notes"}`, allActive)
	}
}

func allActive(text string) bool {
	return strings.Contains(text, `"TableStatus":"ACTIVE"`) &&
		!strings.Contains(text, `ING"`) && !strings.Contains(text, "FAILED")
}

func put(id string) string { return `{"TableName":"notes","Item":{"id":{"S":"` + id + `"}}}` }
func get(id string) string {
	return `{"TableName":"notes","ConsistentRead":true,"Key":{"id":{"S":"` + id + `"}}}`
}

func found(text string) bool { return strings.Contains(text, `"Item"`) }

// TestRestart closes a cluster and starts another on the same data.
func TestRestart(t *testing.T) {
	config := Config{Regions: []string{"us-east-1", "eu-west-1"}, NodesPerRegion: 2, Partitions: 4, Dir: t.TempDir()}
	c := start(t, config)
	endpoint := c.Info().Endpoint
	makeGlobal(t, endpoint, config.Regions)
	for i := range 50 {
		must(t, endpoint, config.Regions[i%2], "PutItem", put(fmt.Sprint(i)))
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = start(t, config)
	endpoint = c.Info().Endpoint
	for i := range 50 {
		if text := must(t, endpoint, config.Regions[i%2], "GetItem", get(fmt.Sprint(i))); !found(text) {
			t.Errorf("item %d is gone: %s", i, text)
		}
		until(t, endpoint, config.Regions[(i+1)%2], "GetItem", get(fmt.Sprint(i)), found)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T, config Config) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestFewerNodes: a directory with the data of two nodes is not started with
// one, and is with as many as it has when none are named.
func TestFewerNodes(t *testing.T) {
	config := Config{Regions: []string{"us-east-1", "eu-west-1"}, NodesPerRegion: 2, Dir: t.TempDir()}
	if err := start(t, config).Close(); err != nil {
		t.Fatal(err)
	}
	config.NodesPerRegion = 1
	if _, err := Start(t.Context(), config); err == nil || !strings.Contains(err.Error(), "--nodes 2") {
		t.Fatalf("got %v", err)
	}
	config.NodesPerRegion = 0
	config.Regions = config.Regions[:1]
	c := start(t, config)
	if got := len(c.Info().Regions[0].Nodes); got != 2 {
		t.Errorf("%d nodes, want 2", got)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	// The region that was left out keeps its place.
	config.Regions = []string{"us-east-1", "eu-west-1"}
	c = start(t, config)
	if got := len(c.Info().Regions[1].Nodes); got != 2 {
		t.Errorf("%d nodes in the region that was away, want 2", got)
	}
}

// TestSecondStartOnSameData is refused with a sentence.
func TestSecondStartOnSameData(t *testing.T) {
	config := Config{Regions: []string{"us-east-1"}, Dir: t.TempDir()}
	start(t, config)
	_, err := Start(t.Context(), config)
	if err == nil || !strings.Contains(err.Error(), "in use by another antipode") {
		t.Fatalf("got %v", err)
	}
}

// TestConfigFaults lists every fault at once.
func TestConfigFaults(t *testing.T) {
	_, err := Start(t.Context(), Config{Regions: []string{"mars", "us-east-1", "us-east-1"}, NodesPerRegion: -1, Port: 70000})
	for _, want := range []string{`"mars" is not a region`, "us-east-1 is named twice", "-1 nodes", "port 70000", "data directory"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

// build compiles the product's binaries once for all tests of processes.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-o", dir+"/", "antipode/localstack/cmd/antipode", "antipode/regionnode/cmd/regionnode", "antipode/functions/cmd/api")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return dir
}

// up runs `antipode up --json` and reads its ready line.
func up(t *testing.T, binaries string, args ...string) (*exec.Cmd, Info) {
	t.Helper()
	cmd := exec.Command(filepath.Join(binaries, "antipode"), append([]string{"up", "--json", "--port", "0"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var info Info
	if err := json.NewDecoder(stdout).Decode(&info); err != nil {
		t.Fatalf("no ready line: %v\n%s", err, stderr.String())
	}
	return cmd, info
}

// writeUntil writes numbered items in every region until the server dies, and
// returns the ids that were acknowledged.
func writeUntil(endpoint string, regions []string, kill func(acked int)) []string {
	type ack struct{ id string }
	acks := make(chan ack)
	done := make(chan struct{})
	const writers = 6
	for w := range writers {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := 0; ; i++ {
				id := fmt.Sprintf("w%d-%d", w, i)
				status, _, err := call(context.Background(), endpoint, regions[w%len(regions)], "PutItem", put(id))
				if err != nil {
					return
				}
				if status == 200 {
					acks <- ack{id}
				}
			}
		}()
	}
	var ids []string
	for running := writers; running > 0; {
		select {
		case a := <-acks:
			ids = append(ids, a.id)
			kill(len(ids))
		case <-done:
			running--
		}
	}
	return ids
}

// TestKillEverything kills the whole system with SIGKILL under load, in one
// process and in many, and wants every acknowledged write in every region after
// the restart.
func TestKillEverything(t *testing.T) {
	binaries := build(t)
	for name, extra := range map[string][]string{"one process": nil, "processes": {"--processes", "--nodes", "2", "--partitions", "2"}} {
		t.Run(name, func(t *testing.T) {
			regions := []string{"us-east-1", "eu-west-1", "ap-northeast-1"}
			args := append([]string{"--data", t.TempDir()}, extra...)
			cmd, info := up(t, binaries, args...)
			makeGlobal(t, info.Endpoint, regions)
			ids := writeUntil(info.Endpoint, regions, func(acked int) {
				if acked == 600 {
					_ = cmd.Process.Kill()
				}
			})
			_ = cmd.Wait()
			if len(ids) < 600 {
				t.Fatalf("only %d writes before the end", len(ids))
			}
			_, info = up(t, binaries, args...)
			for _, region := range regions {
				for _, id := range ids {
					until(t, info.Endpoint, region, "GetItem", get(id), found)
				}
			}
		})
	}
}

// TestKillOneNode kills single processes of a running system, which starts them
// again; meanwhile the other regions serve, and afterwards all agree.
func TestKillOneNode(t *testing.T) {
	binaries := build(t)
	regions := []string{"us-east-1", "eu-west-1"}
	dir := t.TempDir()
	_, info := up(t, binaries, "--data", dir, "--processes", "--regions", strings.Join(regions, ","))
	makeGlobal(t, info.Endpoint, regions)
	for round := range 4 {
		victim, other := regions[round%2], regions[(round+1)%2]
		now, err := Running(dir)
		if err != nil {
			t.Fatal(err)
		}
		kill(t, pidOf(t, now, victim))
		id := fmt.Sprintf("round-%d", round)
		must(t, info.Endpoint, other, "PutItem", put(id))
		for _, region := range regions {
			until(t, info.Endpoint, region, "GetItem", get(id), found)
		}
		until(t, info.Endpoint, victim, "PutItem", put("back-"+id), func(string) bool { return true })
		until(t, info.Endpoint, other, "GetItem", get("back-"+id), found)
	}
}

func pidOf(t *testing.T, info *Info, region string) int {
	t.Helper()
	for _, r := range info.Regions {
		if r.Region == region {
			return r.Nodes[0].PID
		}
	}
	t.Fatalf("no region %s", region)
	return 0
}

func kill(t *testing.T, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatalf("kill %d: %v", pid, err)
	}
}
