package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/ring"
	"antipode/regionnode/table"
)

func newCatalog(t testing.TB, kv KV, change func(*Config)) *Catalog {
	t.Helper()
	cfg := Config{KV: kv, Region: testRegion}
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func addNode(t testing.TB, c *Catalog, name, zone string) Node {
	t.Helper()
	n, err := c.RegisterNode(t.Context(), Node{Name: name, Addr: name + ":1", Zone: zone})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func request(name string, globals ...string) *regionnode.CreateTableRequest {
	d := table.Descriptor{Name: name, Attributes: []table.Attribute{{Name: "pk", Type: "S"}}, Key: table.KeySchema{Hash: []string{"pk"}}, BillingMode: "PAY_PER_REQUEST"}
	for _, g := range globals {
		d.Globals = append(d.Globals, table.Index{Name: g, Key: table.KeySchema{Hash: []string{"pk"}}, Projection: table.Projection{Type: "ALL"}})
	}
	return &regionnode.CreateTableRequest{Descriptor: d}
}

// finish plays the controller: everything that there is to do gets done.
func finish(t testing.TB, c *Catalog) {
	t.Helper()
	for {
		work, err := c.Work(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(work.Tables) == 0 {
			return
		}
		for _, name := range work.Tables {
			w, err := c.TableWork(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range w.Descriptor.Globals {
				if w.Pushed >= w.Descriptor.Generation && x.Status == table.Creating {
					if err := c.FinishIndex(t.Context(), name, x.Table); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := c.FinishTable(t.Context(), w); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func describe(t testing.TB, c *Catalog, name string) *table.Descriptor {
	t.Helper()
	d, err := c.DescribeTable(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func wantError(t testing.TB, err error, code apierr.Code, message string) {
	t.Helper()
	if e := apierr.Of(err); e == nil || e.Code != code || e.Message != message {
		t.Fatalf("got %v, want %s: %s", err, code, message)
	}
}

func TestATableLivesAndDies(t *testing.T) {
	fs := vfs.NewMem()
	kv, stop := openSystem(t, fs)
	c := newCatalog(t, kv, nil)
	addNode(t, c, "a", "")
	d, err := c.CreateTable(t.Context(), request("orders", "byDate"))
	if err != nil {
		t.Fatal(err)
	}
	if d.Status != table.Creating || d.Globals[0].Status != table.Creating || d.ID == 0 || d.Globals[0].Table == 0 || len(d.UUID) != 36 || d.Account != "000000000000" {
		t.Fatalf("created %+v", d)
	}
	_, err = c.CreateTable(t.Context(), request("orders"))
	wantError(t, err, apierr.ResourceInUse, "Table already exists: orders")
	_, err = c.DeleteTable(t.Context(), "orders")
	wantError(t, err, apierr.ResourceInUse, "Attempt to change a resource which is still in use: Table is being created: orders")

	// The leader's process dies before the partitions are made.
	stop()
	kv, stop = openSystem(t, fs)
	defer stop()
	c = newCatalog(t, kv, nil)
	work, err := c.Work(t.Context())
	if err != nil || !slices.Equal(work.Tables, []string{"orders"}) {
		t.Fatalf("work after a restart: %+v, %v", work, err)
	}
	finish(t, c)
	if d = describe(t, c, "orders"); d.Status != table.Active || d.Globals[0].Status != table.Active {
		t.Fatalf("finished: %+v", d)
	}
	for _, id := range []table.ID{d.ID, d.Globals[0].Table} {
		m, err := c.Partitions(t.Context(), id)
		if err != nil || len(m.Partitions) != 1 || m.Partitions[0].Replicas[0].Addr != "a:1" {
			t.Fatalf("partitions of %d: %+v, %v", id, m, err)
		}
		if byID, err := c.TableByID(t.Context(), id); err != nil || byID.Name != "orders" {
			t.Fatalf("table %d: %v, %v", id, byID, err)
		}
	}

	if d, err = c.DeleteTable(t.Context(), "orders"); err != nil || d.Status != table.Deleting {
		t.Fatalf("deleted: %+v, %v", d, err)
	}
	_, err = c.DeleteTable(t.Context(), "orders")
	wantError(t, err, apierr.ResourceInUse, "Attempt to change a resource which is still in use: Table is being deleted: orders")
	finish(t, c)
	_, err = c.DescribeTable(t.Context(), "orders")
	wantError(t, err, apierr.ResourceNotFound, "Requested resource not found: Table: orders not found")
	if rows, _ := kv.Scan(t.Context(), []byte(partitionPrefix)); len(rows) != 0 {
		t.Fatalf("partitions are left: %v", rows)
	}
}

func TestUpdatesCompareAndSet(t *testing.T) {
	c := newCatalog(t, newMemoryKV(), nil)
	addNode(t, c, "a", "")
	if _, err := c.CreateTable(t.Context(), request("t")); err != nil {
		t.Fatal(err)
	}
	finish(t, c)
	seen := *describe(t, c, "t")
	first, second := seen, seen
	first.Protected, first.Class = true, "STANDARD_INFREQUENT_ACCESS"
	d, err := c.UpdateTable(t.Context(), &regionnode.UpdateTableRequest{Descriptor: first})
	if err != nil || d.Status != table.Updating || d.Generation <= seen.Generation {
		t.Fatalf("updated: %+v, %v", d, err)
	}
	second.BillingMode = "PROVISIONED"
	inUse := "Attempt to change a resource which is still in use: Table is being updated: t"
	_, err = c.UpdateTable(t.Context(), &regionnode.UpdateTableRequest{Descriptor: second})
	wantError(t, err, apierr.ResourceInUse, inUse)
	finish(t, c)
	_, err = c.UpdateTable(t.Context(), &regionnode.UpdateTableRequest{Descriptor: second})
	wantError(t, err, apierr.ResourceInUse, inUse)
	_, err = c.DeleteTable(t.Context(), "t")
	wantError(t, err, apierr.Validation, "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	if d := describe(t, c, "t"); !d.Protected || d.BillingMode != "PAY_PER_REQUEST" || d.Status != table.Active {
		t.Fatalf("after the race: %+v", d)
	}
	_, err = c.UpdateTable(t.Context(), &regionnode.UpdateTableRequest{Descriptor: table.Descriptor{Name: "none"}})
	wantError(t, err, apierr.ResourceNotFound, "Requested resource not found: Table: none not found")
}

func TestTagsAndTTLLeaveATableActive(t *testing.T) {
	c := newCatalog(t, newMemoryKV(), nil)
	addNode(t, c, "a", "")
	if _, err := c.CreateTable(t.Context(), request("t")); err != nil {
		t.Fatal(err)
	}
	finish(t, c)
	d := *describe(t, c, "t")
	d.Tags = []table.Tag{{Key: "k", Value: "v"}}
	d.TTL = &table.TTL{Attribute: "at", Status: "ENABLING"}
	got, err := c.UpdateTable(t.Context(), &regionnode.UpdateTableRequest{Descriptor: d})
	if err != nil || got.Status != table.Active {
		t.Fatalf("tagged: %+v, %v", got, err)
	}
	if work, _ := c.Work(t.Context()); !slices.Equal(work.Tables, []string{"t"}) {
		t.Fatalf("partitions are not told: %+v", work)
	}
	finish(t, c)
	if d := describe(t, c, "t"); d.TTL.Status != "ENABLED" || len(d.Tags) != 1 {
		t.Fatalf("finished: %+v", d)
	}
}

func TestGlobalIndexesComeAndGo(t *testing.T) {
	c := newCatalog(t, newMemoryKV(), func(cfg *Config) { cfg.Partitions = 3 })
	addNode(t, c, "a", "")
	if _, err := c.CreateTable(t.Context(), request("t")); err != nil {
		t.Fatal(err)
	}
	finish(t, c)
	d := *describe(t, c, "t")
	d.Globals = request("t", "x").Descriptor.Globals
	got, err := c.UpdateTable(t.Context(), &regionnode.UpdateTableRequest{Descriptor: d})
	if err != nil || got.Status != table.Updating || got.Globals[0].Status != table.Creating || !got.Globals[0].Backfilling {
		t.Fatalf("added: %+v, %v", got, err)
	}
	id := got.Globals[0].Table
	if m, err := c.Partitions(t.Context(), id); err != nil || len(m.Partitions) != 3 {
		t.Fatalf("index partitions: %+v, %v", m, err)
	}
	w, err := c.TableWork(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.FinishTable(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if d := describe(t, c, "t"); d.Status != table.Active || d.Globals[0].Status != table.Creating {
		t.Fatalf("while the index is built: %+v", d)
	}
	_, err = c.DeleteTable(t.Context(), "t")
	wantError(t, err, apierr.ResourceInUse, "Attempt to change a resource which is still in use: Cannot delete table while indexes are being created, updated, or deleted.")
	finish(t, c)
	if d := describe(t, c, "t"); d.Globals[0].Status != table.Active || d.Globals[0].Backfilling {
		t.Fatalf("built: %+v", d)
	}

	d = *describe(t, c, "t")
	d.Globals = nil
	if got, err = c.UpdateTable(t.Context(), &regionnode.UpdateTableRequest{Descriptor: d}); err != nil || got.Globals[0].Status != table.Deleting {
		t.Fatalf("removed: %+v, %v", got, err)
	}
	_, err = c.Partitions(t.Context(), id)
	wantError(t, err, apierr.ResourceNotFound, "Requested resource not found")
	finish(t, c)
	if d := describe(t, c, "t"); len(d.Globals) != 0 || d.Status != table.Active {
		t.Fatalf("gone: %+v", d)
	}
	if _, err := c.TableByID(t.Context(), id); err == nil {
		t.Fatal("the index's id still finds the table")
	}
}

func TestPartitionsSpreadOverNodesAndZones(t *testing.T) {
	c := newCatalog(t, newMemoryKV(), func(cfg *Config) { cfg.Partitions, cfg.Replication = 9, 3 })
	zones := map[table.NodeID]string{}
	for i := range 6 {
		n := addNode(t, c, fmt.Sprint("n", i), fmt.Sprint("z", i%3))
		zones[n.ID] = n.Zone
	}
	drained := addNode(t, c, "leaving", "z0")
	if err := c.DrainNode(t.Context(), drained.ID, true); err != nil {
		t.Fatal(err)
	}
	d, err := c.CreateTable(t.Context(), request("t"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Partitions(t.Context(), d.ID)
	if err != nil {
		t.Fatal(err)
	}
	var starts []uint64
	load := map[table.NodeID]int{}
	for _, p := range m.Partitions {
		starts = append(starts, p.Start)
		seen := map[string]bool{}
		for _, h := range p.Replicas {
			load[h.Node]++
			seen[zones[h.Node]] = true
		}
		if len(p.Replicas) != 3 || len(seen) != 3 {
			t.Fatalf("replicas %+v", p.Replicas)
		}
	}
	if len(starts) != 9 || !ring.Covers(starts) {
		t.Fatalf("starts %x", starts)
	}
	for id := range zones {
		if load[id] < 4 || load[id] > 5 {
			t.Fatalf("load %v", load)
		}
	}
	if load[drained.ID] != 0 {
		t.Fatal("a draining node got replicas")
	}
}

func TestANodeKeepsItsIdentity(t *testing.T) {
	c := newCatalog(t, newMemoryKV(), nil)
	first, err := c.RegisterNode(t.Context(), Node{ID: BootstrapNode(testRegion, 0), Name: "a", Addr: "a:1"})
	if err != nil || first.ID != BootstrapNode(testRegion, 0) || first.Epoch != 1 {
		t.Fatalf("bootstrap: %+v, %v", first, err)
	}
	again, err := c.RegisterNode(t.Context(), Node{ID: first.ID, Name: "a", Addr: "a:2", Zone: "z"})
	if err != nil || again.ID != first.ID || again.Epoch != 2 || again.Addr != "a:2" {
		t.Fatalf("again: %+v, %v", again, err)
	}
	if _, err := c.RegisterNode(t.Context(), Node{ID: first.ID, Name: "thief", Addr: "b:1"}); err == nil {
		t.Fatal("an id was given away")
	}
	if _, err := c.RegisterNode(t.Context(), Node{ID: BootstrapNode("eu-west-1", 0), Name: "stranger", Addr: "b:1"}); err == nil {
		t.Fatal("another region's id was accepted")
	}
	second := addNode(t, c, "b", "")
	if second.ID == first.ID || ring.TagOf(uint64(second.ID)) != ring.Tag(testRegion) {
		t.Fatalf("second: %+v", second)
	}
	third, err := c.RegisterNode(t.Context(), Node{Name: "b", Addr: "b:2"})
	if err != nil || third.ID == second.ID || third.Epoch != 1 {
		t.Fatalf("a new disk of a node that held nothing: %+v, %v", third, err)
	}
	if _, err := c.RegisterNode(t.Context(), Node{ID: second.ID, Name: "b", Addr: "b:1"}); err == nil {
		t.Fatal("the old disk came back")
	}
	if _, err := c.RegisterNode(t.Context(), Node{ID: third.ID + 1, Name: "d", Addr: "d:1"}); err == nil {
		t.Fatal("an id that was never given is accepted")
	}
	if _, err := c.CreateTable(t.Context(), request("t")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateTable(t.Context(), request("u")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		if n, err := c.RegisterNode(t.Context(), Node{Name: name, Addr: name}); err == nil {
			t.Fatalf("a new disk speaks in the name of one with replicas: %+v", n)
		}
	}
}

func TestListTablesPages(t *testing.T) {
	c := newCatalog(t, newMemoryKV(), nil)
	addNode(t, c, "a", "")
	for _, name := range []string{"b", "a", "c", "B"} {
		if _, err := c.CreateTable(t.Context(), request(name)); err != nil {
			t.Fatal(err)
		}
	}
	names, more, err := c.ListTables(t.Context(), "", 3)
	if err != nil || !more || !slices.Equal(names, []string{"B", "a", "b"}) {
		t.Fatal(names, more, err)
	}
	names, more, err = c.ListTables(t.Context(), "b", 3)
	if err != nil || more || !slices.Equal(names, []string{"c"}) {
		t.Fatal(names, more, err)
	}
}

func TestTheLimitOfTables(t *testing.T) {
	kv := newMemoryKV()
	c := newCatalog(t, kv, nil)
	addNode(t, c, "a", "")
	err := c.change(t.Context(), func(tx *txn) error {
		for i := range MaxTables {
			d := &table.Descriptor{ID: table.ID(tx.id()), Name: fmt.Sprint("t", i), Status: table.Active}
			if err := tx.put(tablePrefix+d.Name, &tableRow{Descriptor: d}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.CreateTable(t.Context(), request("one-more"))
	wantError(t, err, apierr.LimitExceeded, "Subscriber limit exceeded: There is a limit of 2500 tables per subscriber")
}

func TestAFollowerSaysWhoLeads(t *testing.T) {
	kv := newMemoryKV()
	kv.follower = true
	c := newCatalog(t, kv, nil)
	_, errRead := c.DescribeTable(t.Context(), "t")
	_, errWrite := c.CreateTable(t.Context(), request("t"))
	for _, err := range []error{errRead, errWrite} {
		var moved *regionnode.NotLeader
		if !errors.As(err, &moved) || moved.Leader != 99 {
			t.Fatalf("got %v", err)
		}
	}
}

// Two catalogs believe to lead (one lost its term and does not know): whatever
// they do and whatever answers get lost, no change of one undoes another's, and
// each ends with exactly the state that is stored.
func TestRivalsNeverLoseAChange(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		kv := newMemoryKV()
		rivals := []*Catalog{newCatalog(t, kv, nil), newCatalog(t, kv, nil)}
		addNode(t, rivals[0], "a", "")
		ids := map[table.ID]string{}
		made := map[string]bool{}
		kv.lose = func() (bool, bool) {
			return rapid.IntRange(0, 4).Draw(rt, "lose") == 0, rapid.Bool().Draw(rt, "applied")
		}
		kvLose := kv.lose
		kv.lose = func() (bool, bool) {
			lost, applied := kvLose()
			return lost, applied || !lost
		}
		for i := range rapid.IntRange(1, 25).Draw(rt, "ops") {
			c := rivals[rapid.IntRange(0, 1).Draw(rt, "rival")]
			name := fmt.Sprint("t", rapid.IntRange(0, 5).Draw(rt, "table"))
			switch rapid.IntRange(0, 3).Draw(rt, "op") {
			case 0:
				d, err := c.CreateTable(t.Context(), request(name))
				if err == nil {
					if other, taken := ids[d.ID]; taken {
						rt.Fatalf("op %d: id of %s given to %s", i, other, name)
					}
					ids[d.ID] = name
					made[name] = true
				} else if apierr.Of(err) == nil && !errors.Is(err, errLost) {
					rt.Fatal(err)
				}
			case 1:
				if _, err := c.DeleteTable(t.Context(), name); err == nil {
					delete(made, name)
				} else if apierr.Of(err) == nil && errors.Is(err, errLost) {
					delete(made, name) // nobody knows
				}
			case 2:
				if w, err := c.TableWork(t.Context(), name); err == nil {
					_ = c.FinishTable(t.Context(), w)
				}
			case 3:
				if _, err := c.RegisterNode(t.Context(), Node{Name: name, Addr: name}); err != nil && apierr.Of(err) == nil && !errors.Is(err, errLost) {
					rt.Fatal(err)
				}
			}
		}
		kv.lose = nil
		rows, _ := kv.Scan(t.Context(), nil)
		stored, err := loadState(rows)
		if err != nil {
			rt.Fatal(err)
		}
		for name := range made {
			if stored.tables[name] == nil {
				rt.Fatalf("table %s was created and is not stored", name)
			}
		}
		for _, c := range rivals {
			err := c.confirmed(t.Context(), func(s *state) error {
				if d := cmp.Diff(stored, s, cmp.AllowUnexported(state{})); d != "" {
					return errors.New(d)
				}
				return nil
			})
			if err != nil {
				rt.Fatal(err)
			}
		}
	})
}

func TestConcurrentChangesAllHappen(t *testing.T) {
	kv, stop := openSystem(t, vfs.NewMem())
	defer stop()
	c := newCatalog(t, kv, nil)
	addNode(t, c, "a", "")
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			if _, err := c.CreateTable(context.Background(), request(fmt.Sprint("t", i))); err != nil {
				t.Error(err)
			}
			if _, err := c.DescribeTable(context.Background(), fmt.Sprint("t", i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if names, _, err := c.ListTables(t.Context(), "", 0); err != nil || len(names) != 40 {
		t.Fatal(len(names), err)
	}
}

func TestRowsOfAnUnknownVersionAreRefused(t *testing.T) {
	kv := newMemoryKV()
	kv.rows[headKey] = []byte{rowVersion + 1, 0x80}
	c := newCatalog(t, kv, nil)
	if _, err := c.Nodes(t.Context()); err == nil {
		t.Fatal("read a row of an unknown version")
	}
}

func TestPeersAndKeys(t *testing.T) {
	c := newCatalog(t, newMemoryKV(), nil)
	ctx := t.Context()
	if err := c.SetPeer(ctx, Peer{Region: "eu-west-1", Addrs: []string{"x:1"}}); err != nil {
		t.Fatal(err)
	}
	if err := c.SetPeer(ctx, Peer{Region: testRegion}); err == nil {
		t.Fatal("a region became its own peer")
	}
	if peers, err := c.Peers(ctx); err != nil || len(peers) != 1 || peers[0].Addrs[0] != "x:1" {
		t.Fatal(peers, err)
	}
	if err := c.RemovePeer(ctx, "eu-west-1"); err != nil {
		t.Fatal(err)
	}
	if err := c.PutAccessKey(ctx, AccessKey{ID: "AK", Secret: "s", Account: "1"}); err != nil {
		t.Fatal(err)
	}
	if keys, err := c.AccessKeys(ctx); err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	if err := c.DeleteAccessKey(ctx, "AK"); err != nil {
		t.Fatal(err)
	}
	if keys, err := c.AccessKeys(ctx); err != nil || len(keys) != 0 {
		t.Fatal(keys, err)
	}
}
