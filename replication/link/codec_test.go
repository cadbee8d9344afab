package link

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"antipode/replication"
	"antipode/replication/hlc"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var stamps = rapid.Custom(func(t *rapid.T) hlc.Timestamp {
	return hlc.Timestamp{Wall: rapid.Int64Min(0).Draw(t, "wall"), Logical: rapid.Uint32().Draw(t, "logical")}
})

var positions = rapid.Custom(func(t *rapid.T) replication.Position {
	return replication.Position{
		Incarnation: rapid.Uint64().Draw(t, "incarnation"),
		Generation:  replication.Generation(rapid.Uint64().Draw(t, "generation")),
		Sequence:    rapid.Uint64().Draw(t, "sequence"),
	}
})

var sources = rapid.Custom(func(t *rapid.T) SourceID {
	return SourceID{rapid.StringN(0, 40, -1).Draw(t, "group"), rapid.Uint64().Draw(t, "partition")}
})

var someRecords = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) replication.Record {
	return replication.Record{
		Sequence: rapid.Uint64().Draw(t, "sequence"),
		Key:      rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "key"),
		Version:  replication.Version{Time: stamps.Draw(t, "time"), Region: here},
		New:      rapid.SliceOfN(rapid.Byte(), 1, 2000).Draw(t, "new"),
	}
}), 0, 5)

var batches = rapid.Custom(func(t *rapid.T) *Batch {
	b := &Batch{
		Kind: Kind(rapid.Uint8Range(0, 2).Draw(t, "kind")), Session: rapid.Uint64().Draw(t, "session"), Sequence: rapid.Uint64().Draw(t, "sequence"),
		From: here, To: there, Source: sources.Draw(t, "source"),
		Start: positions.Draw(t, "start"), End: positions.Draw(t, "end"), Closed: stamps.Draw(t, "closed"),
		Records: someRecords.Draw(t, "records"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "marks") {
		b.Marks = append(b.Marks, Mark{sources.Draw(t, "mark"), stamps.Draw(t, "mark closed")})
	}
	if len(b.Records) == 0 {
		b.Records = nil
	}
	return b
})

func TestBatchesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := batches.Draw(t, "batch")
		before := []byte("before")
		frame := b.Append(bytes.Clone(before))
		if !bytes.HasPrefix(frame, before) {
			t.Fatal("what was there is changed")
		}
		back, err := DecodeBatch(frame[len(before):])
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(b, back); d != "" {
			t.Fatal(d)
		}
	})
}

// No damage of one bit, and no cut, gets through as another batch.
func TestDamageIsNoticed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		frame := batches.Draw(t, "batch").Append(nil)
		bit := rapid.IntRange(0, 8*len(frame)-1).Draw(t, "bit")
		damaged := bytes.Clone(frame)
		damaged[bit/8] ^= 1 << (bit % 8)
		if bit >= 8 { // the first byte counts the frame's elements, which readers may ignore
			if _, err := DecodeBatch(damaged); err == nil {
				t.Fatalf("bit %d of %d is not noticed", bit, 8*len(frame))
			}
		}
		cut := rapid.IntRange(0, len(frame)-1).Draw(t, "cut")
		if _, err := DecodeBatch(frame[:cut]); err == nil {
			t.Fatalf("cut at %d of %d is not noticed", cut, len(frame))
		}
	})
}

func TestUnknownFormat(t *testing.T) {
	frame := (&Batch{From: here, To: there}).Append(nil)
	frame[1]++
	if _, err := DecodeBatch(frame); !errors.Is(err, ErrFormat) {
		t.Fatalf("%v, want ErrFormat", err)
	}
}

func TestAcksAndLettersRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := &Ack{
			Session: rapid.Uint64().Draw(t, "session"), Sequence: rapid.Uint64().Draw(t, "sequence"),
			Status: Status(rapid.Uint8Range(0, 2).Draw(t, "status")), Message: rapid.String().Draw(t, "message"),
			Rejected: rapid.Uint32().Draw(t, "rejected"),
		}
		if back, err := DecodeAck(a.Append(nil)); err != nil || *back != *a {
			t.Fatalf("%+v back as %+v, %v", a, back, err)
		}
		recs := someRecords.Filter(func(r []replication.Record) bool { return len(r) > 0 }).Draw(t, "records")
		l := DeadLetter{
			From: here, Source: sources.Draw(t, "source"), Record: recs[0], Reason: rapid.String().Draw(t, "reason"),
			Time: time.Unix(0, rapid.Int64().Draw(t, "time")).UTC(),
		}
		back, err := DecodeDeadLetter(l.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(l, back); d != "" {
			t.Fatal(d)
		}
	})
}

var goldenBatch = &Batch{
	Kind: Log, Session: 9, Sequence: 300, From: "eu-west-1", To: "us-east-1", Source: SourceID{"table", 70000},
	Start:  replication.Position{Incarnation: 1, Generation: 2, Sequence: 3},
	End:    replication.Position{Incarnation: 1, Generation: 2, Sequence: 4},
	Closed: hlc.Timestamp{Wall: 1800000000000000000, Logical: 1},
	Marks:  []Mark{{SourceID{"other", 5}, hlc.Timestamp{Wall: 7}}},
	Records: []replication.Record{{
		Sequence: 4, Key: []byte("k"), Version: replication.Version{Time: hlc.Timestamp{Wall: 1800000000000000001}, Region: "eu-west-1"}, New: []byte("n"),
	}},
}

// The bytes between regions of different releases.
func TestGoldenBatch(t *testing.T) {
	text, err := os.ReadFile("testdata/batch.golden")
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if got := goldenBatch.Append(nil); !bytes.Equal(got, want) {
		t.Fatalf("encodes as\n%x, the release as\n%x", got, want)
	}
	back, err := DecodeBatch(want)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(goldenBatch, back); d != "" {
		t.Fatal(d)
	}
}

func FuzzDecodeBatch(f *testing.F) {
	f.Add(goldenBatch.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		batch, err := DecodeBatch(b)
		if err != nil {
			return
		}
		back, err := DecodeBatch(batch.Append(nil))
		if err != nil || !cmp.Equal(batch, back) {
			t.Fatalf("%x: %v", b, err)
		}
	})
}

func FuzzDecodeAck(f *testing.F) {
	f.Add((&Ack{Session: 1, Message: "m"}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := DecodeAck(b); err == nil {
			if back, err := DecodeAck(a.Append(nil)); err != nil || *back != *a {
				t.Fatalf("%x: %v", b, err)
			}
		}
	})
}
