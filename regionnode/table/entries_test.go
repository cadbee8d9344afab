package table

import (
	"fmt"
	"strings"
	"testing"

	"antipode/regionnode/item"
)

func entryTable(projection Projection) (*Descriptor, *Entries) {
	d := &Descriptor{
		Attributes: []Attribute{{"pk", "S"}, {"sk", "N"}, {"h", "S"}, {"r", "B"}},
		Key:        KeySchema{Hash: []string{"pk"}, Range: []string{"sk"}},
		Globals: []Index{{
			Name: "x", Key: KeySchema{Hash: []string{"h"}, Range: []string{"r"}}, Projection: projection,
		}},
	}
	return d, d.Entries(&d.Globals[0])
}

func row(h, r item.Value, more ...item.Field) item.Encoded {
	fields := append([]item.Field{
		{Name: "pk", Value: item.Str("p")}, {Name: "sk", Value: item.Num(item.NumberFromInt64(7))},
		{Name: "v", Value: item.Str("v")}, {Name: "w", Value: item.Str("w")},
	}, more...)
	if h.Kind() != item.Invalid {
		fields = append(fields, item.Field{Name: "h", Value: h})
	}
	if r.Kind() != item.Invalid {
		fields = append(fields, item.Field{Name: "r", Value: r})
	}
	return item.Make(fields).Encode()
}

// TestEntriesAreSparse: an item is in an index when it has all key attributes, of
// the right types, and neither empty nor too long.
func TestEntriesAreSparse(t *testing.T) {
	_, e := entryTable(Projection{Type: "ALL"})
	h, r := item.Str("h"), item.Bin("r")
	for _, c := range []struct {
		what string
		item item.Encoded
		in   bool
	}{
		{"no item", nil, false},
		{"all", row(h, r), true},
		{"no hash", row(item.Value{}, r), false},
		{"no range", row(h, item.Value{}), false},
		{"another type", row(h, item.Str("r")), false},
		{"a number for a string", row(item.Num(item.NumberFromInt64(1)), r), false},
		{"empty", row(item.Str(""), r), false},
		{"longest hash", row(item.Str(strings.Repeat("x", MaxHashKeySize)), r), true},
		{"longer hash", row(item.Str(strings.Repeat("x", MaxHashKeySize+1)), r), false},
		{"longest range", row(h, item.Bin(strings.Repeat("x", MaxRangeKeySize))), true},
		{"longer range", row(h, item.Bin(strings.Repeat("x", MaxRangeKeySize+1))), false},
	} {
		_, in, err := e.Of(c.item)
		if err != nil || in != c.in {
			t.Errorf("%s: in the index %v, %v", c.what, in, err)
		}
	}
}

func TestEntriesProject(t *testing.T) {
	for _, c := range []struct {
		projection Projection
		want       string
	}{
		{Projection{Type: "ALL"}, "h pk r sk v w"},
		{Projection{Type: "KEYS_ONLY"}, "h pk r sk"},
		{Projection{Type: "INCLUDE", NonKey: []string{"v", "missing"}}, "h pk r sk v"},
	} {
		d, e := entryTable(c.projection)
		entry, _, err := e.Of(row(item.Str("h"), item.Bin("r")))
		if err != nil {
			t.Fatal(err)
		}
		it, err := entry.Image.Decode()
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range it {
			names = append(names, f.Name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%v holds %s, want %s", c.projection, got, c.want)
		}
		key, err := DecodeKey(d.IndexKey(&d.Globals[0]), entry.Key)
		if err != nil || len(key) != 4 {
			t.Errorf("the entry's key is %v, %v", key, err)
		}
	}
}

func TestEntryChanges(t *testing.T) {
	_, e := entryTable(Projection{Type: "INCLUDE", NonKey: []string{"v"}})
	h, r := item.Str("h"), item.Bin("r")
	in, out := row(h, r), row(h, item.Value{})
	beside := row(h, r, item.Field{Name: "w", Value: item.Str("changed")})
	changed := row(h, r, item.Field{Name: "v", Value: item.Str("changed")})
	moved := row(item.Str("i"), r)
	for _, c := range []struct {
		what     string
		old, new item.Encoded
		want     string // old, new, moves
	}{
		{"comes", nil, in, "false true false"},
		{"goes", in, nil, "true false false"},
		{"leaves the index", in, out, "true false false"},
		{"stays outside", nil, out, "false false false"},
		{"changes beside the index", in, beside, "false false false"},
		{"changes", in, changed, "true true false"},
		{"moves", in, moved, "true true true"},
		{"stays", in, in, "false false false"},
	} {
		got, err := e.Change(c.old, c.new)
		if err != nil {
			t.Fatal(err)
		}
		if shown := fmt.Sprint(got.Old != nil, got.New != nil, got.Moves()); shown != c.want {
			t.Errorf("an item that %s: %s, want %s", c.what, shown, c.want)
		}
		if got.Touches() != (c.want != "false false false") {
			t.Errorf("an item that %s: touches %v", c.what, got.Touches())
		}
	}
}
