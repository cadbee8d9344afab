package store

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode/internal/keys"
)

// acknowledge syncs groups of one key each, with unsynced batches in between as
// partitions make them, and loses the process behind the last one.
func acknowledge(t *testing.T, fs *vfs.MemFS, groups int) *vfs.MemFS {
	t.Helper()
	s := open(t, fs)
	for i := range groups {
		if err := s.SetSync(keys.Raw(1, fmt.Appendf(nil, "%04d", i)), []byte(strings.Repeat("x", i%40))); err != nil {
			t.Fatal(err)
		}
		b := s.NewBatch()
		if err := b.Set(keys.Raw(2, fmt.Appendf(nil, "%04d", i)), nil, nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Apply(b); err != nil {
			t.Fatal(err)
		}
	}
	return fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
}

// acknowledged counts what is there of it.
func acknowledged(t *testing.T, s *Store) (n int) {
	t.Helper()
	it, err := s.Iterate(keys.RawPrefix(1, nil))
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestFlippedLog turns each byte of the newest log by one bit, one at a time: the
// store is refused as corrupt, or has everything that was acknowledged. The
// last record is where Pebble alone would take the flip for a torn end.
func TestFlippedLog(t *testing.T) {
	const groups = 12
	disk := acknowledge(t, vfs.NewCrashableMem(), groups)
	name, size := newestLog(t, disk)
	refused := 0
	for at := range size {
		fs := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
		turn(t, fs, name, at, byte(1)<<(at%8))
		s, err := Open(Config{Dir: "db", FS: fs})
		if err != nil {
			if !pebble.IsCorruptionError(err) {
				t.Fatalf("byte %d of %s: refused otherwise: %v", at, name, err)
			}
			refused++
			continue
		}
		if n := acknowledged(t, s); n != groups {
			t.Fatalf("byte %d of %s: %d of %d acknowledged groups are left, and nobody is told", at, name, n, groups)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if refused < size/2 {
		t.Errorf("only %d of %d flips were noticed", refused, size)
	}
}

// TestMark has stores with an older mark, a broken one and none: they open, and
// the next life has a mark again.
func TestMark(t *testing.T) {
	const groups = 5
	for what, spoil := range map[string]func(fs vfs.FS){
		"none":   func(fs vfs.FS) { check(t, fs.Remove("db/"+markName)) },
		"broken": func(fs vfs.FS) { turn(t, fs, "db/"+markName, 11, 1) },
		"short": func(fs vfs.FS) {
			f, err := fs.Create("db/"+markName, vfs.WriteCategoryUnspecified)
			check(t, err)
			check(t, f.Close())
		},
		"intact": func(vfs.FS) {},
	} {
		t.Run(what, func(t *testing.T) {
			fs := acknowledge(t, vfs.NewCrashableMem(), groups)
			spoil(fs)
			s, err := Open(Config{Dir: "db", FS: fs})
			check(t, err)
			if n := acknowledged(t, s); n != groups {
				t.Errorf("%d of %d", n, groups)
			}
			check(t, s.Close())
			fs = acknowledge(t, fs, groups)
			name, size := newestLog(t, fs)
			turn(t, fs, name, size/2, 1)
			if s, err := Open(Config{Dir: "db", FS: fs}); !pebble.IsCorruptionError(err) {
				t.Errorf("the next life's loss is not noticed: %v", err)
				check(t, s.Close())
			}
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newestLog is the log that was written last, and how many bytes of it are used.
func newestLog(t *testing.T, fs vfs.FS) (name string, used int) {
	t.Helper()
	names, err := fs.List("db")
	check(t, err)
	for _, n := range names {
		if strings.HasSuffix(n, ".log") {
			name = max(name, "db/"+n)
		}
	}
	f, err := fs.Open(name)
	check(t, err)
	defer f.Close()
	info, err := f.Stat()
	check(t, err)
	content := make([]byte, info.Size())
	_, err = f.ReadAt(content, 0)
	check(t, err)
	return name, len(strings.TrimRight(string(content), "\x00"))
}

// turn flips bits of one byte of a file.
func turn(t *testing.T, fs vfs.FS, name string, at int, bits byte) {
	t.Helper()
	f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	check(t, err)
	defer f.Close()
	one := make([]byte, 1)
	_, err = f.ReadAt(one, int64(at))
	check(t, err)
	one[0] ^= bits
	_, err = f.WriteAt(one, int64(at))
	check(t, err)
}
