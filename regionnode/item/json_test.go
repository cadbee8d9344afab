package item

import (
	"errors"
	"testing"

	"antipode/regionnode/apierr"
	"antipode/regionnode/item/jsonscan"
)

func decodeString(t *testing.T, text string) (Item, error) {
	t.Helper()
	var s jsonscan.Scanner
	s.Init([]byte(text))
	it, err := DecodeItem(&s)
	var fault *ValueError
	if err == nil || errors.As(err, &fault) {
		if end := s.Finish(); end != nil {
			t.Fatalf("%s: %v", text, end)
		}
	}
	return it, err
}

const everyKind = `{"b":{"B":"AAH/"},"bo":{"BOOL":true},"bs":{"BS":["AA==","/w=="]},"l":{"L":[{"S":""},{"L":[]},{"M":{}}]},` +
	`"m":{"M":{"x":{"N":"-1.5"},"y":{"NULL":true}}},"n":{"N":"12345678901234567890123456789012345678"},` +
	`"ns":{"NS":["0","0.001","100"]},"nu":{"NULL":true},"s":{"S":"\"\\\n\u0001é😀"},"ss":{"SS":["a","b"]},"z":{"BOOL":false}}`

func TestRoundTrip(t *testing.T) {
	it, err := decodeString(t, everyKind)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(it.AppendJSON(nil)); got != everyKind {
		t.Errorf("tree gives\n%s, want\n%s", got, everyKind)
	}
	e := it.Encode()
	if got := string(e.AppendJSON(nil)); got != everyKind {
		t.Errorf("compact form gives\n%s, want\n%s", got, everyKind)
	}
	if err := e.Validate(); err != nil {
		t.Error(err)
	}
	back, err := e.Decode()
	if err != nil || !back.Equal(it) {
		t.Errorf("decoded %v, %v", back, err)
	}
	if e.Size() != it.Size() || e.Len() != len(it) {
		t.Errorf("header says size %d and %d attributes, want %d and %d", e.Size(), e.Len(), it.Size(), len(it))
	}
	for _, f := range it {
		v, ok, err := e.Get(f.Name)
		if err != nil || !ok || !Equal(v, f.Value) {
			t.Errorf("Get(%q) = %v, %v, %v", f.Name, v, ok, err)
		}
	}
	if _, ok, err := e.Get("nn"); ok || err != nil {
		t.Errorf("Get of an absent name: %v, %v", ok, err)
	}
}

func TestSerializationErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":"x"}`:             "Unexpected value type in payload",
		`{"a":{"S":1}}`:         "NUMBER_VALUE cannot be converted to String",
		`{"a":{"S":1.5}}`:       "DECIMAL_VALUE cannot be converted to String",
		`{"a":{"N":true}}`:      "TRUE_VALUE cannot be converted to String",
		`{"a":{"S":{}}}`:        "Start of structure or map found where not expected",
		`{"a":{"B":"23456"}}`:   "Base64 encoded length is expected a multiple of 4 bytes but found: 5",
		`{"a":{"B":"=+/="}}`:    "Unexpected value type in payload",
		`{"a":{"B":1}}`:         "only base-64-encoded strings are convertible to bytes",
		`{"a":{"BOOL":"23"}}`:   "Unexpected token received from parser",
		`{"a":{"SS":"x"}}`:      "Unexpected field type",
		`{"a":{"L":{}}}`:        "Start of structure or map found where not expected",
		`{"a":{"L":["x"]}}`:     "Unexpected value type in payload",
		`{"a":{"N":"x","S":1}}`: "NUMBER_VALUE cannot be converted to String",
		`[]`:                    "Unrecognized collection type java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.AttributeValue>",
	} {
		_, err := decodeString(t, text)
		if e := apierr.Of(err); e == nil || e.Code != apierr.Serialization || e.Message != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// TestSetOrder: a set's elements come back in order, however they were sent.
func TestSetOrder(t *testing.T) {
	it, err := decodeString(t, `{"b":{"BS":["/w==","AA==",""]},"n":{"NS":["10","9","-1"]},"s":{"SS":["b","","a"]}}`)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"b":{"BS":["","AA==","/w=="]},"n":{"NS":["-1","9","10"]},"s":{"SS":["","a","b"]}}`
	if got := string(it.AppendJSON(nil)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
