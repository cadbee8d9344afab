package node

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode/internal/catalog"
)

// TestBrokenReplicasAreMadeAnew takes all replicas of one node out of use, that of
// the catalog among them, under load, and wants them whole again by themselves: on
// another node or, where there is none, on the same. Nothing acknowledged is lost.
func TestBrokenReplicasAreMadeAnew(t *testing.T) {
	for _, nodes := range []int{3, 4} {
		t.Run(fmt.Sprint(nodes, " nodes"), func(t *testing.T) {
			b := newBand(t, nodes)
			b.until("all replicas are there", func() error { return b.rest() })
			end := b.load()
			victim := b.nodes[1]
			held := victim.partitions.Partitions()
			for _, p := range held {
				p.Condemn("test")
			}
			if n := len(victim.partitions.Broken()); n != len(held) {
				t.Fatalf("%d of %d are out of use", n, len(held))
			}
			b.until("they are made anew", func() error {
				if broken := victim.partitions.Broken(); len(broken) > 0 {
					return fmt.Errorf("broken: %v", broken)
				}
				return b.rest()
			})
			end()
		})
	}
}

// TestANodeAsksWhatItLacks leaves one replica out of what a node says it holds.
func TestANodeAsksWhatItLacks(t *testing.T) {
	b := newBand(t, 3)
	b.until("all replicas are there", func() error { return b.rest() })
	held := b.nodes[1].sweepable(true)
	lacks := held[len(held)-1]
	for i, h := range held {
		if h.Partition != b.nodes[1].catalog.System() {
			lacks, held = h, append(held[:i], held[i+1:]...)
			break
		}
	}
	out, err := b.nodes[1].registry.Sweep(t.Context(), &catalog.SweepRequest{Node: b.nodes[1].id, Held: held, All: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Lacking) != 1 || out.Lacking[0].Partition != lacks.Partition || len(out.Orphans) > 0 {
		t.Fatalf("node 1 lacks %d and is told %+v", lacks.Partition, out)
	}
	// What is held here already, or overlaps, is not made.
	if err := b.nodes[1].complete(t.Context(), out.Lacking); err != nil {
		t.Fatal(err)
	}
	if err := b.rest(); err != nil {
		t.Fatal(err)
	}
}

// TestACorruptStoreIsNamed flips bits in what a store needs to be opened at all,
// and wants a sentence that says what to do.
func TestACorruptStoreIsNamed(t *testing.T) {
	for _, kind := range []string{"MANIFEST", ".log"} {
		t.Run(kind, func(t *testing.T) {
			b := newBand(t, 3)
			b.until("all replicas are there", func() error { return b.rest() })
			// Pebble tells a broken log from one that a crash has torn only by what
			// follows in later blocks of 32 KB.
			for i := range 40 {
				if err := b.put(fmt.Sprint(i), strings.Repeat("x", 10_000)); err != nil {
					t.Fatal(err)
				}
			}
			b.stop(1)
			names, err := b.disks[1].List("db")
			if err != nil {
				t.Fatal(err)
			}
			flipped := 0
			for _, name := range names {
				if strings.Contains(name, kind) {
					flipped += flip(t, b.disks[1], "db/"+name)
				}
			}
			if flipped == 0 {
				t.Fatalf("nothing to break in %v", names)
			}
			if err := b.start(1); err == nil || !strings.Contains(err.Error(), "antipode node remove n1") {
				t.Fatalf("a node with a broken %s starts: %v", kind, err)
			}
		})
	}
}

// flip turns a bit near the begin of a file that has content.
func flip(t *testing.T, fs vfs.FS, name string) int {
	t.Helper()
	f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() == 0 {
		return 0
	}
	one := make([]byte, 1)
	if _, err := f.ReadAt(one, info.Size()/8); err != nil {
		t.Fatal(err)
	}
	one[0] ^= 4
	if _, err := f.WriteAt(one, info.Size()/8); err != nil {
		t.Fatal(err)
	}
	return 1
}
