package jsonscan

import (
	"strings"
	"testing"
)

func TestErrorsNameThePlace(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1,}`:                      "json: expected string, found no value at byte 7",
		`[1 2]`:                         "json: expected ',' or ']' at byte 3",
		`{"a" 1}`:                       "json: expected ':' at byte 5",
		`["ab`:                          "json: unexpected end of input at byte 4",
		"[\"a\nb\"]":                    "json: control character in a string at byte 3",
		"[\"a\xffb\"]":                  "json: invalid UTF-8 at byte 3",
		`["a\x"]`:                       "json: bad escape at byte 3",
		`[01]`:                          "json: expected ',' or ']' at byte 2",
		`[1.]`:                          "json: bad number at byte 1",
		`tru`:                           "json: expected true at byte 0",
		`1 2`:                           "json: expected end of input, found number at byte 2",
		``:                              "json: expected a value, found end of input at byte 0",
		"\xef\xbb\xbf{}":                "json: expected a value, found no value at byte 0",
		strings.Repeat("[", MaxDepth+1): "json: nested too deep at byte 1000",
	} {
		var s Scanner
		s.Init([]byte(text))
		err := s.Skip()
		if err == nil {
			err = s.Finish()
		}
		if err == nil || err.Error() != want {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
}

func TestRawAndBytes(t *testing.T) {
	var s Scanner
	s.Init([]byte(` {"a\n": [1, {"x": "y"}] , "b":"p\u0041q", "c":"plain"} `))
	if err := s.BeginObject(); err != nil {
		t.Fatal(err)
	}
	key, ok, err := s.NextKey()
	if string(key) != "a\n" || !ok || err != nil {
		t.Fatalf("first key %q, %v, %v", key, ok, err)
	}
	if raw, err := s.Raw(); string(raw) != `[1, {"x": "y"}]` || err != nil {
		t.Errorf("raw value %s, %v", raw, err)
	}
	if s.Depth() != 1 {
		t.Errorf("depth %d inside the object", s.Depth())
	}
	for _, want := range []string{"pAq", "plain"} {
		if _, ok, err := s.NextName(); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if b, err := s.Bytes(nil); string(b) != want || err != nil {
			t.Errorf("got %q, %v, want %q", b, err, want)
		}
	}
	if _, ok, err := s.NextKey(); ok || err != nil {
		t.Errorf("a fourth key: %v, %v", ok, err)
	}
	if err := s.Finish(); err != nil || s.Depth() != 0 {
		t.Errorf("end: %v, depth %d", err, s.Depth())
	}
}

// TestStringsOutliveTheInput: callers reuse their buffers.
func TestStringsOutliveTheInput(t *testing.T) {
	data := []byte(`["keep"]`)
	var s Scanner
	s.Init(data)
	if err := s.BeginArray(); err != nil {
		t.Fatal(err)
	}
	if ok, err := s.NextElem(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	kept, err := s.String()
	copy(data, "********")
	if kept != "keep" || err != nil {
		t.Errorf("the string became %q, %v", kept, err)
	}
}
