package jsonscan

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"
)

// tree reads any value as encoding/json does, numbers as json.Number.
func tree(s *Scanner) (any, error) {
	switch k := s.Peek(); k {
	case Object:
		m := map[string]any{}
		if err := s.BeginObject(); err != nil {
			return nil, err
		}
		for {
			name, ok, err := s.NextName()
			if err != nil || !ok {
				return m, err
			}
			if m[name], err = tree(s); err != nil {
				return nil, err
			}
		}
	case Array:
		l := []any{}
		if err := s.BeginArray(); err != nil {
			return nil, err
		}
		for {
			ok, err := s.NextElem()
			if err != nil || !ok {
				return l, err
			}
			e, err := tree(s)
			if err != nil {
				return nil, err
			}
			l = append(l, e)
		}
	case String:
		return s.String()
	case Number:
		n, err := s.Number()
		return json.Number(n), err
	case True, False:
		return s.Bool()
	case Null:
		return nil, s.Null()
	}
	return nil, s.Skip()
}

func FuzzScanner(f *testing.F) {
	for _, seed := range []string{
		`{"a":{"S":"x"},"b":[1,2.5e-3,-0,true,false,null,"\u00e9\ud83d\ude00\n"]}`,
		`"\ud800"`, `"\ud800\u0041"`, `[]`, `{}`, `[1,]`, `{"a":1,}`, `[,1]`, `01`, `1.`, `.5`, `-`, `1e`, `"` + "\x01" + `"`,
		"\"\xff\"", ` [ 1 , 2 ] `, `{"a" 1}`, `{"a":1 "b":2}`, `nul`, `[[[[]]]]`, `1 2`, ``, `{"\u0061":1}`, "\xef\xbb\xbf1",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s Scanner
		s.Init(data)
		got, err := tree(&s)
		if err == nil {
			err = s.Finish()
		}
		want := json.Valid(data) && utf8.Valid(data)
		if tooDeep(err) {
			return
		}
		if (err == nil) != want {
			t.Fatalf("%q: error %v, encoding/json accepts: %v", data, err, want)
		}
		var skipped Scanner
		skipped.Init(data)
		skipErr := skipped.Skip()
		if skipErr == nil {
			skipErr = skipped.Finish()
		}
		if (skipErr == nil) != want {
			t.Fatalf("%q: Skip says %v, reading says %v", data, skipErr, err)
		}
		if !want {
			if e, ok := err.(*Error); !ok || e.Offset < 0 || e.Offset > len(data) {
				t.Fatalf("%q: error %#v", data, err)
			}
			return
		}
		var std any
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		if err := d.Decode(&std); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, std) {
			t.Fatalf("%q: got %#v, want %#v", data, got, std)
		}
	})
}

func tooDeep(err error) bool {
	e, ok := err.(*Error)
	return ok && e.Reason == "nested too deep"
}
