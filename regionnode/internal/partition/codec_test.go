package partition

import (
	"bytes"
	"reflect"
	"testing"

	"antipode/regionnode"
	"antipode/regionnode/item"
	"antipode/replication"
	"antipode/replication/hlc"
)

func someWrite(key, image []byte, wall int64, logical uint32, region string) write {
	v := replication.Version{Time: hlc.Timestamp{Wall: wall, Logical: logical}, Region: replication.Region(region)}
	seen := replication.Context{{Region: "a", Time: v.Time}, {Region: replication.Region(region)}}
	return write{
		Cause: replication.ByReplica, Key: key, Value: appendStored(nil, v, seen, image),
		Items: -1, Bytes: wall, Collection: len(key) / 2, CollectionBytes: -wall,
		Indexes: []indexEffect{{Index: 1, Key: image, Value: []byte{indexFormat, 1}, Items: 1, Bytes: 2}, {Index: 5, Key: key, Value: []byte{}, Items: -1}},
	}
}

// FuzzWrite encodes a write into an entry and decodes it again; the stamp put in
// between is the version's time.
func FuzzWrite(f *testing.F) {
	f.Add([]byte("key"), []byte("image"), int64(5), uint32(6), "us-east-1", uint64(7))
	f.Add([]byte{}, []byte{}, int64(-1), uint32(0), "", uint64(0))
	f.Fuzz(func(t *testing.T, key, image []byte, wall int64, logical uint32, region string, term uint64) {
		w := someWrite(key, image, wall, logical, region)
		h := header{
			Epoch: regionnode.Epoch{Range: logical, Members: 2}, Settings: 3, Term: term, Proposal: term + 1,
			Clock: hlc.Timestamp{Wall: wall}, Closed: hlc.Timestamp{Logical: logical},
		}
		entry, stamp := w.append(appendHeader(nil, h))
		stamped := hlc.Timestamp{Wall: wall ^ 99, Logical: logical ^ 3}
		putTime(entry[stamp:], stamped)
		sealEntry(entry)
		got, effects, err := decodeHeader(entry)
		if err != nil || got != h {
			t.Fatalf("header %+v, %v, want %+v", got, err, h)
		}
		d := decoder{b: effects}
		if kind := d.byte(); kind != writeEffect {
			t.Fatalf("kind %d", kind)
		}
		var back write
		if err := back.decode(&d); err != nil || len(d.b) != 0 {
			t.Fatalf("write: %v, %d bytes left", err, len(d.b))
		}
		s, err := decodeStored(back.Value)
		if err != nil || s.Version.Time != stamped || s.Version.Region != replication.Region(region) || s.Tombstone != (len(image) == 0) || !bytes.Equal(s.Item, image) {
			t.Fatalf("stored %+v, %v", s, err)
		}
		if it, err := storedItem(back.Value); err != nil || !bytes.Equal(it, image) {
			t.Fatalf("item %q, %v", it, err)
		}
		putTime(back.Value[stampOffset:], hlc.Timestamp{Wall: wall, Logical: logical})
		if !equalWrites(&back, &w) {
			t.Fatalf("write %+v, want %+v", back, w)
		}
		entry[len(entry)-1] ^= 1
		if _, _, err := decodeHeader(entry); err == nil {
			t.Fatal("a broken entry passed")
		}
	})
}

// equalWrites compares with nil and empty slices alike.
func equalWrites(a, b *write) bool {
	x, y := *a, *b
	x.Indexes, y.Indexes = nil, nil
	if len(x.Key) == 0 && len(y.Key) == 0 {
		x.Key, y.Key = nil, nil
	}
	if !reflect.DeepEqual(x, y) || len(a.Indexes) != len(b.Indexes) {
		return false
	}
	for i := range a.Indexes {
		p, q := a.Indexes[i], b.Indexes[i]
		if !bytes.Equal(p.Key, q.Key) || !bytes.Equal(p.Value, q.Value) || p.Index != q.Index || p.Items != q.Items || p.Bytes != q.Bytes {
			return false
		}
	}
	return true
}

// FuzzDecode feeds any bytes to every decoder: none may panic or allocate
// without bound, and what is accepted encodes to the same bytes where there is
// one form.
func FuzzDecode(f *testing.F) {
	w := someWrite([]byte("key"), []byte("image"), 5, 6, "us-east-1")
	seed, _ := w.append(nil)
	f.Add(seed)
	f.Add(w.Value)
	f.Add((&appliedState{Index: 5, Counts: [maxLocal + 1]Count{{1, 2}}}).append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, _ = decodeHeader(b)
		_, _ = decodeChange(1, b)
		_, _ = storedItem(b)
		var back write
		_ = back.decode(&decoder{b: b})
		if s, err := decodeStored(b); err == nil {
			again, err := decodeStored(appendStored(nil, s.Version, s.Context, s.Item))
			if err != nil || !reflect.DeepEqual(again, s) && s.live() {
				t.Fatalf("stored %+v, again %+v, %v", s, again, err)
			}
		}
		if st, err := decodeApplied(b); err == nil {
			if again, err := decodeApplied(st.append(nil)); err != nil || again != st {
				t.Fatalf("applied %+v, again %+v, %v", st, again, err)
			}
		}
	})
}

// TestSeenBy merges what a value had seen with the value.
func TestSeenBy(t *testing.T) {
	at := func(wall int64) hlc.Timestamp { return hlc.Timestamp{Wall: wall} }
	had := replication.Context{{Region: "b", Time: at(4)}, {Region: "d", Time: at(9)}}
	for _, c := range []struct {
		v    replication.Version
		want replication.Context
	}{
		{replication.Version{}, nil},
		{replication.Version{Region: "a", Time: at(10)}, replication.Context{{Region: "a", Time: at(10)}, {Region: "b", Time: at(4)}, {Region: "d", Time: at(9)}}},
		{replication.Version{Region: "b", Time: at(10)}, replication.Context{{Region: "b", Time: at(10)}, {Region: "d", Time: at(9)}}},
		{replication.Version{Region: "c", Time: at(10)}, replication.Context{{Region: "b", Time: at(4)}, {Region: "c", Time: at(10)}, {Region: "d", Time: at(9)}}},
		{replication.Version{Region: "e", Time: at(10)}, replication.Context{{Region: "b", Time: at(4)}, {Region: "d", Time: at(9)}, {Region: "e", Time: at(10)}}},
	} {
		if got := seenBy(had, c.v); !reflect.DeepEqual(got, c.want) {
			t.Errorf("seen by %v: %v, want %v", c.v, got, c.want)
		}
	}
	if had[0].Time != at(4) {
		t.Error("the context of the stored value changed")
	}
}

// TestEnqueueOtherTerm keeps what was evaluated under an earlier leadership out
// of the log: state may have changed since (I3).
func TestEnqueueOtherTerm(t *testing.T) {
	p := &Partition{}
	p.role.Store(&role{leading: true, ready: true, term: 8})
	w := &proposal{term: 6, stamp: noStamp}
	if err := p.enqueue(w); err != errNotApplied {
		t.Errorf("evaluated in term 6, proposed in 8: %v", err)
	}
	if w.term = 8; p.enqueue(w) != nil || len(p.buffer.writes) != 1 {
		t.Error("a proposal of this term was refused")
	}
}

// TestUnknownEntry keeps an entry of a later format from being half understood.
func TestUnknownEntry(t *testing.T) {
	entry := appendHeader(nil, header{})
	entry[0]++
	sealEntry(entry)
	if _, _, err := decodeHeader(entry); err == nil {
		t.Error("unknown format passed")
	}
	if err := (&applier{}).run([]byte{255}); err == nil {
		t.Error("unknown effect passed")
	}
	var it item.Encoded
	if _, err := storedItem(it); err == nil {
		t.Error("an empty value passed")
	}
}
