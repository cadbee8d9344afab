package replication

import (
	"bytes"
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"antipode/replication/hlc"
	"github.com/google/go-cmp/cmp"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

var regions = []Region{"", "ap-northeast-1", "eu-west-1", "us-east-1", "us-east-2"}

// Few distinct times, so that ties and repeats are common.
var versions = rapid.Custom(func(t *rapid.T) Version {
	wall := rapid.OneOf(rapid.Int64Range(0, 3), rapid.Int64Min(0)).Draw(t, "wall")
	logical := rapid.OneOf(rapid.Uint32Range(0, 2), rapid.Uint32()).Draw(t, "logical")
	return Version{hlc.Timestamp{Wall: wall, Logical: logical}, rapid.SampledFrom(regions).Draw(t, "region")}
})

var contexts = rapid.Custom(func(t *rapid.T) Context {
	var c Context
	for _, v := range rapid.SliceOfN(versions, 0, 4).Draw(t, "context") {
		c = c.With(v)
	}
	return c
})

var records = rapid.Custom(func(t *rapid.T) Record {
	image := rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOfN(rapid.Byte(), 0, 300))
	return Record{
		Sequence:    rapid.Uint64().Draw(t, "sequence"),
		Key:         image.Draw(t, "key"),
		Version:     versions.Draw(t, "version"),
		Context:     contexts.Draw(t, "context"),
		Cause:       Cause(rapid.Uint8().Draw(t, "cause")),
		Delete:      rapid.Bool().Draw(t, "delete"),
		Old:         image.Draw(t, "old"),
		New:         image.Draw(t, "new"),
		Transaction: rapid.StringN(0, 300, 70000).Draw(t, "transaction"),
	}
})

func TestVersionsAreTotallyOrdered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := versions.Draw(t, "a"), versions.Draw(t, "b"), versions.Draw(t, "c")
		if a.Compare(b) != -b.Compare(a) {
			t.Fatal("not antisymmetric")
		}
		if (a.Compare(b) == 0) != (a == b) {
			t.Fatal("equal order, other version")
		}
		if a.Compare(b) <= 0 && b.Compare(c) <= 0 && a.Compare(c) > 0 {
			t.Fatal("not transitive")
		}
		ea, eb := AppendVersion(nil, a), AppendVersion(nil, b)
		if bytes.Compare(ea, eb) != a.Compare(b) {
			t.Fatalf("bytes %x, %x order otherwise", ea, eb)
		}
		back, rest, err := DecodeVersion(append(ea, 7))
		if err != nil || back != a || !bytes.Equal(rest, []byte{7}) {
			t.Fatalf("%v back as %v, %x, %v", a, back, rest, err)
		}
	})
}

// Merging a set of writes of one key gives the same value in every order, with
// every repetition and grouping.
func TestMergeIsOrderFree(t *testing.T) {
	merge := func(held Version, in ...Version) Version {
		for _, v := range in {
			if Wins(v, held) {
				held = v
			}
		}
		return held
	}
	rapid.Check(t, func(t *rapid.T) {
		writes := rapid.SliceOfN(versions, 1, 8).Draw(t, "writes")
		want := merge(Version{}, writes...)
		shuffled := rapid.Permutation(append(slices.Clone(writes), writes...)).Draw(t, "delivery")
		if got := merge(Version{}, shuffled...); got != want {
			t.Fatalf("%v, in another order %v", want, got)
		}
		cut := rapid.IntRange(0, len(writes)).Draw(t, "cut")
		left, right := merge(Version{}, writes[:cut]...), merge(Version{}, writes[cut:]...)
		if got := merge(left, right); got != want {
			t.Fatalf("%v, grouped %v", want, got)
		}
	})
}

func TestContexts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, v := contexts.Draw(t, "a"), contexts.Draw(t, "b"), versions.Draw(t, "v")
		before := slices.Clone(a)
		w := a.With(v)
		if !w.Includes(v) {
			t.Fatalf("%v does not include %v", w, v)
		}
		m := a.Merge(b)
		for _, c := range []Context{a, b} {
			for _, e := range c {
				if !m.Includes(Version{e.Time, e.Region}) {
					t.Fatalf("merged %v lacks %v", m, e)
				}
			}
		}
		if !cmp.Equal(m, b.Merge(a)) || !cmp.Equal(m.Merge(b), m) {
			t.Fatal("merge depends on order or repetition")
		}
		if !slices.IsSortedFunc(m, func(x, y ContextEntry) int { return strings.Compare(string(x.Region), string(y.Region)) }) {
			t.Fatalf("%v is not sorted", m)
		}
		f := m.Forget(v.Time)
		for _, e := range m {
			if kept := f.Includes(Version{e.Time, e.Region}); kept != v.Time.Less(e.Time) && !(e.Time.IsZero() && e.Region == "") {
				t.Fatalf("forgetting %v keeps %v: %v", v.Time, e, kept)
			}
		}
		if !cmp.Equal(a, before) {
			t.Fatal("a context was changed in place")
		}
		back, rest, err := DecodeContext(append(AppendContext(nil, m), 9))
		if err != nil || !cmp.Equal(back, m) || len(rest) != 1 {
			t.Fatalf("%v back as %v, %v", m, back, err)
		}
	})
}

func TestConflicts(t *testing.T) {
	at := func(wall int64, r Region) Version { return Version{hlc.Timestamp{Wall: wall}, r} }
	base := Value{Version: at(1, "eu")}
	follows := Value{Version: at(2, "us"), Context: Follow(base)}
	blind := Value{Version: at(3, "ap")}
	del, otherDel := blind, follows
	del.Delete, otherDel.Delete = true, true
	for _, c := range []struct {
		name          string
		winner, loser Value
		floor         int64
		want          bool
	}{
		{"a write that read what it replaced", follows, base, 0, false},
		{"a write that knew nothing", blind, follows, 0, true},
		{"knows the grandparent through its parent", Value{Version: at(4, "ap"), Context: Follow(follows)}, base, 0, false},
		{"nothing was there", blind, Value{}, 0, false},
		{"the same write again", blind, blind, 0, false},
		{"two deletes", del, otherDel, 0, false},
		{"a delete over a put", del, follows, 0, true},
		{"at the floor", blind, follows, 2, false},
		{"above the floor", blind, follows, 1, true},
	} {
		if got := Conflicts(c.winner, c.loser, hlc.Timestamp{Wall: c.floor}); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestRecordsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		recs := rapid.SliceOfN(records, 0, 20).Draw(t, "records")
		enc := AppendRecords(nil, recs)
		size := 8
		for i := range recs {
			size += RecordSize(&recs[i]) + 16
		}
		if len(enc) > size {
			t.Fatalf("%d bytes, RecordSize says %d", len(enc), size)
		}
		back, rest, err := DecodeRecords(append(enc, 1, 2))
		if err != nil || !bytes.Equal(rest, []byte{1, 2}) {
			t.Fatal(rest, err)
		}
		if len(recs) == 0 {
			recs = nil
		}
		if d := cmp.Diff(recs, back); d != "" {
			t.Fatal(d)
		}
		for cut := range min(len(enc), 200) {
			if _, _, err := DecodeRecords(enc[:cut:cut]); err == nil {
				t.Fatalf("cut at %d of %d is accepted", cut, len(enc))
			}
		}
		p := Position{rapid.Uint64().Draw(t, "i"), Generation(rapid.Uint64().Draw(t, "g")), rapid.Uint64().Draw(t, "s")}
		if back, rest, err := DecodePosition(AppendPosition(nil, p)); err != nil || back != p || len(rest) != 0 {
			t.Fatalf("%v back as %v, %v", p, back, err)
		}
	})
}

// The library reads what we write, and writes versions as we do.
func TestLibraryAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := records.Draw(t, "record")
		var any []any
		if err := msgpack.Unmarshal(AppendRecord(nil, &r), &any); err != nil {
			t.Fatal(err)
		}
		if len(any) != recordFields || any[8] != r.Transaction || any[5] != r.Delete {
			t.Fatalf("read as %v", any)
		}
		type message struct{ V Version }
		enc, err := msgpack.Marshal(message{r.Version})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasSuffix(enc, appendVersion(nil, r.Version)) {
			t.Fatalf("library writes %x", enc)
		}
		var back message
		if err := msgpack.Unmarshal(enc, &back); err != nil || back.V != r.Version {
			t.Fatalf("%v back as %v, %v", r.Version, back.V, err)
		}
	})
}

// A later format adds elements at the end of arrays; today's reader passes over
// them, whatever they are.
func TestReadersIgnoreMoreElements(t *testing.T) {
	more := []any{
		nil, true, 1, -1, -40, 1 << 40, 1.5, float32(1), "text", strings.Repeat("x", 40), []byte("b"),
		map[string]any{"a": []any{1, map[string]int{"b": 2}}}, make([]int, 20), make([]byte, 300),
		strings.Repeat("y", 70000),
	}
	r := Record{Sequence: 5, Key: []byte("k"), Version: Version{hlc.Timestamp{Wall: 9}, "eu"}, New: []byte("n")}
	enc := AppendRecord(nil, &r)
	enc[0] = 0x90 | (recordFields + 1)
	for _, x := range more {
		tail, err := msgpack.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		back, rest, err := DecodeRecord(append(append(slices.Clone(enc), tail...), 0x7f))
		if err != nil || len(rest) != 1 || !cmp.Equal(back, r) {
			t.Errorf("with %v: %v, %x, %v", x, back, rest, err)
		}
	}
}

var golden = []Record{
	{Sequence: 1, Key: []byte("k1"), Version: Version{hlc.Timestamp{Wall: 1800000000000000000, Logical: 3}, "us-east-1"}, New: []byte("image")},
	{
		Sequence: math.MaxUint64, Key: []byte("k2"), Version: Version{hlc.Timestamp{Wall: math.MaxInt64, Logical: math.MaxUint32}, "eu-west-1"},
		Context: Context{{"ap-northeast-1", hlc.Timestamp{Wall: 5}}, {"us-east-1", hlc.Timestamp{Wall: 7, Logical: 300}}},
		Cause:   ByTransaction, Delete: true, Old: []byte{}, Transaction: "tx",
	},
}

// The bytes on disk and between regions of different releases. A difference
// here breaks upgrades: add elements instead.
func TestGoldenBytes(t *testing.T) {
	file := filepath.Join("testdata", "records.golden")
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := AppendRecords(nil, golden); !bytes.Equal(got, want) {
		t.Fatalf("records encode as\n%x, the release as\n%x", got, want)
	}
	back, _, err := DecodeRecords(want)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(golden, back); d != "" {
		t.Fatal(d)
	}
	const version = "18fae27693b4000000000003" + "75732d656173742d31" + "00"
	if got := AppendVersion(nil, golden[0].Version); version != hex.EncodeToString(got) {
		t.Fatalf("compact version %x", got)
	}
}

func FuzzDecodeRecords(f *testing.F) {
	f.Add(AppendRecords(nil, golden))
	f.Add([]byte{0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		recs, _, err := DecodeRecords(b)
		if err != nil {
			return
		}
		back, rest, err := DecodeRecords(AppendRecords(nil, recs))
		if err != nil || len(rest) != 0 || !cmp.Equal(recs, back) {
			t.Fatalf("%x: %v", b, err)
		}
	})
}

func FuzzDecodeVersion(f *testing.F) {
	f.Add(AppendVersion(nil, golden[0].Version))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, rest, err := DecodeVersion(b)
		if err == nil && !bytes.Equal(append(AppendVersion(nil, v), rest...), b) {
			t.Fatalf("%x decodes to %v, which encodes otherwise", b, v)
		}
	})
}

func BenchmarkRecords(b *testing.B) {
	r := Record{Key: make([]byte, 24), Version: golden[0].Version, Context: golden[1].Context, New: make([]byte, 1024)}
	recs := slices.Repeat([]Record{r}, 100)
	enc := AppendRecords(nil, recs)
	b.Run("append", func(b *testing.B) {
		b.SetBytes(int64(len(enc)))
		buf := make([]byte, 0, len(enc))
		for b.Loop() {
			buf = AppendRecords(buf[:0], recs)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(enc)))
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := DecodeRecords(enc); err != nil {
				b.Fatal(err)
			}
		}
	})
}
