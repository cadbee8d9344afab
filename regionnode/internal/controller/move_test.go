package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/table"
)

// begin makes a region with a table that is at rest.
func begin(t testing.TB, nodes int) *fleet {
	f := newFleet(t, nodes)
	if _, err := f.cat.CreateTable(context.Background(), newTable("t")); err != nil {
		t.Fatal(err)
	}
	f.until("rest", func() error {
		f.mu.Lock()
		made := len(f.groups)
		f.mu.Unlock()
		if made != 4 {
			return fmt.Errorf("%d partitions", made)
		}
		return f.settled()
	})
	return f
}

func (f *fleet) nodeNamed(name string) table.NodeID {
	nodes, err := f.cat.Nodes(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	for _, n := range nodes {
		if n.Name == name {
			return n.ID
		}
	}
	f.t.Fatal("no node " + name)
	return 0
}

func (f *fleet) kill(id table.NodeID, dead bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead[id] = dead
}

// holds tells what a node holds.
func (f *fleet) holds(id table.NodeID) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for k := range f.held {
		if k.node == id {
			n++
		}
	}
	return n
}

// overCrashes runs a story once, and then with the catalog's leader ending at
// each point that the story has passed.
func overCrashes(t *testing.T, nodes int, story func(t *testing.T, f *fleet)) {
	run := func(t *testing.T, at int) *fleet {
		f := begin(t, nodes)
		f.mu.Lock()
		f.crashAt, f.points = at, 0
		f.mu.Unlock()
		story(t, f)
		return f
	}
	points := run(t, -1).points
	t.Logf("%d points", points)
	if points < 20 {
		t.Fatal("too few to be the whole story")
	}
	for at := range points {
		t.Run(fmt.Sprint("crash ", at), func(t *testing.T) {
			t.Parallel()
			run(t, at)
		})
	}
}

// outlive waits until all is at rest, over the crash of a controller, and has
// what that had on its way come late.
func (f *fleet) outlive(what string) {
	f.t.Helper()
	f.until(what, func() error {
		select {
		case <-f.crashed:
			f.restart()
		default:
		}
		return f.settled()
	})
	f.mu.Lock()
	f.crashAt = -1
	f.mu.Unlock()
	f.deliver()
	f.until("nothing has changed by what came late", f.settled)
}

// A node that is gone is replaced, whichever leader of the catalog does it. When
// it comes back it keeps nothing.
func TestANodeIsReplacedOverCrashes(t *testing.T) {
	overCrashes(t, 4, func(t *testing.T, f *fleet) {
		victim := f.nodeNamed("n2")
		f.kill(victim, true)
		f.outlive("the node is replaced")
		f.kill(victim, false)
		f.sweep(victim)
		if left := f.holds(victim); left != 0 {
			t.Fatalf("%d replicas are left on the node that was replaced", left)
		}
	})
}

// A node that is drained holds nothing in the end, and can be removed; its disk
// is not let in again.
func TestANodeIsDrainedOverCrashes(t *testing.T) {
	overCrashes(t, 5, func(t *testing.T, f *fleet) {
		leaver := f.nodeNamed("n0")
		if err := f.cat.DrainNode(t.Context(), leaver, true); err != nil {
			t.Fatal(err)
		}
		f.outlive("the node is drained")
		f.sweep(leaver)
		if left := f.holds(leaver); left != 0 {
			t.Fatalf("%d replicas are left", left)
		}
		if err := f.cat.RemoveNode(t.Context(), leaver); err != nil {
			t.Fatal(err)
		}
		nodes, err := f.cat.Nodes(t.Context())
		if err != nil || slices.ContainsFunc(nodes, func(n catalog.Node) bool { return n.ID == leaver }) {
			t.Fatalf("removed: %+v, %v", nodes, err)
		}
		if _, err := f.cat.RegisterNode(t.Context(), catalog.Node{ID: leaver, Name: "n0", Addr: "x"}); err == nil {
			t.Fatal("a removed node came back")
		}
	})
}

// A node that was to get a replica ends before it has it: the partition goes
// elsewhere, and what adds it late, from a leader that ended, has no effect.
func TestAMoveIsGivenUpOverCrashes(t *testing.T) {
	undone := 0
	overCrashes(t, 5, func(t *testing.T, f *fleet) {
		leaver := f.nodeNamed("n1")
		var to table.NodeID
		f.mu.Lock()
		f.onAdd = func(id table.NodeID) {
			if to == 0 {
				to, f.dead[id] = id, true
			}
		}
		f.mu.Unlock()
		if err := f.cat.DrainNode(t.Context(), leaver, true); err != nil {
			t.Fatal(err)
		}
		f.outlive("the replicas came elsewhere")
		f.mu.Lock()
		defer f.mu.Unlock()
		for id, g := range f.groups {
			if g.holds(to) || g.holds(leaver) {
				t.Fatalf("partition %d: %+v", id, g)
			}
		}
		undone += f.control.Moves()["undone"]
	})
	if undone == 0 {
		t.Fatal("nothing was given up")
	}
}

// A move is given up before its node was a learner. The call that adds it, of a
// leader that ended, comes when all is done: it must find another membership.
func TestALateLearnerIsRefused(t *testing.T) {
	f := begin(t, 4)
	f.stop()
	f.ended.Wait()
	place, err := f.cat.Placement(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	row := &place.Partitions[1]
	spare := slices.IndexFunc(place.Nodes, func(n catalog.Node) bool { return !slices.Contains(row.Replicas, n.ID) })
	to := place.Nodes[spare].ID
	if err := f.cat.StartMove(t.Context(), row, catalog.Move{Reason: catalog.Spread, Add: []table.NodeID{to}, Remove: row.Replicas[:1]}); err != nil {
		t.Fatal(err)
	}
	late := &MembersRequest{Partition: row.ID, Epoch: row.Epoch.Members, AddLearners: []table.NodeID{to}}
	work, err := f.cat.MoveWork(t.Context(), row.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.cat.UndoMove(t.Context(), &work.Partition); err != nil {
		t.Fatal(err)
	}
	if err := f.control.runMove(t.Context(), row.ID); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	leader := f.groups[row.ID].leader
	f.mu.Unlock()
	host := fleetNodes{f, f.life}.Host(catalog.Node{ID: leader})
	if _, stale := errors.AsType[*regionnode.Stale](host.ChangeMembers(t.Context(), late)); !stale {
		t.Fatal("a late call made a learner")
	}
	if err := f.settled(); err != nil {
		t.Fatal(err)
	}
}

// A node that does not answer the catalog's leader, but partitions' leaders, is
// not replaced.
func TestAPathThatIsCutIsNoDeath(t *testing.T) {
	f := begin(t, 4)
	victim := f.nodeNamed("n2")
	f.mu.Lock()
	changes := 0
	for _, g := range f.groups {
		changes += g.changes
	}
	f.mu.Unlock()
	host := fleetNodes{f, f.life}.Host(catalog.Node{ID: victim})
	cut := &cutNodes{fleetNodes{f, f.life}, victim}
	control, err := New(Config{Catalog: f.cat, Nodes: cut, ReplaceAfter: 30 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := host.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.stop()
	f.ended.Wait()
	tend := newTender(control)
	for range 10 {
		f.cat.Missed(victim, time.Second)
		if err := tend.round(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	place, err := f.cat.Placement(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range place.Partitions {
		if p.Move != nil {
			t.Fatalf("partition %d moves: %+v", p.ID, p.Move)
		}
	}
	f.kill(victim, true)
	if err := tend.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	work, err := f.cat.Work(t.Context())
	if err != nil || len(work.Moves) == 0 {
		t.Fatalf("dead for all, and not replaced: %+v, %v", work, err)
	}
}

type cutNodes struct {
	fleetNodes
	from table.NodeID
}

func (n *cutNodes) Host(row catalog.Node) Host {
	if row.ID == n.from {
		return &silentHost{}
	}
	return n.fleetNodes.Host(row)
}

type silentHost struct{ Host }

func (silentHost) Ping(context.Context) (*Holdings, error) { return nil, errGone }
func (silentHost) Membership(context.Context, *MembershipRequest) (*Membership, error) {
	return nil, errGone
}

// New nodes get their share of replicas and leaderships.
func TestNewNodesGetTheirShare(t *testing.T) {
	f := begin(t, 3)
	for i := range 3 {
		if _, err := f.cat.CreateTable(t.Context(), newTable(fmt.Sprint("more", i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.cat.RegisterNode(t.Context(), catalog.Node{Name: "new", Addr: "new"}); err != nil {
		t.Fatal(err)
	}
	id := f.nodeNamed("new")
	f.until("the new node has its share", func() error {
		if err := f.settled(); err != nil {
			return err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		holds, leads := 0, 0
		for _, g := range f.groups {
			if slices.Contains(g.members, id) {
				holds++
			}
			if g.leader == id {
				leads++
			}
		}
		if holds < 7 || leads < 2 {
			return fmt.Errorf("it holds %d of 12 and leads %d", holds, leads)
		}
		return nil
	})
}

// A node with replicas cannot be removed while it answers; dead, it is replaced
// at once.
func TestRemoveANode(t *testing.T) {
	f := begin(t, 4)
	victim := f.nodeNamed("n1")
	if err := f.cat.RemoveNode(t.Context(), victim); !apierr.Is(err, apierr.ResourceInUse) {
		t.Fatalf("a node that serves: %v", err)
	}
	f.kill(victim, true)
	f.cat.Missed(victim, time.Hour)
	if err := f.cat.RemoveNode(t.Context(), victim); err != nil {
		t.Fatal(err)
	}
	if err := f.cat.DrainNode(t.Context(), victim, false); !apierr.Is(err, apierr.ResourceInUse) {
		t.Fatalf("undrained while it is removed: %v", err)
	}
	f.until("it is gone", func() error {
		nodes, err := f.cat.Nodes(t.Context())
		if err == nil && len(nodes) != 3 {
			err = fmt.Errorf("%d nodes", len(nodes))
		}
		return errors.Join(err, f.settled())
	})
	if err := f.cat.RemoveNode(t.Context(), victim); err != nil {
		t.Fatalf("again: %v", err)
	}
	fresh, err := f.cat.RegisterNode(t.Context(), catalog.Node{Name: "n1", Addr: "n1"})
	if err != nil || fresh.ID == victim {
		t.Fatalf("a new disk under the old name: %+v, %v", fresh, err)
	}
}
