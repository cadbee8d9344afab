package functions

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"antipode/functions/wire"
	"antipode/regionnode/node"
	"antipode/regionnode/table"
)

const testRegion = "us-east-1"

// TestScripts runs testdata/scripts: each command is an operation, DynamoDB's or
// ours, its input the request's body, its output the answer's status and body.
// Each file has a region of its own: one node in memory, whose tables have three
// partitions.
//
// Commands besides the operations:
//
//	wait table=NAME   until the table and its indexes are ACTIVE
//	gone table=NAME   until the table is no more
//
// An operation's argument "repeat" replaces every "$N*TEXT$" in its body by N
// times TEXT, for values that are too long to write down; "quiet" leaves the
// body of a success out; "count=N" repeats a read of an index until it finds N
// items.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		h := newTestHandler(t, Config{Partitions: 3})
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return runCommand(t, h, d)
		})
	})
}

// newTestHandler serves a region of one node in memory.
func newTestHandler(t testing.TB, c Config) *Handler {
	t.Helper()
	n, err := node.Start(t.Context(), node.Config{Region: testRegion, Name: "n1", InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	backend, err := node.NewClient(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := backend.Close(); err != nil {
			t.Error(err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	c.Regions = map[string]Backend{testRegion: backend}
	c.Region = testRegion
	return New(c)
}

func runCommand(t *testing.T, h *Handler, d *datadriven.TestData) string {
	t.Helper()
	switch d.Cmd {
	case "wait", "gone":
		var name string
		d.ScanArgs(t, "table", &name)
		waitFor(t, h.cfg.Regions[testRegion], name, d.Cmd == "gone")
		return ""
	}
	body := d.Input
	if d.HasArg("repeat") {
		body = unfold(t, body)
	}
	target := "DynamoDB_20120810." + d.Cmd
	if _, ok := wire.ParseTarget(target); !ok {
		target = "Antipode_20261122." + d.Cmd
	}
	w := post(h, target, "", body)
	if d.HasArg("count") {
		var want string
		d.ScanArgs(t, "count", &want)
		for end := time.Now().Add(time.Minute); !strings.Contains(w.Body.String(), `"Count":`+want+`,`); {
			if time.Now().After(end) {
				t.Fatalf("never %s items: %s", want, w.Body)
			}
			w = post(h, target, "", body)
		}
	}
	checkHeaders(t, w)
	if d.HasArg("quiet") && w.Code == http.StatusOK {
		return "200\n"
	}
	return answerText(t, w)
}

// waitFor polls until the table is ready, or gone.
func waitFor(t testing.TB, b Backend, name string, gone bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		d, err := b.DescribeTable(ctx, name)
		if ctx.Err() != nil {
			t.Fatalf("table %s is not as awaited: %+v, %v", name, d, err)
		}
		if gone && err != nil || !gone && err == nil && ready(d) {
			return
		}
	}
}

func ready(d *table.Descriptor) bool {
	for i := range d.Globals {
		if d.Globals[i].Status != table.Active {
			return false
		}
	}
	return d.Status == table.Active
}

// unfold replaces "$N*TEXT$".
func unfold(t *testing.T, body string) string {
	parts := strings.Split(body, "$")
	for i := 1; i < len(parts); i += 2 {
		var n int
		var text string
		if _, err := fmt.Sscanf(parts[i], "%d*%s", &n, &text); err != nil {
			t.Fatalf("bad repetition %q: %v", parts[i], err)
		}
		parts[i] = strings.Repeat(text, n)
	}
	return strings.Join(parts, "")
}

// answerText is an answer as scripts show it: indented, what differs from run
// to run masked.
func answerText(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	if w.Body.Len() == 0 {
		return fmt.Sprintf("%d without a body\n", w.Code)
	}
	d := json.NewDecoder(w.Body)
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("answer is no JSON: %v", err)
	}
	if m, ok := v.(map[string]any); ok && m["__type"] != nil {
		message, _ := m["message"].(string)
		if message == "" {
			message, _ = m["Message"].(string)
		}
		delete(m, "message")
		delete(m, "Message")
		_, code, _ := strings.Cut(m["__type"].(string), "#")
		delete(m, "__type")
		text := fmt.Sprintf("%d %s: %s\n", w.Code, code, message)
		if len(m) > 0 {
			text += indent(t, m)
		}
		return text
	}
	mask(v)
	return fmt.Sprintf("%d ", w.Code) + indent(t, v)
}

var volatile = map[string]bool{
	"CreationDateTime": true, "TableId": true, "LatestStreamLabel": true, "LatestStreamArn": true,
	"LastUpdateToPayPerRequestDateTime": true, "LastUpdateDateTime": true,
	"LastIncreaseDateTime": true, "LastDecreaseDateTime": true, "RevisionId": true,
}

func mask(v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if volatile[name] {
				v[name] = "…"
				continue
			}
			mask(member)
		}
	case []any:
		for _, e := range v {
			mask(e)
		}
	}
}

// indent prints JSON with attribute values, and whatever else is short, on one
// line.
func indent(t *testing.T, v any) string {
	t.Helper()
	var b strings.Builder
	appendIndented(t, &b, v, "")
	return b.String() + "\n"
}

const lineWidth = 100

func appendIndented(t *testing.T, b *strings.Builder, v any, margin string) {
	var line bytes.Buffer
	e := json.NewEncoder(&line)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	short := strings.TrimSpace(line.String())
	if len(short)+len(margin) <= lineWidth {
		b.WriteString(short)
		return
	}
	inner := margin + "  "
	switch v := v.(type) {
	case map[string]any:
		b.WriteString("{\n")
		names := sortedNames(v)
		for i, name := range names {
			fmt.Fprintf(b, "%s%s: ", inner, wire.AppendString(nil, name))
			appendIndented(t, b, v[name], inner)
			b.WriteString(map[bool]string{true: ",\n", false: "\n"}[i+1 < len(names)])
		}
		b.WriteString(margin + "}")
	case []any:
		b.WriteString("[\n")
		for i, element := range v {
			b.WriteString(inner)
			appendIndented(t, b, element, inner)
			b.WriteString(map[bool]string{true: ",\n", false: "\n"}[i+1 < len(v)])
		}
		b.WriteString(margin + "]")
	default:
		b.WriteString(short)
	}
}

func sortedNames(m map[string]any) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
