package node

import (
	"fmt"
	"testing"

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
