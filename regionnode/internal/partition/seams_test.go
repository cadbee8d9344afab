package partition_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"antipode/regionnode"
	"antipode/regionnode/internal/keys"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/table"
)

// family is a cluster whose partition 3, on nodes 1 to 3, is split while node 3
// hears of nothing. Node 1 is preferred.
type family struct {
	*cluster
	left, right *partition.Partition // on node 1
}

func splitWithoutNode3(t *testing.T, nodes int) *family {
	t.Helper()
	f := &family{cluster: newCluster(t, nodes, smallParts)}
	f.createOn(testSpec(), 1, 2, 3)
	f.left = f.replicaOf(1, 3)
	until(t, func() bool { return f.left.Status().Leading })
	for i := range 60 {
		putItem(t, []*partition.Partition{f.left}, makeItem(fmt.Sprint("p", i), "s", noise(i)))
	}
	f.awaitApplied(3, f.left)
	f.setCut(3, true)
	if _, err := f.left.Split(t.Context(), splitRequest(f.left)); err != nil {
		t.Fatal(err)
	}
	f.right = f.replicaOf(1, 4)
	until(t, func() bool { return f.right.Status().Leading })
	return f
}

// noise is a text that does not get smaller in a file.
func noise(seed int) string {
	rng := rand.New(rand.NewPCG(uint64(seed), 1))
	b := make([]byte, 2000)
	for i := range b {
		b[i] = 'a' + byte(rng.IntN(26))
	}
	return string(b)
}

// remove deletes half of the items, so that whoever has old ones is found out.
func (f *family) remove() {
	f.t.Helper()
	for i := range 60 {
		it := makeItem(fmt.Sprint("p", i), "s", "after")
		key := keyFor(f.t, it)
		w := regionnode.Write{Op: regionnode.PutOp, Key: key, Item: it.Encode()}
		if i%2 == 0 {
			w = regionnode.Write{Op: regionnode.DeleteOp, Key: key}
		}
		p := owner(f.t, []*partition.Partition{f.left, f.right}, key)
		if _, err := p.Write(context.Background(), &regionnode.WriteRequest{Target: at(p), Write: w}); err != nil {
			f.t.Fatal(err)
		}
	}
}

// alike wants both children to be the same on two nodes.
func (f *family) alike(a, b table.NodeID) {
	f.t.Helper()
	for _, p := range []*partition.Partition{f.left, f.right} {
		f.awaitApplied(a, p)
		f.awaitApplied(b, p)
		for _, line := range differences(dumpSpec(f.t, f.nodes[a].store, p.Spec()), dumpSpec(f.t, f.nodes[b].store, p.Spec())) {
			f.t.Errorf("partition %d on node %d: %s", p.ID(), b, line)
		}
	}
}

// count is how many items lie in a partition's range on a node.
func (f *family) count(node table.NodeID, spec *partition.Spec) int {
	f.t.Helper()
	n := 0
	for _, span := range keys.DataSpans(spec.Table, keys.Hashes{Start: spec.Start, End: spec.End}) {
		it, err := f.nodes[node].store.Iterate(span)
		if err != nil {
			f.t.Fatal(err)
		}
		for ok := it.First(); ok; ok = it.Next() {
			n++
		}
		if err := it.Close(); err != nil {
			f.t.Fatal(err)
		}
	}
	return n
}

// TestRightChildMissed has a member get a snapshot of the left child from behind
// the split, so that it has no right child. An empty replica made there becomes
// the third member again: with one of the others away writes go on.
func TestRightChildMissed(t *testing.T) {
	f := splitWithoutNode3(t, 3)
	f.remove()
	f.left.CutLog()
	until(t, func() bool { return len(f.left.Status().Stranded) > 0 })
	f.setCut(3, false)
	f.awaitApplied(3, f.left)
	if f.replicaOf(3, 4) != nil {
		t.Fatal("the right child came by the snapshot of the left one: this tests nothing")
	}
	if n := f.count(3, f.right.Spec()); n > 0 {
		t.Fatalf("%d items of the right child are left where nobody holds it", n)
	}
	host := f.nodes[3].host.Load()
	until(t, func() bool { return host.Installed() == 1 && !host.Overlaps(f.right.Spec()) })
	if err := host.CreateLearner(t.Context(), 4, f.right.Spec().Table, f.right.Spec().Epoch.Members); err != nil {
		t.Fatal(err)
	}
	f.alike(1, 3)
	f.setCut(2, true)
	f.remove()
	f.alike(1, 3)
}

// TestRightChildBesideUnsplitParent makes an empty replica of the right child on a
// node whose replica of the parent has not applied the split yet. It gets nothing
// until that has, and then what lies there from before the split does not show.
func TestRightChildBesideUnsplitParent(t *testing.T) {
	f := splitWithoutNode3(t, 3)
	f.remove()
	host := f.nodes[3].host.Load()
	if !host.Overlaps(f.right.Spec()) {
		t.Fatal("the parent does not hold the range any more: this tests nothing")
	}
	if err := host.CreateLearner(t.Context(), 4, f.right.Spec().Table, f.right.Spec().Epoch.Members); err != nil {
		t.Fatal(err)
	}
	f.setCut(3, false)
	f.alike(1, 3)
	f.stop(f.nodes[3])
	f.start(f.nodes[3])
	f.remove()
	f.alike(1, 3)
}

// TestRemovedBeforeTheSplitCame takes a node out of the right child's members
// before its replica of the parent applies the split: the split makes no replica
// there, also not after a restart, and leaves no items behind.
func TestRemovedBeforeTheSplitCame(t *testing.T) {
	f := splitWithoutNode3(t, 4)
	f.addLearner(4, f.right.Spec().Table, 4)
	spec, err := f.right.ChangeMembers(t.Context(), partition.Change{Epoch: f.right.Spec().Epoch.Members, Promote: []table.NodeID{4}, Remove: []table.NodeID{3}})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.nodes[3].host.Load().DestroyRemoved(t.Context(), 4, spec.Epoch.Members); err != nil {
		t.Fatal(err)
	}
	f.stop(f.nodes[3]) // what is remembered is on disk
	f.start(f.nodes[3])
	f.setCut(3, false)
	f.awaitApplied(3, f.left)
	for range 2 {
		if f.replicaOf(3, 4) != nil {
			t.Fatal("a replica that was removed has come to life")
		}
		if n := f.count(3, f.right.Spec()); n > 0 {
			t.Fatalf("%d items are left where nobody holds them", n)
		}
		f.stop(f.nodes[3])
		f.start(f.nodes[3])
	}
	// The node can be a member again.
	f.addLearner(4, f.right.Spec().Table, 3)
	f.remove()
	f.alike(1, 3)
}

// TestBrokenReplicaIsMadeAnew takes the replicas of one member out of use and
// replaces them on their own node: out of three members, destroyed unread, a
// learner again, a member again. Where bits have flipped, the files go with them.
func TestBrokenReplicaIsMadeAnew(t *testing.T) {
	for name, flipped := range map[string]bool{"flipped": true, "differs": false} {
		t.Run(name, func(t *testing.T) { brokenIsMadeAnew(t, flipped) })
	}
}

func brokenIsMadeAnew(t *testing.T, flipped bool) {
	f := splitWithoutNode3(t, 3)
	f.setCut(3, false)
	f.alike(1, 3)
	n := f.nodes[3]
	f.stop(n)
	f.start(n) // what the store's log held becomes a table file
	if flipped {
		f.stop(n)
		names, err := n.fs.List("db")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, ".sst") {
				flipBitAt(t, n.fs, "db/"+name, 0.8) // among the items
			}
		}
		f.start(n)
		for _, p := range []*partition.Partition{f.left, f.right} {
			if _, err := p.Scrub(t.Context(), nil, 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		until(t, func() bool { return len(n.host.Load().Broken()) > 0 })
	} else {
		for _, id := range []table.PartitionID{3, 4} {
			n.host.Load().Break(id)
		}
	}
	found := len(n.host.Load().Broken())
	f.stop(n)
	f.start(n)
	host := n.host.Load()
	if len(host.Broken()) < found || len(host.Held()) != 2 {
		t.Fatalf("after a restart %v are broken, of %d", host.Broken(), len(host.Held()))
	}
	for id := range host.Broken() {
		if err := host.CreateLearner(t.Context(), id, testSpec().Table, 9); !errors.Is(err, partition.ErrOutOfUse) {
			t.Fatalf("an empty replica takes a broken one's place: %v", err)
		}
	}
	for _, p := range []*partition.Partition{f.left, f.right} {
		if _, broken := host.Broken()[p.ID()]; broken {
			f.renew(p, 3)
		}
	}
	f.remove()
	f.alike(1, 3)
	f.stop(n)
	f.start(n)
	if host = n.host.Load(); len(host.Broken()) > 0 {
		t.Fatalf("broken again after a restart: %v", host.Broken())
	}
	f.setCut(2, true)
	f.remove()
	f.alike(1, 3)
}

// renew replaces a member on its own node, as a controller does.
func (f *family) renew(p *partition.Partition, node table.NodeID) {
	f.t.Helper()
	ctx := f.t.Context()
	var spec *partition.Spec
	until(f.t, func() bool {
		var err error
		spec, err = p.ChangeMembers(ctx, partition.Change{Epoch: p.Spec().Epoch.Members, Remove: []table.NodeID{node}})
		if _, refused := errors.AsType[*partition.CannotChange](err); err != nil && !refused {
			f.t.Fatal(err)
		}
		return err == nil
	})
	if err := f.nodes[node].host.Load().DestroyRemoved(ctx, p.ID(), spec.Epoch.Members); err != nil {
		f.t.Fatal(err)
	}
	f.addLearner(p.ID(), spec.Table, node)
	if _, err := p.ChangeMembers(ctx, partition.Change{Epoch: p.Spec().Epoch.Members, Promote: []table.NodeID{node}}); err != nil {
		f.t.Fatal(err)
	}
}
