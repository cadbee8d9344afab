package wire

import (
	"encoding/json"
	"math"
	"regexp"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
)

func TestAppendError(t *testing.T) {
	old := item.Make([]item.Field{{Name: "pk", Value: item.Str("a")}}).Encode()
	for _, c := range []struct {
		err  *apierr.Error
		want string
	}{
		{apierr.NotFound(), `{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"Requested resource not found"}`},
		{apierr.Invalid("x"), `{"__type":"com.amazon.coral.validate#ValidationException","message":"x"}`},
		{apierr.New(apierr.Serialization, ""), `{"__type":"com.amazon.coral.service#SerializationException"}`},
		{apierr.New(apierr.Serialization, "x"), `{"__type":"com.amazon.coral.service#SerializationException","Message":"x"}`},
		{apierr.New(apierr.UnknownOperation, ""), `{"__type":"com.amazon.coral.service#UnknownOperationException"}`},
		{apierr.New(apierr.UnrecognizedClient, "x"), `{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"x"}`},
		{apierr.New(apierr.IdempotentParameterMismatch, "x"), `{"__type":"com.amazonaws.dynamodb.v20120810#IdempotentParameterMismatchException","Message":"x"}`},
		{apierr.ConditionFailed(old), `{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","Item":{"pk":{"S":"a"}},"message":"The conditional request failed"}`},
		{&apierr.Error{Code: apierr.TransactionCanceled, Message: "x", Reasons: []apierr.Reason{{Code: "None"}, {Code: "ConditionalCheckFailed", Message: "y", Item: old}}},
			`{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","CancellationReasons":[{"Code":"None"},{"Code":"ConditionalCheckFailed","Item":{"pk":{"S":"a"}},"Message":"y"}],"Message":"x"}`},
	} {
		if got := string(AppendError([]byte("#"), c.err)); got != "#"+c.want {
			t.Errorf("got %s, want %s", got[1:], c.want)
		}
	}
}

func TestEnvelope(t *testing.T) {
	for op, want := range map[Operation]string{
		PutItem: "1 validation error detected: x", UpdateItem: "1 validation error detected: x",
		DeleteItem: "1 validation error detected: x", Query: "x", BatchWriteItem: "x",
	} {
		if got := apierr.Of(op.Envelope(apierr.Invalid("x"))).Message; got != want {
			t.Errorf("%v: %q", op, got)
		}
	}
	if err := PutItem.Envelope(apierr.NotFound()); apierr.Of(err).Message != apierr.NotFound().Message {
		t.Errorf("another code was changed: %v", err)
	}
	if PutItem.Envelope(nil) != nil {
		t.Error("nil became an error")
	}
	_, bad := item.ParseNumber("x")
	if got := apierr.Of(PutItem.Envelope(bad)).Message; got != "1 validation error detected: The parameter cannot be converted to a numeric value: x" {
		t.Error(got)
	}
}

func TestWriter(t *testing.T) {
	w := NewWriter()
	defer w.Free()
	w.BeginObject()
	w.Name("a").BeginArray().Int(-1).Bool(true).String("\"\\\n\x01é\xff").EndArray()
	w.Name("b").BeginObject().EndObject()
	w.Name("c").BeginArray().BeginObject().EndObject().BeginObject().Name("{").String("[").EndObject().EndArray()
	w.Name("units").Float(1).Name("half").Float(0.5).Name("big").Float(1e21)
	w.Name("t").Time(time.UnixMilli(1700000000250)).Name("whole").Time(time.Unix(1700000000, 0))
	w.Name("blob").Blob([]byte{0, 1, 2}).Name("raw").Raw([]byte(`{"x":1}`))
	w.Name("v").Value(item.Bool(true))
	n := w.Len()
	w.Name("dropped").Int(1)
	w.Truncate(n)
	w.EndObject()
	const want = `{"a":[-1,true,"\"\\\n\u0001é�"],"b":{},"c":[{},{"{":"["}],"units":1.0,"half":0.5,"big":1e+21,` +
		`"t":1700000000.25,"whole":1700000000,"blob":"AAEC","raw":{"x":1},"v":{"BOOL":true}}`
	if got := string(w.Bytes()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestScalarsRoundTrip: what the Writer writes, encoding/json reads back.
func TestScalarsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "s"))
		f := rapid.Float64().Filter(func(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) }).Draw(t, "f")
		ms := rapid.Int64Range(0, 253402300799999).Draw(t, "ms")
		var w Writer
		w.BeginArray().String(s).Float(f).Time(time.UnixMilli(ms)).EndArray()
		var got []any
		if err := json.Unmarshal(w.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v", w.Bytes(), err)
		}
		if utf8.ValidString(s) && got[0] != s {
			t.Fatalf("%q became %q", s, got[0])
		}
		if got[1] != f {
			t.Fatalf("%v became %v", f, got[1])
		}
		if back := math.Round(got[2].(float64) * 1e3); int64(back) != ms {
			t.Fatalf("%d ms became %v", ms, back)
		}
	})
}

func TestChecksum(t *testing.T) {
	// The value that AWS sends with this very body.
	if got := Checksum([]byte(`{"__type":"com.amazon.coral.service#SerializationException"}`)); got != "3948637019" {
		t.Error(got)
	}
}

func TestRequestID(t *testing.T) {
	n := uint64(0)
	next := func() uint64 { n += 0x9E3779B97F4A7C15; return n }
	a, b := RequestID(next), RequestID(next)
	if !regexp.MustCompile(`^[0-9A-V]{52}$`).MatchString(a) || a == b {
		t.Error(a, b)
	}
}
