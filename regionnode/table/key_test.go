package table

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"antipode/regionnode/item"
)

func number(t testing.TB, text string) item.Value {
	t.Helper()
	n, err := item.ParseNumber(text)
	if err != nil {
		t.Fatal(err)
	}
	return item.Num(n)
}

// TestGoldenKeys holds the key format still: these bytes are on disks.
func TestGoldenKeys(t *testing.T) {
	simple := KeySchema{Hash: []string{"pk"}}
	full := KeySchema{Hash: []string{"pk"}, Range: []string{"sk"}}
	for _, c := range []struct {
		schema KeySchema
		it     item.Item
		want   string
	}{
		{simple, item.Make([]item.Field{{Name: "pk", Value: item.Str("a")}}), "208afdec724bd6fe20610001"},
		{simple, item.Make([]item.Field{{Name: "pk", Value: item.Bin("\x00\x01\xff")}}), "1a71ce7e7d4190433000ff01ff0001"},
		{full, item.Make([]item.Field{{Name: "pk", Value: item.Str("user#1")}, {Name: "sk", Value: number(t, "-12.5")}, {Name: "x", Value: item.Null()}}), "39f5bf09111b2844207573657223310001107ce69b"},
		{full, item.Make([]item.Field{{Name: "pk", Value: number(t, "0")}, {Name: "sk", Value: number(t, "12345678901234567890123456789012345678")}}), "ad10cd9780ac4ff71112a71945719db51945719db51945719db51945719c"},
	} {
		key, err := c.schema.Key(nil, c.it)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(key); got != c.want {
			t.Errorf("key of %s is %s, want %s", c.it.AppendJSON(nil), got, c.want)
		}
		fromEncoded, err := c.schema.KeyOf(nil, c.it.Encode())
		if err != nil || !bytes.Equal(fromEncoded, key) {
			t.Errorf("KeyOf gives %x, %v, want %x", fromEncoded, err, key)
		}
		back, err := DecodeKey(c.schema, key)
		if err != nil {
			t.Fatal(err)
		}
		again, err := c.schema.Key(nil, back)
		if err != nil || !bytes.Equal(again, key) {
			t.Errorf("key of the decoded key %s is %x, %v, want %x", back.AppendJSON(nil), again, err, key)
		}
		hash, _ := c.it.Get("pk")
		prefix := HashPrefix(nil, []item.Value{hash})
		if n, err := c.schema.HashPrefixLen(key); err != nil || !bytes.Equal(key[:n], prefix) {
			t.Errorf("collection prefix of %x is %x (%d, %v)", key, prefix, n, err)
		}
	}
}

func TestKeyErrors(t *testing.T) {
	schema := KeySchema{Hash: []string{"pk"}, Range: []string{"sk"}}
	for _, c := range []struct {
		it   item.Item
		want KeyError
	}{
		{nil, KeyError{Name: "pk"}},
		{item.Item{{Name: "pk", Value: item.Str("a")}}, KeyError{Name: "sk"}},
		{item.Item{{Name: "pk", Value: item.Bool(true)}}, KeyError{Name: "pk", Found: item.BOOL}},
	} {
		dst := []byte("kept")
		dst, err := schema.Key(dst, c.it)
		var e *KeyError
		if !errors.As(err, &e) || *e != c.want {
			t.Errorf("key of %s: %v, want %v", c.it.AppendJSON(nil), err, &c.want)
		}
		if string(dst) != "kept" {
			t.Errorf("a failed Key left %q", dst)
		}
	}
}

func TestDescriptorRoundTrip(t *testing.T) {
	two := int64(2)
	d := &Descriptor{
		ID: 7, Name: "t", Region: "eu-west-1", Account: "000000000000", Generation: 3, Status: Active,
		Attributes: []Attribute{{"pk", "S"}, {"g", "N"}},
		Key:        KeySchema{Hash: []string{"pk"}},
		Locals:     []Index{{Name: "l", Local: 1, Key: KeySchema{Hash: []string{"pk"}, Range: []string{"g"}}}},
		Globals:    []Index{{Name: "g", Table: 8, Key: KeySchema{Hash: []string{"g"}}, Projection: Projection{Type: "INCLUDE", NonKey: []string{"x"}}, OnDemand: &OnDemand{1, 2}}},
		Stream:     &Stream{Enabled: true, Label: "2026-01-01T00:00:00.000"},
		Tags:       []Tag{{"k", "v"}},
		Global:     &Global{Group: "g", Home: "eu-west-1", Replicas: []Replica{{Region: "us-east-1", Status: Active, ReadOverride: &two}}},
	}
	b, err := msgpack.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var back Descriptor
	if err := msgpack.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	clone := back.Clone()
	again, err := msgpack.Marshal(clone)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, again) {
		t.Errorf("round trip and clone changed the descriptor:\n%x\n%x", b, again)
	}
	clone.Globals[0].Projection.NonKey[0] = "changed"
	*clone.Global.Replicas[0].ReadOverride = 5
	clone.Stream.Label = "changed"
	clone.Tags[0].Value = "changed"
	if unchanged, _ := msgpack.Marshal(&back); !bytes.Equal(b, unchanged) {
		t.Error("a change of the clone reached the original")
	}
	for got, want := range map[string]string{
		d.ARN():                       "arn:aws:dynamodb:eu-west-1:000000000000:table/t",
		d.StreamARN():                 "arn:aws:dynamodb:eu-west-1:000000000000:table/t/stream/2026-01-01T00:00:00.000",
		d.IndexARN("g"):               "arn:aws:dynamodb:eu-west-1:000000000000:table/t/index/g",
		d.AttributeType("g"):          "N",
		d.AttributeType("x"):          "",
		d.Index("l").Name:             "l",
		d.Replica("us-east-1").Region: "us-east-1",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if d.Index("none") != nil || d.Replica("none") != nil {
		t.Error("found what is not there")
	}
}

func BenchmarkKeyOf(b *testing.B) {
	schema := KeySchema{Hash: []string{"pk"}, Range: []string{"sk"}}
	e := item.Make([]item.Field{{Name: "pk", Value: item.Str("customer#0123456789")}, {Name: "sk", Value: number(b, "1234567890")}, {Name: "x", Value: item.Null()}}).Encode()
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		var err error
		if dst, err = schema.KeyOf(dst[:0], e); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzDecodeKey: what decodes is what Key makes, hash aside.
func FuzzDecodeKey(f *testing.F) {
	schema := KeySchema{Hash: []string{"a", "b"}, Range: []string{"c"}}
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x20x\x00\x01\x11\x30\x00\xff\x00\x01"))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, key []byte) {
		it, err := DecodeKey(schema, key)
		n, prefixErr := schema.HashPrefixLen(key)
		if err != nil {
			return
		}
		if prefixErr != nil {
			t.Fatalf("%x has no collection prefix: %v", key, prefixErr)
		}
		again, err := schema.Key(nil, it)
		if err != nil || !bytes.Equal(again[HashLen:], key[HashLen:]) {
			t.Fatalf("%x decodes to %v, which is %x, %v", key, it, again, err)
		}
		a, _ := it.Get("a")
		b, _ := it.Get("b")
		if prefix := HashPrefix(nil, []item.Value{a, b}); !bytes.Equal(prefix, again[:n]) {
			t.Fatalf("the collection prefix of %x is %x, want %x", again, prefix, again[:n])
		}
		if Hash(again) != Hash(again[:n]) {
			t.Fatalf("%x and its prefix hash apart", again)
		}
	})
}

func TestIndexKey(t *testing.T) {
	d := &Descriptor{
		Key:     KeySchema{Hash: []string{"pk"}, Range: []string{"sk"}},
		Locals:  []Index{{Name: "l", Local: 1, Key: KeySchema{Hash: []string{"pk"}, Range: []string{"x"}}}},
		Globals: []Index{{Name: "g", Key: KeySchema{Hash: []string{"x"}, Range: []string{"sk"}}}},
	}
	for name, want := range map[string]string{"l": "[pk] [x sk]", "g": "[x] [sk pk]"} {
		x := d.Index(name)
		k := d.IndexKey(x)
		if got := fmt.Sprint(k.Hash, k.Range); got != want {
			t.Errorf("entries of %s are ordered by %s, want %s", name, got, want)
		}
		if x.IsLocal() != (name == "l") {
			t.Errorf("%s local: %v", name, x.IsLocal())
		}
	}
	if got := fmt.Sprint(d.Key.Names()); got != "[pk sk]" {
		t.Errorf("key names are %s", got)
	}
}

func TestPartitionARN(t *testing.T) {
	for region, want := range map[string]string{
		"cn-north-1":    "arn:aws-cn:dynamodb:cn-north-1:123456789012:table/t",
		"us-gov-west-1": "arn:aws-us-gov:dynamodb:us-gov-west-1:123456789012:table/t",
	} {
		if got := ARN(region, "123456789012", "t"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
