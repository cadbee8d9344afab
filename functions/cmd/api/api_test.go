package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"antipode/regionnode/node"
)

// asCommand, when set, makes the test binary run as the command: so tests
// start real processes without building a second binary.
const asCommand = "ANTIPODE_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// startNode starts a region's only node, in memory, and returns its address.
func startNode(t *testing.T) string {
	t.Helper()
	n, err := node.Start(t.Context(), node.Config{Region: "us-east-1", Name: "n1", InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n.Ready().RPC
}

// command is this binary as the command, with the environment beside the
// test's own.
func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0], args...)
	c.Env = append(append(os.Environ(), asCommand+"=1"), env...)
	c.Stderr = testLog{t}
	t.Cleanup(func() {
		if c.ProcessState == nil && c.Process != nil {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	})
	return c
}

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Logf("command: %s", b)
	return len(b), nil
}

const authorization = "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/dynamodb/aws4_request, " +
	"SignedHeaders=host;x-amz-date, Signature=00"

var lifeOfAnItem = []struct{ operation, body, want string }{
	{"CreateTable", `{"TableName":"tab","BillingMode":"PAY_PER_REQUEST","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],` +
		`"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}]}`, `"TableName":"tab"`},
	{"PutItem", `{"TableName":"tab","Item":{"k":{"S":"ä"},"v":{"B":"AAH/"}}}`, `{}`},
	{"GetItem", `{"TableName":"tab","Key":{"k":{"S":"ä"}},"ConsistentRead":true}`, `{"Item":{"k":{"S":"ä"},"v":{"B":"AAH/"}}}`},
	{"GetItem", `{"TableName":"nosuch","Key":{"k":{"S":"a"}}}`, `ResourceNotFoundException`},
}

// TestHTTP runs the command as a server, and ends it by a signal.
func TestHTTP(t *testing.T) {
	c := command(t, nil, "--region", "us-east-1", "--listen", "127.0.0.1:0", "--nodes", startNode(t))
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("ready line: %v", err)
	}
	var r ready
	if err := json.Unmarshal(line, &r); err != nil || !r.Ready || r.Region != "us-east-1" {
		t.Fatalf("ready line %s: %v", line, err)
	}
	for _, step := range lifeOfAnItem {
		got := untilActive(t, step.operation, func() string { return overHTTP(t, r.Endpoint, step.operation, step.body) })
		if !strings.Contains(got, step.want) {
			t.Errorf("%s: got %s, want %s", step.operation, got, step.want)
		}
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("ended by a signal: %v", err)
	}
}

// untilActive repeats a write while the table that was just made is not ready.
func untilActive(t *testing.T, operation string, call func() string) string {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		got := call()
		if operation != "PutItem" || !strings.Contains(got, "ResourceNotFound") || time.Now().After(end) {
			return got
		}
	}
}

func overHTTP(t *testing.T, endpoint, operation, body string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, endpoint, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	r.Header.Set("X-Amz-Date", "20260101T000000Z")
	r.Header.Set("Authorization", authorization)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestLambda runs the command as the Lambda runtime does: it is given the
// address of a Runtime API, takes one event after another from there, and posts
// the answers.
func TestLambda(t *testing.T) {
	api := newRuntimeAPI()
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	c := command(t, []string{
		"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(server.URL, "http://"),
		"ANTIPODE_REGION=us-east-1", "ANTIPODE_NODES=" + startNode(t),
	})
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for _, step := range lifeOfAnItem {
		var answer events.LambdaFunctionURLResponse
		got := untilActive(t, step.operation, func() string {
			answer = api.invoke(t, functionURLEvent(step.operation, step.body))
			body, err := base64.StdEncoding.DecodeString(answer.Body)
			if err != nil || !answer.IsBase64Encoded {
				t.Fatalf("body %q is not base64: %v", answer.Body, err)
			}
			return string(body)
		})
		if !strings.Contains(got, step.want) {
			t.Errorf("%s: got %s, want %s", step.operation, got, step.want)
		}
		wantStatus := 200
		if strings.Contains(step.want, "Exception") {
			wantStatus = 400
		}
		if answer.StatusCode != wantStatus || answer.Headers["Content-Type"] != "application/x-amz-json-1.0" ||
			answer.Headers["X-Amz-Crc32"] == "" || answer.Headers["X-Amzn-Requestid"] == "" {
			t.Errorf("%s: status %d, headers %v", step.operation, answer.StatusCode, answer.Headers)
		}
	}
}

// functionURLEvent is the event that a function URL makes of a signed request.
func functionURLEvent(operation, body string) []byte {
	e := events.LambdaFunctionURLRequest{
		Version: "2.0", RawPath: "/",
		Headers: map[string]string{
			"host": "abc.lambda-url.us-east-1.on.aws", "x-amz-target": "DynamoDB_20120810." + operation,
			"x-amz-date": "20260101T000000Z", "authorization": authorization, "content-type": "application/x-amz-json-1.0",
		},
		Body: base64.StdEncoding.EncodeToString([]byte(body)), IsBase64Encoded: true,
	}
	e.RequestContext.HTTP.Method = http.MethodPost
	text, err := json.Marshal(e)
	if err != nil {
		panic(err) // of plain strings
	}
	return text
}

// runtimeAPI is the HTTP interface of a Lambda execution environment: GET …/next
// blocks until there is an event, POST …/response takes its answer. To hear of
// SIGTERM, a function registers as an extension.
type runtimeAPI struct {
	events  chan []byte
	answers chan []byte
}

func newRuntimeAPI() *runtimeAPI {
	return &runtimeAPI{events: make(chan []byte), answers: make(chan []byte)}
}

func (a *runtimeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/runtime/invocation/next"):
		select {
		case e := <-a.events:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
			w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(time.Minute).UnixMilli()))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:api")
			_, _ = w.Write(e)
		case <-r.Context().Done():
		}
	case strings.HasSuffix(r.URL.Path, "/response"):
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		w.WriteHeader(http.StatusAccepted)
		a.answers <- body.Bytes()
	case strings.HasSuffix(r.URL.Path, "/extension/register"):
		w.Header().Set("Lambda-Extension-Identifier", "b0b1c0de-0000-0000-0000-000000000000")
	case strings.HasSuffix(r.URL.Path, "/extension/event/next"):
		<-r.Context().Done()
	default:
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		a.answers <- fmt.Appendf(nil, "unexpected call %s: %s", r.URL.Path, body.Bytes())
	}
}

func (a *runtimeAPI) invoke(t *testing.T, event []byte) (answer events.LambdaFunctionURLResponse) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case a.events <- event:
	case <-ctx.Done():
		t.Fatal("the function does not ask for events")
	}
	select {
	case text := <-a.answers:
		if err := json.Unmarshal(text, &answer); err != nil {
			t.Fatalf("answer %s: %v", text, err)
		}
	case <-ctx.Done():
		t.Fatal("the function does not answer")
	}
	return answer
}

// The function must stay small and start fast: what stores, replicates and
// gossips does not belong into it.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "antipode/functions/cmd/api").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dep := range strings.Lines(string(out)) {
		for _, banned := range []string{
			"github.com/cockroachdb/pebble", "github.com/hashicorp/serf", "github.com/hashicorp/memberlist", "go.etcd.io/raft",
			"antipode/regionnode/node", "antipode/regionnode/internal/store", "antipode/regionnode/internal/partition",
			"antipode/replication/link", "github.com/aws/aws-sdk-go-v2", "github.com/aws/aws-cdk-go",
		} {
			if strings.HasPrefix(dep, banned) {
				t.Errorf("depends on %s", strings.TrimSpace(dep))
			}
		}
	}
}

func TestOptions(t *testing.T) {
	env := map[string]string{"AWS_REGION": "eu-west-1", "ANTIPODE_NODES": "a:1, b:2", "ANTIPODE_CREDENTIALS": "K:S,L:T"}
	o, err := parse([]string{"--region", "us-east-1", "--credentials", "M:U"}, func(name string) string { return env[name] }, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.region != "us-east-1" || strings.Join(o.nodes, "|") != "a:1|b:2" || len(o.credentials) != 3 || o.credentials["L"] != "T" {
		t.Errorf("options %+v", o)
	}
	none := func(string) string { return "" }
	for _, args := range [][]string{{}, {"--region", "r"}, {"--nodes", "a:1"}, {"--credentials", "nosecret"}, {"--nope"}} {
		if _, err := parse(args, none, io.Discard); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
	var help bytes.Buffer
	if status := start(t.Context(), []string{"--help"}, none, io.Discard, &help); status != 0 || !strings.Contains(help.String(), "--nodes HOST:PORT") {
		t.Errorf("help: status %d, %s", status, help.String())
	}
}
