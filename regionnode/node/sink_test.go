package node

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"antipode/regionnode/internal/store"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/hlc"
	"antipode/replication/link"
)

// TestUnfitRecords: what can never be an item of the table is kept back by its
// index, and everything else goes on.
func TestUnfitRecords(t *testing.T) {
	d := &table.Descriptor{Key: table.KeySchema{Hash: []string{"id"}}}
	image := item.Make([]item.Field{{Name: "id", Value: item.Str("a")}})
	key, err := d.Key.Key(nil, image)
	if err != nil {
		t.Fatal(err)
	}
	other, err := d.Key.Key(nil, item.Make([]item.Field{{Name: "id", Value: item.Str("b")}}))
	if err != nil {
		t.Fatal(err)
	}
	keyless := item.Make([]item.Field{{Name: "x", Value: item.Str("a")}})
	records := []replication.Record{
		{Key: key, New: image.Encode()},
		{Key: key, New: []byte("no image")},
		{Key: other, New: image.Encode()},
		{Key: key, New: keyless.Encode()},
		{Key: key, Delete: true},
		{Key: []byte("short"), Delete: true},
	}
	good, bad := screen(d, records)
	if want := []replication.Record{records[0], records[4]}; !cmp.Equal(good, want) {
		t.Errorf("kept %v", good)
	}
	var refused []int
	for _, b := range bad {
		if b.Reason == "" {
			t.Errorf("record %d is refused without a reason", b.Index)
		}
		refused = append(refused, b.Index)
	}
	if diff := cmp.Diff([]int{1, 2, 3, 5}, refused); diff != "" {
		t.Error(diff)
	}
}

// TestDeadLettersStay: letters outlive the store's restart, and the same record
// is kept once.
func TestDeadLettersStay(t *testing.T) {
	fs := vfs.NewMem()
	open := func() *store.Store {
		s, err := store.Open(store.Config{Dir: "d", FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	letter := func(key string, wall int64) link.DeadLetter {
		return link.DeadLetter{
			From: "eu-west-1", Source: link.SourceID{Group: "g", Partition: 7}, Reason: "why", Time: time.UnixMilli(5).UTC(),
			Record: replication.Record{Key: []byte(key), Version: replication.Version{Time: hlc.Timestamp{Wall: wall}, Region: "eu-west-1"}},
		}
	}
	s := open()
	letters := &deadLetters{s}
	if err := letters.Add(t.Context(), []link.DeadLetter{letter("a", 1), letter("a", 2)}); err != nil {
		t.Fatal(err)
	}
	if err := letters.Add(t.Context(), []link.DeadLetter{letter("a", 1), letter("b", 1)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	defer s.Close()
	got, err := (&deadLetters{s}).list()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 {
		t.Fatalf("%d letters, want 3: %v", len(got), got)
	}
	for _, l := range got {
		if l.Reason != "why" || l.Source.Partition != 7 {
			t.Errorf("letter came back as %+v", l)
		}
	}
}
