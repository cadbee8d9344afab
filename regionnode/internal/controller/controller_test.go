package controller

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/table"
)

const (
	east  = "us-east-1"
	west  = "eu-west-1"
	north = "ap-northeast-1"
)

func (r *region) create(name string) error {
	_, cat, _ := r.now()
	_, err := cat.CreateTable(context.Background(), newTable(name))
	return err
}

func newTable(name string) *regionnode.CreateTableRequest {
	return &regionnode.CreateTableRequest{Descriptor: table.Descriptor{
		Name: name, Attributes: []table.Attribute{{Name: "pk", Type: "S"}}, Key: table.KeySchema{Hash: []string{"pk"}}, BillingMode: "PAY_PER_REQUEST",
	}}
}

// replicas asks for a change of the replica set.
func (r *region) replicas(name, action, target string) error {
	_, cat, _ := r.now()
	_, err := cat.UpdateTable(context.Background(), &regionnode.UpdateTableRequest{
		Descriptor: table.Descriptor{Name: name}, Replicas: []regionnode.ReplicaUpdate{{Action: action, Replica: table.Replica{Region: target}}},
	})
	return err
}

func (r *region) has(name, pk, value string) func() bool {
	return func() bool {
		items, err := r.items(name)
		return err == nil && items[pk] == value
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTablesBecomeActiveAndGo(t *testing.T) {
	w := newWorld(t, east)
	r := w.regions[east]
	const tables = 60
	var all sync.WaitGroup
	begin := time.Now()
	for i := range tables {
		all.Go(func() {
			if err := r.create(fmt.Sprint("t", i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for i := range tables {
		w.until("ACTIVE", func() bool { return w.settled(fmt.Sprint("t", i), east) })
	}
	t.Logf("%d tables in %s", tables, time.Since(begin))
	must(t, r.put("t7", "k", "v"))
	_, cat, _ := r.now()
	for i := range tables {
		_, err := cat.DeleteTable(t.Context(), fmt.Sprint("t", i))
		must(t, err)
	}
	for i := range tables {
		w.until("gone", func() bool { return w.settled(fmt.Sprint("t", i)) })
	}
	host, _, _ := r.now()
	if left := len(host.Partitions()); left != 1 {
		t.Fatalf("%d partitions are left", left)
	}
}

func TestAGlobalTableGrowsAndShrinks(t *testing.T) {
	t.Run("by direct calls", func(t *testing.T) { growAndShrink(t, nil) })
	t.Run("over connections", func(t *testing.T) {
		pool := rpc.NewPool(rpc.Config{})
		t.Cleanup(pool.Close)
		growAndShrink(t, pool)
	})
}

func growAndShrink(t *testing.T, pool *rpc.Pool) {
	w := newWorldOver(t, pool, east, west, north)
	a, b, c := w.regions[east], w.regions[west], w.regions[north]
	must(t, a.create("t"))
	w.until("ACTIVE", func() bool { return w.settled("t", east) })
	for i := range 40 {
		must(t, a.put("t", fmt.Sprint("old", i), "east"))
	}
	must(t, a.del("t", "old0"))
	must(t, a.replicas("t", "Create", west))
	if err := a.replicas("t", "Create", north); !apierr.Is(err, apierr.ResourceInUse) {
		t.Fatalf("a second change at once: %v", err)
	}
	w.until("two regions", func() bool { return w.settled("t", east, west) })
	must(t, b.put("t", "fromWest", "1"))
	w.until("west's write is in east", a.has("t", "fromWest", "1"))

	// Whoever is asked, the home does it.
	must(t, b.replicas("t", "Create", north))
	w.until("three regions", func() bool { return w.settled("t", east, west, north) })
	must(t, c.put("t", "fromNorth", "2"))
	for _, r := range w.regions {
		w.until("all writes everywhere", func() bool {
			items, err := r.items("t")
			return err == nil && len(items) == 41 && items["fromNorth"] == "2" && items["fromWest"] == "1" && items["old39"] == "east"
		})
	}

	must(t, c.replicas("t", "Delete", west))
	w.until("west has left", func() bool { return w.settled("t", east, north) })
	must(t, a.put("t", "afterWest", "3"))
	w.until("east and north go on", c.has("t", "afterWest", "3"))
	must(t, a.replicas("t", "Create", west))
	w.until("west is back", func() bool { return w.settled("t", east, west, north) })
	w.until("west has what it missed", b.has("t", "afterWest", "3"))
	must(t, b.put("t", "backInWest", "4"))
	w.until("west ships again", c.has("t", "backInWest", "4"))

	must(t, a.replicas("t", "Delete", west))
	w.until("west has left again", func() bool { return w.settled("t", east, north) })
	must(t, a.replicas("t", "Delete", north))
	w.until("alone", func() bool { return w.settled("t", east) })
	_, cat, _ := a.now()
	d, err := cat.DescribeTable(t.Context(), "t")
	if err != nil || d.Global != nil || d.Stream == nil || !d.Stream.Enabled {
		t.Fatalf("alone: %+v, %v", d, err)
	}
}

func TestReplicaUpdatesAreRefusedAsAWSDoes(t *testing.T) {
	w := newWorld(t, east, west, north)
	a, b := w.regions[east], w.regions[west]
	must(t, a.create("t"))
	must(t, b.create("taken"))
	must(t, a.create("taken"))
	w.until("ACTIVE", func() bool { return w.settled("t", east) })
	exists := "Failed to create a the new replica of table with name: ‘%s’ because one or more replicas already existed as tables."
	stranger := "Update global table operation failed because one or more replicas were not part of the global table. Please retry the request without these replicas: [eu-west-1]."
	check := func(err error, message string) {
		t.Helper()
		if e := apierr.Of(err); e == nil || e.Code != apierr.Validation || e.Message != message {
			t.Fatalf("got %v, want %s", err, message)
		}
	}
	w.until("taken is ACTIVE", func() bool {
		_, cat, _ := a.now()
		d, err := cat.DescribeTable(t.Context(), "taken")
		return err == nil && d.Status == table.Active
	})
	check(a.replicas("t", "Create", east), "Cannot add or delete the local region through ReplicaUpdates. Use CreateTable, DeleteTable, or UpdateTable as required.")
	check(a.replicas("t", "Create", "mars-1"), "Region mars-1 is not supported. The latest version of global tables are only supported in the following regions: [us-east-1, eu-west-1, ap-northeast-1]")
	check(a.replicas("taken", "Create", west), fmt.Sprintf(exists, "taken"))
	check(a.replicas("t", "Delete", west), stranger)
	_, cat, _ := a.now()
	_, err := cat.UpdateTable(t.Context(), &regionnode.UpdateTableRequest{Descriptor: table.Descriptor{Name: "t"}, Replicas: []regionnode.ReplicaUpdate{
		{Action: "Create", Replica: table.Replica{Region: west}}, {Action: "Create", Replica: table.Replica{Region: north}}}})
	check(err, "Update table operation with more than one create or delete replica actions not allowed")
	if err := a.replicas("none", "Create", west); !apierr.Is(err, apierr.ResourceNotFound) {
		t.Fatal(err)
	}
	must(t, a.replicas("t", "Create", west))
	w.until("two regions", func() bool { return w.settled("t", east, west) })
	check(a.replicas("t", "Create", west), fmt.Sprintf(exists, "t"))
	_, err = cat.DeleteTable(t.Context(), "t")
	check(err, "Replica cannot be deleted because it has acted as a source region for new replica(s) being added to the table in the last 24 hours.")
}

func TestSettingsReachAllRegions(t *testing.T) {
	w := newWorld(t, east, west)
	a, b := w.regions[east], w.regions[west]
	must(t, a.create("t"))
	w.until("ACTIVE", func() bool { return w.settled("t", east) })
	must(t, a.replicas("t", "Create", west))
	w.until("two regions", func() bool { return w.settled("t", east, west) })
	for _, from := range []*region{b, a} {
		_, cat, _ := from.now()
		d, err := cat.DescribeTable(t.Context(), "t")
		must(t, err)
		next := *d
		next.TTL = &table.TTL{Attribute: "from-" + from.name, Status: "ENABLING"}
		next.Tags = []table.Tag{{Key: "of", Value: from.name}}
		_, err = cat.UpdateTable(t.Context(), &regionnode.UpdateTableRequest{Descriptor: next})
		must(t, err)
		for _, r := range w.regions {
			w.until("the setting is everywhere", func() bool {
				_, cat, _ := r.now()
				d, err := cat.DescribeTable(t.Context(), "t")
				return err == nil && d.TTL != nil && d.TTL.Attribute == "from-"+from.name && d.TTL.Status == "ENABLED" && w.settled("t", east, west)
			})
		}
	}
	for _, r := range w.regions {
		_, cat, _ := r.now()
		d, err := cat.DescribeTable(t.Context(), "t")
		must(t, err)
		if len(d.Tags) != 1 || d.Tags[0].Value != r.name {
			t.Fatalf("tags are each region's own: %+v in %s", d.Tags, r.name)
		}
	}
}

func TestDeleteTableOfAReplicaLeavesTheOthers(t *testing.T) {
	w := newWorld(t, east, west)
	a, b := w.regions[east], w.regions[west]
	must(t, a.create("t"))
	w.until("ACTIVE", func() bool { return w.settled("t", east) })
	must(t, a.put("t", "k", "v"))
	must(t, a.replicas("t", "Create", west))
	w.until("two regions", func() bool { return w.settled("t", east, west) })
	_, cat, _ := b.now()
	d, err := cat.DeleteTable(t.Context(), "t")
	if err != nil || d.Status != table.Deleting {
		t.Fatal(d, err)
	}
	w.until("west's table is gone", func() bool { return w.settled("t", east) })
	w.until("east's data is there", a.has("t", "k", "v"))
}

// The home itself leaves the global table: another region becomes the home.
func TestTheHomeMoves(t *testing.T) {
	for name, leave := range map[string]func(a, b *region) error{
		"deleted where it is": func(a, _ *region) error {
			_, cat, _ := a.now()
			_, err := cat.DeleteTable(context.Background(), "t")
			return err
		},
		"taken out by another region": func(_, b *region) error { return b.replicas("t", "Delete", east) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, east, west, north)
			a, b, c := w.regions[east], w.regions[west], w.regions[north]
			must(t, a.create("t"))
			w.until("ACTIVE", func() bool { return w.settled("t", east) })
			must(t, a.replicas("t", "Create", west))
			w.until("two regions", func() bool { return w.settled("t", east, west) })
			must(t, a.replicas("t", "Create", north))
			w.until("three regions", func() bool { return w.settled("t", east, west, north) })
			must(t, a.put("t", "last", "1"))
			if err := leave(a, b); !apierr.Is(err, apierr.Validation) {
				t.Fatalf("the source of fresh replicas left: %v", err)
			}
			w.later.Store(int64(25 * time.Hour))
			must(t, leave(a, b))
			w.until("the home has left", func() bool { return w.settled("t", west, north) })
			w.until("its last write is there", func() bool { return b.has("t", "last", "1")() && c.has("t", "last", "1")() })
			must(t, c.put("t", "next", "2"))
			w.until("the others go on", b.has("t", "next", "2"))
			must(t, b.replicas("t", "Create", east))
			w.until("it comes back as a replica", func() bool { return w.settled("t", east, west, north) })
			w.until("with what it missed", a.has("t", "next", "2"))
		})
	}
}

// What an existing peer wrote before its link to a new region began must reach
// the new region with the back-fill: the home waits for it.
func TestBackfillWaitsForWhatPeersWrote(t *testing.T) {
	w := newWorld(t, east, west, north)
	a, b, c := w.regions[east], w.regions[west], w.regions[north]
	must(t, a.create("t"))
	w.until("ACTIVE", func() bool { return w.settled("t", east) })
	must(t, a.replicas("t", "Create", west))
	w.until("two regions", func() bool { return w.settled("t", east, west) })
	w.cutLink(west, east)
	must(t, b.put("t", "late", "1"))
	must(t, a.replicas("t", "Create", north))
	w.until("the job waits for west", func() bool {
		_, cat, _ := a.now()
		jobs, err := cat.Jobs(t.Context())
		if err != nil || len(jobs) != 1 {
			return false
		}
		s, err := jobs[0].Replica()
		return err == nil && len(s.Starts) == 1
	})
	must(t, b.put("t", "later", "2"))
	// Meanwhile the TTL may be set, and reaches all regions; other settings wait.
	_, cat, _ := a.now()
	d, err := cat.DescribeTable(t.Context(), "t")
	must(t, err)
	busy, quiet := *d, *d
	busy.Protected = true
	_, err = cat.UpdateTable(t.Context(), &regionnode.UpdateTableRequest{Descriptor: busy})
	if e := apierr.Of(err); e == nil || e.Message != "The resource which you are attempting to change is in use." {
		t.Fatal(err)
	}
	quiet.TTL = &table.TTL{Attribute: "at", Status: "ENABLING"}
	_, err = cat.UpdateTable(t.Context(), &regionnode.UpdateTableRequest{Descriptor: quiet})
	must(t, err)
	if w.settled("t", east, west, north) {
		t.Fatal("north is ACTIVE without what west wrote")
	}
	w.heal()
	w.until("three regions", func() bool { return w.settled("t", east, west, north) })
	items, err := c.items("t")
	must(t, err)
	if items["late"] != "1" {
		t.Fatalf("north lacks what west wrote before its link began: %v", items)
	}
	w.until("what west wrote behind that", c.has("t", "later", "2"))
	for _, r := range w.regions {
		w.until("the TTL is everywhere", func() bool {
			_, cat, _ := r.now()
			d, err := cat.DescribeTable(t.Context(), "t")
			return err == nil && d.TTL != nil && d.TTL.Status == "ENABLED"
		})
	}
}

// The home's process dies at every single point of a replica's life in turn,
// while all regions write; each time the job is taken up where it was, and all
// regions end with the same items, every acknowledged one among them.
func TestReplicaJobsSurviveACrashAtEveryPoint(t *testing.T) {
	var passed []string
	t.Run("without a crash", func(t *testing.T) { passed = crashRun(t, -1) })
	if len(passed) < 30 {
		t.Fatalf("a replica's life has only %d points", len(passed))
	}
	stride := max(1, len(passed)/24)
	for at := 0; at < len(passed); at += stride {
		t.Run(fmt.Sprintf("%03d %s", at, passed[at]), func(t *testing.T) { crashRun(t, at) })
	}
}

func crashRun(t *testing.T, at int) []string {
	w := newWorld(t, east, west, north)
	a, b := w.regions[east], w.regions[west]
	must(t, a.create("t"))
	w.until("ACTIVE", func() bool { return w.settled("t", east) })
	must(t, a.replicas("t", "Create", west))
	w.until("two regions", func() bool { return w.settled("t", east, west) })
	for i := range 30 {
		must(t, w.regions[[]string{east, west}[i%2]].put("t", fmt.Sprint("old", i), "old"))
	}
	w.mu.Lock()
	w.victim, w.crashAt, w.points = east, at, nil
	w.mu.Unlock()
	fromEast, fromWest := a.keepWriting("t"), b.keepWriting("t")
	w.until("some writes", func() bool { return fromEast.count() > 0 && fromWest.count() > 0 })
	w.change("Create", north, east, west, north)
	wrote := fromWest.stop()
	w.change("Delete", west, east, north)
	maps.Copy(wrote, fromEast.stop())
	for _, n := range []string{east, north} {
		w.until(n+" has every acknowledged item", func() bool {
			items, err := w.regions[n].items("t")
			missing := 0
			for k, v := range wrote {
				if items[k] != v {
					missing++
				}
			}
			return err == nil && missing == 0 && items["old29"] == "old"
		})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.points
}

// writer writes new items one after another, and remembers those acknowledged.
type writer struct {
	mu   sync.Mutex
	kept map[string]string
	end  chan struct{}
	done sync.WaitGroup
}

func (r *region) keepWriting(name string) *writer {
	w := &writer{kept: map[string]string{}, end: make(chan struct{})}
	w.done.Go(func() {
		for k := 0; ; k++ {
			select {
			case <-w.end:
				return
			case <-time.After(time.Millisecond):
			}
			if pk := fmt.Sprint(r.name, k); r.put(name, pk, r.name) == nil {
				w.mu.Lock()
				w.kept[pk] = r.name
				w.mu.Unlock()
			}
		}
	})
	return w
}

func (w *writer) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.kept)
}

func (w *writer) stop() map[string]string {
	close(w.end)
	w.done.Wait()
	return w.kept
}

// change asks east for a change of the replica set until it is done, and
// restarts east when it has crashed. A crash may come before or after the
// request is stored, so it may have to be made again.
func (w *world) change(action, target string, members ...string) {
	w.t.Helper()
	for !w.settled("t", members...) {
		_ = w.regions[east].replicas("t", action, target)
		crashed := false
		w.until(action+" "+target, func() bool {
			select {
			case where := <-w.crashed:
				w.t.Log("crash", where)
				crashed = true
				return true
			default:
			}
			_, cat, _ := w.regions[east].now()
			return w.settled("t", members...) || idle(cat)
		})
		if crashed {
			w.regions[east].restart()
		}
	}
}

// idle tells whether a region's controller has nothing left to do.
func idle(cat *catalog.Catalog) bool {
	work, err := cat.Work(context.Background())
	return err == nil && len(work.Tables) == 0 && len(work.Jobs) == 0 && len(work.Splits) == 0
}
