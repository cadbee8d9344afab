package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode/internal/keys"
	"antipode/regionnode/table"
)

func open(t *testing.T, fs vfs.FS) *Store {
	t.Helper()
	s, err := Open(Config{Dir: "db", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func createLog(t *testing.T, s *Store, id table.PartitionID) *RaftLog {
	t.Helper()
	b := s.NewBatch()
	if err := CreateRaftLog(b, id, 10, 5, HardState{Term: 5, Commit: 10}); err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(b); err != nil {
		t.Fatal(err)
	}
	l, _, err := s.OpenRaftLog(id)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func entries(term, from, to uint64) []Entry {
	var out []Entry
	for i := from; i <= to; i++ {
		out = append(out, Entry{Index: i, Term: term, Kind: 2, Data: []byte(fmt.Sprintf("%d@%d", i, term))})
	}
	return out
}

func (s *Store) appendAndWait(t *testing.T, a Append) {
	t.Helper()
	done := make(chan error, 1)
	a.Done = func(err error) { done <- err }
	s.Append(a)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// describe reads a whole log through its public face.
func describe(t *testing.T, l *RaftLog) string {
	t.Helper()
	start, term := l.Start()
	out := fmt.Sprintf("start %d@%d:", start, term)
	if l.Last() == start {
		return out
	}
	all, err := l.Entries(start+1, l.Last()+1, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		out += " " + string(e.Data)
		if term, err := l.Term(e.Index); err != nil || term != e.Term {
			t.Fatalf("term of %d is %d, %v", e.Index, term, err)
		}
	}
	return out
}

// TestRaftLog appends, overwrites and truncates, and opens the log again after
// each step.
func TestRaftLog(t *testing.T) {
	s := open(t, vfs.NewMem())
	l := createLog(t, s, 3)
	other := createLog(t, s, 4)
	s.appendAndWait(t, Append{Log: other, Entries: entries(5, 11, 12)})
	check := func(want string) {
		t.Helper()
		again, _, err := s.OpenRaftLog(3)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range []*RaftLog{l, again} {
			if got := describe(t, l); got != want {
				t.Fatalf("%s, want %s", got, want)
			}
		}
	}
	check("start 10@5:")
	s.appendAndWait(t, Append{Log: l, Hard: &HardState{Term: 6, Vote: 2, Commit: 10}, Entries: entries(6, 11, 14)})
	check("start 10@5: 11@6 12@6 13@6 14@6")
	s.appendAndWait(t, Append{Log: l, Entries: entries(7, 12, 12)})
	check("start 10@5: 11@6 12@7")
	s.appendAndWait(t, Append{Log: l, Entries: entries(8, 13, 15)})
	b := s.NewBatch()
	if err := l.Truncate(b, 13, 8); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(b); err != nil {
		t.Fatal(err)
	}
	l.Truncated(13, 8)
	check("start 13@8: 14@8 15@8")
	if _, err := l.Entries(13, 15, 1<<30); !errors.Is(err, ErrTruncated) {
		t.Fatalf("entries before the start: %v", err)
	}
	if got, err := l.Entries(14, 16, 1); err != nil || len(got) != 1 {
		t.Fatalf("limited to one byte: %d entries, %v", len(got), err)
	}
	if _, hard, err := s.OpenRaftLog(3); err != nil || hard != (HardState{Term: 6, Vote: 2, Commit: 10}) {
		t.Fatal(hard, err)
	}
	if got := describe(t, other); got != "start 10@5: 11@5 12@5" {
		t.Fatalf("the other log has %s", got)
	}
}

// TestGroupCommit lets many partitions append at once: each in order, all
// durable, with fewer syncs than appends (I1).
func TestGroupCommit(t *testing.T) {
	const partitions, each = 16, 50
	fs := vfs.NewCrashableMem()
	s := open(t, fs)
	logs := make([]*RaftLog, partitions)
	for i := range logs {
		logs[i] = createLog(t, s, table.PartitionID(i+1))
	}
	before := s.Syncs()
	var done sync.WaitGroup
	var last [partitions]atomic.Uint64
	for n := uint64(11); n < 11+each; n++ {
		for i, l := range logs {
			done.Add(1)
			s.Append(Append{Log: l, Entries: entries(6, n, n), Done: func(err error) {
				defer done.Done()
				if err != nil {
					t.Error(err)
				}
				if was := last[i].Swap(n); was != n-1 && n > 11 {
					t.Errorf("partition %d: %d done after %d", i+1, n, was)
				}
			}})
		}
	}
	done.Wait()
	if syncs := s.Syncs() - before; syncs >= partitions*each/2 {
		t.Errorf("%d syncs for %d appends", syncs, partitions*each)
	}
	after := open(t, fs.CrashClone(vfs.CrashCloneCfg{}))
	for i := range logs {
		l, _, err := after.OpenRaftLog(table.PartitionID(i + 1))
		if err != nil || l.Last() != 10+each {
			t.Fatalf("partition %d: last %d, %v", i+1, l.Last(), err)
		}
	}
}

// TestCrashOrder crashes with any part of what was not synced: a log never has a
// hole, never loses what was acknowledged, and applied state never runs ahead
// of it.
func TestCrashOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, percent := range []int{0, 30, 70, 100} {
		fs := vfs.NewCrashableMem()
		s := open(t, fs)
		l := createLog(t, s, 1)
		for n := uint64(11); n < 40; n++ {
			s.appendAndWait(t, Append{Log: l, Entries: entries(6, n, n)})
			b := s.NewBatch()
			if err := b.Set(keys.Applied(1), []byte{byte(n)}, nil); err != nil {
				t.Fatal(err)
			}
			if err := s.Apply(b); err != nil {
				t.Fatal(err)
			}
			if n%7 != 0 {
				continue
			}
			after, err := Open(Config{Dir: "db", FS: fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})})
			if err != nil {
				t.Fatal(err)
			}
			al, _, err := after.OpenRaftLog(1)
			if err != nil || al.Last() != n {
				t.Fatalf("%d %%: last is %d of %d, %v", percent, al.Last(), n, err)
			}
			applied, err := after.GetCopy(keys.Applied(1))
			if err != nil || len(applied) > 0 && uint64(applied[0]) > n {
				t.Fatalf("%d %%: applied %v, %v", percent, applied, err)
			}
			if err := after.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestGet reads present, empty and absent keys in both ways.
func TestGet(t *testing.T) {
	s := open(t, vfs.NewMem())
	if err := s.SetSync([]byte("present"), []byte("v")); err != nil {
		t.Fatal(err)
	}
	if err := s.SetSync([]byte("empty"), nil); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"present": "v", "empty": "", "absent": "none"} {
		v, closer, err := s.GetNew([]byte(key))
		if err != nil {
			t.Fatal(err)
		}
		got := "none"
		if closer != nil {
			got = string(v)
			if err := closer.Close(); err != nil {
				t.Fatal(err)
			}
		}
		c, err := s.GetCopy([]byte(key))
		if err != nil || (c == nil) != (want == "none") || c != nil && string(c) != want || got != want {
			t.Errorf("%s: %q and %q, %v", key, got, c, err)
		}
	}
}

// TestClose fails what comes after it.
func TestClose(t *testing.T) {
	s, err := Open(Config{Dir: "db", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	s.Append(Append{Done: func(err error) { done <- err }})
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}
