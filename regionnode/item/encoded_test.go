package item

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"antipode/regionnode/item/jsonscan"
)

// TestGoldenEncoded holds the compact form still: these bytes are on disks.
func TestGoldenEncoded(t *testing.T) {
	it, err := decodeString(t, everyKind)
	if err != nil {
		t.Fatal(err)
	}
	want := "01550b016203030001ff02626f200262730a0502010001ff016c0709030100070100060100016d060b020178020380ff0f017905" +
		"016e021201000949b0f6f0023313c4499050de38f34e026e73090a03000300fd0103010201026e75050173010a225c0a01c3a9f09f988002737308050201610162017a04"
	if got := hex.EncodeToString(it.Encode()); got != want {
		t.Errorf("got %s", got)
	}
}

func TestEncodedProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		it := items(3).Draw(t, "item")
		e := it.Encode()
		if err := e.Validate(); err != nil {
			t.Fatalf("%x: %v", []byte(e), err)
		}
		back, err := e.Decode()
		if err != nil || !back.Equal(it) {
			t.Fatalf("%s comes back as %s, %v", it.AppendJSON(nil), back.AppendJSON(nil), err)
		}
		if e.Size() != it.Size() || e.Len() != len(it) {
			t.Fatalf("size %d, length %d, want %d, %d", e.Size(), e.Len(), it.Size(), len(it))
		}
		fromTree, fromBytes := it.AppendJSON(nil), e.AppendJSON(nil)
		if !bytes.Equal(fromTree, fromBytes) {
			t.Fatalf("tree: %s\nbytes: %s", fromTree, fromBytes)
		}
		var s jsonscan.Scanner
		s.Init(fromTree)
		read, err := DecodeItem(&s)
		if err != nil || !read.Equal(it) {
			t.Fatalf("%s is read as %s, %v", fromTree, read.AppendJSON(nil), err)
		}
		name := rapid.String().Draw(t, "name")
		if len(it) > 0 && rapid.Bool().Draw(t, "present") {
			name = it[rapid.IntRange(0, len(it)-1).Draw(t, "index")].Name
		}
		want, wantOK := it.Get(name)
		got, ok, err := e.Get(name)
		if err != nil || ok != wantOK || !Equal(got, want) {
			t.Fatalf("Get(%q) = %v, %v, %v", name, got, ok, err)
		}
	})
}

func TestMsgpack(t *testing.T) {
	it, err := decodeString(t, everyKind)
	if err != nil {
		t.Fatal(err)
	}
	type message struct {
		Item    Item    `msgpack:"i"`
		Encoded Encoded `msgpack:"e"`
		Value   Value   `msgpack:"v"`
		None    Value   `msgpack:"n"`
		Number  Number  `msgpack:"u"`
		Values  []Value `msgpack:"l"`
	}
	in := message{it, it.Encode(), Map(it), Value{}, parse(t, "-1.5"), []Value{Str("a"), Null()}}
	b, err := msgpack.Marshal(&in)
	if err != nil {
		t.Fatal(err)
	}
	var out message
	if err := msgpack.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	if !out.Item.Equal(in.Item) || !bytes.Equal(out.Encoded, in.Encoded) || !Equal(out.Value, in.Value) ||
		out.None.Kind() != Invalid || out.Number != in.Number || !List(out.Values).Equal(List(in.Values)) {
		t.Errorf("%+v came back as %+v", in, out)
	}
}

func TestNoItem(t *testing.T) {
	var e Encoded
	if it, err := e.Decode(); it != nil || err != nil {
		t.Errorf("Decode: %v, %v", it, err)
	}
	if _, ok, err := e.Get("a"); ok || err != nil {
		t.Errorf("Get: %v, %v", ok, err)
	}
	if e.Size() != 0 || e.Len() != 0 || string(e.AppendJSON(nil)) != "{}" {
		t.Errorf("size %d, length %d, %s", e.Size(), e.Len(), e.AppendJSON(nil))
	}
}

// FuzzEncoded: bytes from a disk never panic, and what Validate accepts has one
// form only.
func FuzzEncoded(f *testing.F) {
	var s jsonscan.Scanner
	s.Init([]byte(everyKind))
	it, err := DecodeItem(&s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(it.Encode()))
	f.Add([]byte{1, 0, 0})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		e := Encoded(b)
		out := e.AppendJSON(nil)
		if !json.Valid(out) {
			t.Fatalf("%x gives %s", b, out)
		}
		_, _, _ = e.Get("s")
		_, _ = e.Size(), e.Len()
		it, err := e.Decode()
		if err != nil {
			if e.Validate() == nil {
				t.Fatalf("%x is valid, but does not decode: %v", b, err)
			}
			return
		}
		if e.Validate() == nil && len(b) > 0 && !bytes.Equal(it.Encode(), b) {
			t.Fatalf("%x is valid, but encodes as %x", b, it.Encode())
		}
		if tree := it.AppendJSON(nil); !bytes.Equal(tree, out) {
			t.Fatalf("%x: tree gives %s, bytes give %s", b, tree, out)
		}
	})
}

// FuzzItemJSON: what is read is written so that it reads the same.
func FuzzItemJSON(f *testing.F) {
	for _, seed := range []string{everyKind, `{"a":{"N":"1e5"},"a":{"S":"x"}}`, `{"a":{"SS":["x","x"]}}`, `{"a":null,"b":{"S":null,"N":"1"}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s jsonscan.Scanner
		s.Init(data)
		it, err := DecodeItem(&s)
		if err != nil {
			_ = err.Error()
			return
		}
		for i := range it[min(1, len(it)):] {
			if it[i].Name >= it[i+1].Name {
				t.Fatalf("%s: names out of order", data)
			}
		}
		if err := it.Encode().Validate(); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		out := it.AppendJSON(nil)
		s.Init(out)
		again, err := DecodeItem(&s)
		if err != nil || !again.Equal(it) {
			t.Fatalf("%s is written as %s, which is read as %s, %v", data, out, again.AppendJSON(nil), err)
		}
	})
}
