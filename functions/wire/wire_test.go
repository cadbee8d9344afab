package wire

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"antipode/regionnode/apierr"
)

// TestDecode runs the scripts: a request body for an operation in; what was
// understood, or the error's body, out.
func TestDecode(t *testing.T) {
	datadriven.Walk(t, "testdata/decode", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			op, ok := operationNamed(d.Cmd)
			if !ok {
				d.Fatalf(t, "no operation %s", d.Cmd)
			}
			in, err := Decode(op, []byte(d.Input))
			if err != nil {
				return string(AppendError(nil, apierr.Of(err))) + "\n"
			}
			text := jsonString(in) + "\n"
			if all, ok := in.(*TransactActions); ok {
				for i := range all.TransactItems {
					if fault := all.Faults[i]; fault != nil {
						text += fmt.Sprintf("action %d, late %v: %s\n", i, all.Late[i], fault.Message)
					}
				}
			}
			return text
		})
	})
}

func operationNamed(name string) (Operation, bool) {
	for op, n := range operationNames {
		if n == name && op > 0 {
			return Operation(op), true
		}
	}
	return 0, false
}

func TestEveryOperationDecodes(t *testing.T) {
	for target, op := range targets {
		if got, ok := ParseTarget(target); !ok || got != op || !strings.HasSuffix(target, "."+op.String()) {
			t.Errorf("target %s is operation %v", target, got)
		}
		// An empty request either lacks something or is fine; it never breaks.
		if _, err := Decode(op, []byte("{}")); err != nil && !apierr.Is(err, apierr.Validation) {
			t.Errorf("%v: %v", op, err)
		}
	}
	for _, target := range []string{"", "PutItem", "DynamoDB_20120810.", "DynamoDB_20120810.putItem", "DynamoDBStreams_20120810.PutItem", "DynamoDB_20111205.PutItem"} {
		if op, ok := ParseTarget(target); ok {
			t.Errorf("target %q is operation %v", target, op)
		}
	}
	if _, err := Decode(0, []byte("{}")); !apierr.Is(err, apierr.UnknownOperation) {
		t.Errorf("operation 0: %v", err)
	}
}

func TestBrokenUTF8(t *testing.T) {
	_, err := Decode(DescribeTable, []byte("{\"TableName\":\"ab\xff\"}"))
	if e := apierr.Of(err); e == nil || e.Code != apierr.Serialization {
		t.Fatalf("got %v", err)
	}
}

// TestRepeatedKey: the last value counts, in the first one's place.
func TestRepeatedKey(t *testing.T) {
	in, err := Decode(GetItem, []byte(`{"TableName":"abc","Key":{},"ExpressionAttributeNames":{"#a":"x","#b":"y","#a":"z"},"TableName":"def"}`))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"TableName":"def","Key":{},"ExpressionAttributeNames":{"#a":"z","#b":"y"}}`
	if got := jsonString(in); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if v, ok := in.(*GetItemInput).ExpressionAttributeNames.Get("#b"); !ok || v != "y" {
		t.Errorf("Get: %q %v", v, ok)
	}
}

// TestNullIsAbsent: a member given as null is as one left out, at every place.
func TestNullIsAbsent(t *testing.T) {
	for _, body := range []string{
		`{"TableName":"abc","KeySchema":null,"BillingMode":null,"ProvisionedThroughput":null,"DeletionProtectionEnabled":null}`,
		`{"TableName":"abc"}`,
	} {
		in, err := Decode(CreateTable, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if got := jsonString(in); got != `{"TableName":"abc"}` {
			t.Errorf("%s gave %s", body, got)
		}
	}
}

// TestDecodedOutlivesBody: strings do not alias the caller's buffer.
func TestDecodedOutlivesBody(t *testing.T) {
	body := []byte(`{"TableName":"Music","Item":{"pk":{"S":"value"},"b":{"B":"AAEC"}}}`)
	in, err := Decode(PutItem, body)
	if err != nil {
		t.Fatal(err)
	}
	want := jsonString(in)
	clear(body)
	if _, err := Decode(PutItem, []byte(`{"TableName":"Other","Item":{"pk":{"S":"other"},"b":{"B":"AwQF"}}}`)); err != nil {
		t.Fatal(err)
	}
	if got := jsonString(in); got != want {
		t.Errorf("%s became %s", want, got)
	}
}

// FuzzDecode: whatever comes, the answer is an input or an error that clients
// can see; and an input printed again decodes to the same.
func FuzzDecode(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(uint8(seed.op), []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, op uint8, body []byte) {
		in, err := Decode(Operation(op), body)
		if err != nil {
			e := apierr.Of(err)
			if e == nil {
				t.Fatalf("%v is no API error", err)
			}
			if len(AppendError(nil, e)) == 0 {
				t.Fatal("no body")
			}
			return
		}
		text := jsonString(in)
		again, err := Decode(Operation(op), []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := jsonString(again); got != text {
			t.Fatalf("%s became %s", text, got)
		}
	})
}

type seed struct {
	op   Operation
	body string
}

// seeds are the requests of the scripts.
func seeds(f *testing.F) []seed {
	var out []seed
	paths, err := filepath.Glob("testdata/decode/*")
	if err != nil || len(paths) == 0 {
		f.Fatal("no scripts: ", err)
	}
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			f.Fatal(err)
		}
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if op, ok := operationNamed(lines.Text()); ok && lines.Scan() {
				out = append(out, seed{op, lines.Text()})
			}
		}
		if err := lines.Err(); err != nil {
			f.Fatal(err)
		}
		if err := file.Close(); err != nil {
			f.Fatal(err)
		}
	}
	return out
}
