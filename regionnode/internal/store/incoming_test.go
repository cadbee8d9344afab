package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode/internal/keys"
	"antipode/regionnode/table"
)

var incomingSpans = []keys.Span{keys.RawPrefix(1, nil), keys.RawPrefix(2, nil)}

// fill replaces both spans with n keys of value each.
func fill(t *testing.T, s *Store, value string, n int) *Incoming {
	t.Helper()
	in, err := s.NewIncoming()
	if err != nil {
		t.Fatal(err)
	}
	in.fileBytes = 1 << 10 // so that a span is several files
	for i, span := range incomingSpans {
		if err := in.Replace(span, false); err != nil {
			t.Fatal(err)
		}
		for k := range n {
			if err := in.Set(keys.Raw(table.PartitionID(i+1), fmt.Appendf(nil, "%s%04d", value, k)), []byte(value)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return in
}

// held tells which values the spans hold, and how many of each.
func held(t *testing.T, s *Store) string {
	t.Helper()
	var out strings.Builder
	for _, span := range incomingSpans {
		counts := map[string]int{}
		it, err := s.Iterate(span)
		if err != nil {
			t.Fatal(err)
		}
		for ok := it.First(); ok; ok = it.Next() {
			counts[string(it.Value())]++
		}
		if err := it.Close(); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(&out, counts)
	}
	return out.String()
}

// TestIncoming replaces spans that hold data, in memory and in files, by fewer
// keys; a crash at any moment leaves all of the old or all of the new, and the
// new once Commit has returned.
func TestIncoming(t *testing.T) {
	const before, after = "map[old:200]map[old:200]", "map[new:150]map[new:150]"
	for _, percent := range []int{0, 50, 100} {
		for _, crash := range []string{"gathering", "gathered", "committed"} {
			t.Run(fmt.Sprint(crash, percent), func(t *testing.T) {
				cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(1, uint64(percent)))}
				fs := vfs.NewCrashableMem()
				s := openAt(t, fs)
				if err := fill(t, s, "old", 200).Commit(context.Background()); err != nil {
					t.Fatal(err)
				}
				// Some of the old is in a memtable, which an ingestion goes above.
				if err := s.SetSync(keys.Raw(1, []byte("old0000")), []byte("old")); err != nil {
					t.Fatal(err)
				}
				in := fill(t, s, "new", 150)
				want := before
				switch crash {
				case "gathered":
					if err := in.endFile(in.span.End); err != nil {
						t.Fatal(err)
					}
				case "committed":
					want = after
					if err := in.Commit(context.Background()); err != nil {
						t.Fatal(err)
					}
					if got := held(t, s); got != want {
						t.Errorf("committed: %s, want %s", got, want)
					}
				}
				clone := fs.CrashClone(cfg)
				in.Discard()
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = openAt(t, clone)
				defer s.Close()
				if got := held(t, s); got != want {
					t.Errorf("after the crash: %s, want %s", got, want)
				}
				if left, err := clone.List(s.incomingDir()); err == nil && len(left) > 0 {
					t.Errorf("left behind: %v", left)
				}
			})
		}
	}
}

// TestPinned reads the state of a moment while it is replaced.
func TestPinned(t *testing.T) {
	s := openAt(t, vfs.NewMem())
	defer s.Close()
	if err := fill(t, s, "old", 10).Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	p := s.Pin(incomingSpans)
	defer p.Close()
	if err := fill(t, s, "new", 10).Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	if v, err := p.GetCopy(keys.Raw(1, []byte("old0003"))); err != nil || string(v) != "old" {
		t.Errorf("pinned value: %q, %v", v, err)
	}
	if v, err := p.GetCopy(keys.Raw(1, []byte("new0003"))); err != nil || v != nil {
		t.Errorf("later value: %q, %v", v, err)
	}
}

func openAt(t *testing.T, fs vfs.FS) *Store {
	t.Helper()
	s, err := Open(Config{Dir: "db", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
