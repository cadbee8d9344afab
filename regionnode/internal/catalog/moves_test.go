package catalog

import (
	"errors"
	"slices"
	"testing"

	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// moving makes a catalog of four nodes with one partition on three of them.
func moving(t *testing.T) (*Catalog, *Partition, table.NodeID) {
	t.Helper()
	c := newCatalog(t, newMemoryKV(), func(cfg *Config) { cfg.Replication = 3 })
	for _, name := range []string{"a", "b", "c", "d"} {
		addNode(t, c, name, "")
	}
	if _, err := c.CreateTable(t.Context(), request("t")); err != nil {
		t.Fatal(err)
	}
	if place, err := c.Placement(t.Context()); err != nil || len(place.Partitions) != 0 {
		t.Fatalf("partitions that are not made yet may move: %+v, %v", place, err)
	}
	finish(t, c)
	place, err := c.Placement(t.Context())
	if err != nil || len(place.Partitions) != 1 || len(place.Nodes) != 4 {
		t.Fatalf("placement %+v, %v", place, err)
	}
	p := &place.Partitions[0]
	for _, n := range place.Nodes {
		if !slices.Contains(p.Replicas, n.ID) {
			return c, p, n.ID
		}
	}
	t.Fatal("a partition is on all nodes")
	return nil, nil, 0
}

func (c *Catalog) moveOf(t *testing.T, p *Partition) *Partition {
	t.Helper()
	w, err := c.MoveWork(t.Context(), p.ID)
	if err != nil || w == nil {
		t.Fatalf("work %+v, %v", w, err)
	}
	return &w.Partition
}

func wantConflict(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, ErrConflict) {
		t.Fatalf("got %v, want a conflict", err)
	}
}

func TestAMoveIsAnIntentInTheRow(t *testing.T) {
	c, p, spare := moving(t)
	from := p.Replicas[1]
	for _, m := range []Move{
		{Add: []table.NodeID{from}},
		{Add: []table.NodeID{spare + 99}},
		{Add: []table.NodeID{spare}, Remove: []table.NodeID{spare}},
	} {
		wantConflict(t, c.StartMove(t.Context(), p, m))
	}
	want := Move{Reason: Lost, Add: []table.NodeID{spare}, Remove: []table.NodeID{from}}
	if err := c.StartMove(t.Context(), p, want); err != nil {
		t.Fatal(err)
	}
	wantConflict(t, c.StartMove(t.Context(), p, want))
	work, err := c.Work(t.Context())
	if err != nil || !slices.Equal(work.Moves, []table.PartitionID{p.ID}) {
		t.Fatalf("work %+v, %v", work, err)
	}
	members, err := c.Members(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		if (m.Coming == 1) != (m.Node.ID == spare) || (m.Going == 1) != (m.Node.ID == from) || m.Replicas != map[bool]int{true: 1}[m.Node.ID != spare] {
			t.Errorf("member %+v", m)
		}
	}
	// What is on its way is held already: the node may sweep nothing.
	held := []HeldReplica{{Partition: p.ID, Table: p.Table, Members: 1}}
	for id, orphans := range map[table.NodeID]int{spare: 0, from: 0, spare + 99: 1} {
		if out, err := c.Sweep(t.Context(), &SweepRequest{Node: id, Held: held}); err != nil || len(out.Orphans) != orphans {
			t.Fatalf("sweep of %x: %+v, %v", id, out, err)
		}
	}
	row := c.moveOf(t, p)
	now := []table.NodeID{p.Replicas[0], spare, p.Replicas[2]}
	if err := c.EndMove(t.Context(), row, now, 4); err != nil {
		t.Fatal(err)
	}
	wantConflict(t, c.EndMove(t.Context(), row, now, 5))
	wantConflict(t, c.UndoMove(t.Context(), row))
	out, err := c.Sweep(t.Context(), &SweepRequest{Node: from, Held: held})
	if err != nil || len(out.Orphans) != 1 || out.Orphans[0] != (Orphan{p.ID, 4}) {
		t.Fatalf("swept %+v, %v", out, err)
	}
	// A replica that knows a later membership than the row is nobody's orphan.
	held[0].Members = 5
	if out, err := c.Sweep(t.Context(), &SweepRequest{Node: from, Held: held}); err != nil || len(out.Orphans) != 0 {
		t.Fatalf("swept %+v, %v", out, err)
	}
	m, err := c.Partitions(t.Context(), p.Table)
	if err != nil || m.Partitions[0].Epoch.Members != 4 || m.Partitions[0].Replicas[1].Node != spare {
		t.Fatalf("map %+v, %v", m, err)
	}
	// The order of members can change, their set cannot.
	place, err := c.Placement(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p = &place.Partitions[0]
	for _, order := range [][]table.NodeID{{spare, now[0], now[2]}, {spare, from, now[2]}} {
		if err := c.Prefer(t.Context(), p, order); err != nil {
			t.Fatal(err)
		}
		m, err = c.Partitions(t.Context(), p.Table)
		if err != nil || m.Partitions[0].Leader != spare || m.Partitions[0].Replicas[1].Node != now[0] {
			t.Fatalf("map %+v, %v", m, err)
		}
	}
}

func TestAMoveEndsWithItsTable(t *testing.T) {
	c, p, spare := moving(t)
	if err := c.StartMove(t.Context(), p, Move{Add: []table.NodeID{spare}}); err != nil {
		t.Fatal(err)
	}
	row := c.moveOf(t, p)
	if _, err := c.DeleteTable(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	if w, err := c.MoveWork(t.Context(), p.ID); err != nil || w != nil {
		t.Fatalf("a dropped partition moves: %+v, %v", w, err)
	}
	wantConflict(t, c.EndMove(t.Context(), row, row.Replicas, 2))
	w, err := c.TableWork(t.Context(), "t")
	if err != nil || len(w.Nodes) != 4 || len(w.Partitions[0].Holders()) != 4 {
		t.Fatalf("who destroys it: %+v, %v", w, err)
	}
	finish(t, c)
	out, err := c.Sweep(t.Context(), &SweepRequest{Node: spare, Held: []HeldReplica{{Partition: p.ID, Table: p.Table, Members: 7}}})
	if err != nil || len(out.Orphans) != 1 || out.Orphans[0].Members != 0 {
		t.Fatalf("swept %+v, %v", out, err)
	}
}

// A partition that the catalog does not know, of a table that it knows, may be
// one that it learns of next.
func TestSweepSparesWhatIsNew(t *testing.T) {
	c, p, spare := moving(t)
	held := []HeldReplica{{Partition: p.ID + 1, Table: p.Table, Members: 1}, {Partition: c.System(), Table: table.ID(c.System()), Members: 1}}
	if out, err := c.Sweep(t.Context(), &SweepRequest{Node: spare, Held: held}); err != nil || len(out.Orphans) != 0 {
		t.Fatalf("swept %+v, %v", out, err)
	}
}

func TestTheSystemPartitionHasARow(t *testing.T) {
	c, _, _ := moving(t)
	members := []table.NodeID{BootstrapNode(testRegion, 0), BootstrapNode(testRegion, 1)}
	for range 2 {
		if err := c.AdoptSystem(t.Context(), members, 3); err != nil {
			t.Fatal(err)
		}
		members = members[:1] // the second call changes nothing
	}
	place, err := c.Placement(t.Context())
	if err != nil || len(place.Partitions) != 2 || place.Partitions[0].ID != c.System() || len(place.Partitions[0].Replicas) != 2 || place.Partitions[0].Epoch.Members != 3 {
		t.Fatalf("placement %+v, %v", place, err)
	}
	if names, _, err := c.ListTables(t.Context(), "", 0); err != nil || len(names) != 1 {
		t.Fatalf("tables %v, %v", names, err)
	}
	for i, want := range []bool{true, true, false} {
		may, err := c.MayFound(t.Context(), Node{ID: BootstrapNode(testRegion, i), Name: "late"})
		if err != nil || may != want {
			t.Fatalf("founder %d: %v, %v", i, may, err)
		}
	}
	if _, err := c.MayFound(t.Context(), Node{ID: BootstrapNode(testRegion, 0), Name: "a"}); !apierr.Is(err, apierr.Validation) {
		t.Fatalf("an empty disk of a known node: %v", err)
	}
}

// New tables leave silent nodes out, as long as there are enough others.
func TestPlacementAvoidsSilentNodes(t *testing.T) {
	c, _, spare := moving(t)
	c.Missed(spare, SilentAfter)
	for i, name := range []string{"u", "v"} {
		d, err := c.CreateTable(t.Context(), request(name))
		if err != nil {
			t.Fatal(err)
		}
		m, err := c.Partitions(t.Context(), d.ID)
		if err != nil {
			t.Fatal(err)
		}
		on := false
		for _, h := range m.Partitions[0].Replicas {
			on = on || h.Node == spare
		}
		if on != (i == 1) || len(m.Partitions[0].Replicas) != 3 {
			t.Fatalf("table %s: %+v", name, m.Partitions[0].Replicas)
		}
		for _, h := range m.Partitions[0].Replicas[:1] {
			c.Missed(h.Node, SilentAfter) // now too few answer
		}
	}
}
