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
	r := plainRecords.Draw(t, "record")
	if r.Cause == Lost {
		r.Verdict = &Verdict{versions.Draw(t, "loser"), versions.Draw(t, "winner"), rapid.Bool().Draw(t, "winner deletes")}
	}
	return r
})

var plainRecords = rapid.Custom(func(t *rapid.T) Record {
	image := rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOfN(rapid.Byte(), 0, 300))
	return Record{
		Sequence:    rapid.Uint64().Draw(t, "sequence"),
		Key:         image.Draw(t, "key"),
		Version:     versions.Draw(t, "version"),
		Context:     contexts.Draw(t, "context"),
		Cause:       rapid.OneOf(rapid.Just(Lost), rapid.Map(rapid.Uint8(), func(c uint8) Cause { return Cause(c) })).Draw(t, "cause"),
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
		if f := m.With(Version{v.Time, everywhere}); !v.Time.IsZero() {
			for _, e := range m {
				if !f.Includes(Version{e.Time, e.Region}) || !f.Includes(Version{v.Time, "nobody"}) {
					t.Fatalf("%v does not include %v", f, e)
				}
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
	follows := Value{Version: at(2, "us"), Context: Follow(base, hlc.Timestamp{})}
	blind := Value{Version: at(3, "ap")}
	del, otherDel := blind, follows
	del.Delete, otherDel.Delete = true, true
	over := func(floor int64) Value {
		return Value{Version: at(9, "ap"), Context: Follow(Value{}, hlc.Timestamp{Wall: floor})}
	}
	for _, c := range []struct {
		name          string
		winner, loser Value
		want          bool
	}{
		{"a write that read what it replaced", follows, base, false},
		{"a write that knew nothing", blind, follows, true},
		{"knows the grandparent through its parent", Value{Version: at(4, "ap"), Context: Follow(follows, hlc.Timestamp{})}, base, false},
		{"nothing was there", blind, Value{}, false},
		{"the same write again", blind, blind, false},
		{"two deletes", del, otherDel, false},
		{"a delete over a put", del, follows, true},
		{"at the floor under which deletions are forgotten", over(2), follows, false},
		{"above that floor", over(1), follows, true},
	} {
		if got := Conflicts(c.winner, c.loser); got != c.want {
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
		want := recordFields
		if r.Cause == Lost {
			want += verdictFields
		}
		if len(any) != want || any[8] != r.Transaction || any[5] != r.Delete {
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

// A verdict's bytes, as a release writes them.
func TestGoldenVerdict(t *testing.T) {
	held := Value{Version: Version{hlc.Timestamp{Wall: 1}, "eu"}, Context: Context{{"us", hlc.Timestamp{Wall: 2}}}}
	winner := Value{Version: Version{hlc.Timestamp{Wall: 3, Logical: 4}, "us"}, Delete: true}
	r := held.Verdict([]byte("k"), []byte("image"), winner, Version{hlc.Timestamp{Wall: 5}, "eu"})
	const want = "9c00c4016b930500a26575919302" + "00a2757305c2c0c405696d616765a0" + "930100a26575" + "930304a27573" + "c3"
	enc := AppendRecord(nil, r)
	if got := hex.EncodeToString(enc); got != want {
		t.Fatalf("%s, want %s", got, want)
	}
	back, _, err := DecodeRecord(enc)
	if err != nil || !cmp.Equal(&back, r) {
		t.Fatalf("%v, %v", back, err)
	}
	enc[0] = 0x90 | recordFields
	if _, _, err := DecodeRecord(enc); err == nil {
		t.Fatal("a record of cause Lost without a verdict is accepted")
	}
}

func TestProvisionalEntries(t *testing.T) {
	at := func(wall int64) Version { return Version{hlc.Timestamp{Wall: wall}, "eu"} }
	first := Value{Version: at(1)}
	second := Value{Version: at(2), Context: Follow(first, hlc.Timestamp{})}
	entry := Entry{Verdict: Verdict{Loser: second.Version}, Context: second.Context}
	for name, c := range map[string]struct {
		ledger    Ledger
		discarded Value
		want      bool
	}{
		"nothing is known":                {nil, first, true},
		"the origin has spoken":           {Ledger{entry}, second, false},
		"a write in the ledger had seen":  {Ledger{entry}, first, false},
		"the ledger's write had not seen": {Ledger{entry}, Value{Version: at(3)}, true},
	} {
		if got := c.ledger.Provisional(c.discarded); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if entry.Settled(Follow(second, hlc.Timestamp{})) {
		t.Error("a verdict of the origin was settled")
	}
	entry.Provisional = true
	if !entry.Settled(Follow(second, hlc.Timestamp{})) || entry.Settled(second.Context) {
		t.Error("a provisional entry ends exactly with what had seen its write")
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
