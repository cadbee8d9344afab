package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/table"
)

// rows are a table's partitions as the catalog has them.
func (r *region) rows(name string) []catalog.Partition {
	_, cat, _ := r.now()
	list, err := cat.ListPartitions(context.Background(), name)
	if err != nil {
		return nil
	}
	var out []catalog.Partition
	for i := range list {
		out = append(out, list[i].Row)
	}
	return out
}

// whole tells whether no partition of a table is being split.
func (r *region) whole(name string) bool { return !slices.ContainsFunc(r.rows(name), splitting) }

// agrees checks that the node's partitions are the catalog's, with the same
// ranges and epochs, and hold exactly these items between them.
func (r *region) agrees(t *testing.T, name string, items int) {
	t.Helper()
	rows := r.rows(name)
	must(t, r.use(func(host *partition.Host, _ *catalog.Catalog) error {
		if held := len(host.Partitions()) - 1; held != len(rows) {
			return fmt.Errorf("the node holds %d partitions of %d", held, len(rows))
		}
		var count int64
		for _, row := range rows {
			p, ok := host.Partition(row.ID)
			if !ok {
				return fmt.Errorf("partition %d is not there", row.ID)
			}
			s := p.Spec()
			if s.Start != row.Start || s.End != row.End || s.Epoch.Range != row.Epoch.Range || s.Generation != row.Generation {
				return fmt.Errorf("partition %d is %+v, its row %+v", row.ID, s, row)
			}
			if row.Index == "" {
				count += p.Status().Items
			}
		}
		if count != int64(items) {
			return fmt.Errorf("%d items are counted of %d", count, items)
		}
		return nil
	}))
}

func (r *region) beginSplit(o catalog.SplitOrder) error {
	_, cat, _ := r.now()
	_, err := cat.BeginSplit(context.Background(), &o)
	return err
}

func TestPartitionsSplitUnderWrites(t *testing.T) {
	w := newWorld(t, east)
	r := w.regions[east]
	must(t, r.create("t"))
	w.until("ACTIVE", func() bool { return w.settled("t", east) })
	for i := range 50 {
		must(t, r.put("t", fmt.Sprint("old", i), "old"))
	}
	writing := r.keepWriting("t")
	for n := 3; n <= 8; n++ {
		widest := slices.MaxFunc(r.rows("t"), func(a, b catalog.Partition) int { return cmp.Compare(a.End-a.Start-1, b.End-b.Start-1) })
		must(t, r.beginSplit(catalog.SplitOrder{Table: "t", Partition: widest.ID}))
		w.until("the split is done", func() bool { return len(r.rows("t")) == n && r.whole("t") })
		before := writing.count()
		w.until("writes go on", func() bool { return writing.count() > before+3 })
	}
	wrote := writing.stop()
	items, err := r.items("t")
	must(t, err)
	for k, v := range wrote {
		if items[k] != v {
			t.Fatalf("%s was acknowledged and is %q", k, items[k])
		}
	}
	r.agrees(t, "t", len(items))
	_, cat, _ := r.now()
	if stats := cat.SplitStats(); stats != (catalog.SplitStats{Done: 6}) {
		t.Fatalf("%+v", stats)
	}
}

func TestAPartitionOfOneKeyStaysWhole(t *testing.T) {
	w := newWorld(t, east)
	r := w.regions[east]
	must(t, r.create("t"))
	w.until("ACTIVE", func() bool { return w.settled("t", east) })
	must(t, r.put("t", "alone", "v"))
	_, key := keyOf("alone")
	holder := r.rows("t")[0]
	if table.Hash(key) >= holder.End {
		holder = r.rows("t")[1]
	}
	must(t, r.beginSplit(catalog.SplitOrder{Table: "t", Partition: holder.ID}))
	w.until("it is refused", func() bool { return r.whole("t") })
	_, cat, _ := r.now()
	list, err := cat.ListPartitions(t.Context(), "t")
	must(t, err)
	i := slices.IndexFunc(list, func(p catalog.PartitionInfo) bool { return p.Row.ID == holder.ID })
	if len(list) != 2 || list[i].Refusal != "all of it is under one hash" || list[i].Row.Epoch.Range != 2 {
		t.Fatalf("%+v", list[i])
	}
	must(t, r.put("t", "alone", "w"))
	r.agrees(t, "t", 1)
}

// A change of the table ends splits that are under way, and a call that was
// still on its way does nothing any more.
func TestAChangeOfTheTableGoesFirst(t *testing.T) {
	w := newWorld(t, east)
	r := w.regions[east]
	must(t, r.create("t"))
	w.until("ACTIVE", func() bool { return w.settled("t", east) })
	must(t, r.put("t", "k", "v"))
	w.hold = make(chan struct{})
	must(t, r.beginSplit(catalog.SplitOrder{Table: "t", At: 1 << 62}))
	_, cat, _ := r.now()
	d, err := cat.DescribeTable(t.Context(), "t")
	must(t, err)
	next := *d
	next.Tags = []table.Tag{{Key: "k", Value: "v"}}
	_, err = cat.UpdateTable(t.Context(), &regionnode.UpdateTableRequest{Descriptor: next})
	must(t, err)
	w.until("the change is done", func() bool { return idle(cat) && r.whole("t") })
	close(w.hold)
	if rows := r.rows("t"); len(rows) != 2 || rows[0].Epoch.Range != 2 {
		t.Fatalf("%+v", rows)
	}
	must(t, r.put("t", "k", "w"))
	r.agrees(t, "t", 1)
	must(t, r.beginSplit(catalog.SplitOrder{Table: "t", At: 1 << 62}))
	w.until("the next one is done", func() bool { return len(r.rows("t")) == 3 && r.whole("t") })
	r.agrees(t, "t", 1)
}

// A global table grows while its partitions split in all regions: a replica's
// job and splits keep out of one another's way.
func TestSplitsAndReplicaJobs(t *testing.T) {
	w := newWorld(t, east, west)
	a, b := w.regions[east], w.regions[west]
	must(t, a.create("t"))
	w.until("ACTIVE", func() bool { return w.settled("t", east) })
	for i := range 40 {
		must(t, a.put("t", fmt.Sprint("old", i), "old"))
	}
	w.hold = make(chan struct{})
	must(t, a.beginSplit(catalog.SplitOrder{Table: "t", At: 1 << 62}))
	must(t, a.replicas("t", "Create", west))
	if err := a.beginSplit(catalog.SplitOrder{Table: "t", At: 1 << 61}); !apierr.Is(err, apierr.ResourceInUse) {
		t.Fatalf("a split while a replica is being made: %v", err)
	}
	w.until("two regions", func() bool { return w.settled("t", east, west) })
	close(w.hold)
	fromEast, fromWest := a.keepWriting("t"), b.keepWriting("t")
	for i, r := range []*region{a, b, a} {
		must(t, r.beginSplit(catalog.SplitOrder{Table: "t", At: 1<<62 + uint64(i)}))
		w.until("a split", func() bool { return len(r.rows("t")) == 3+i/2 && r.whole("t") })
	}
	wrote := fromEast.stop()
	for k, v := range fromWest.stop() {
		wrote[k] = v
	}
	for _, r := range w.regions {
		for k, v := range wrote {
			w.until(k+" is in "+r.name, r.has("t", k, v))
		}
		r.agrees(t, "t", len(wrote)+40)
	}
	must(t, a.replicas("t", "Delete", west))
	w.until("west has left", func() bool { return w.settled("t", east) })
}

// The leader's process dies at every single point of a split in turn, while the
// table is written: the next one goes on from there.
func TestSplitsSurviveACrashAtEveryPoint(t *testing.T) {
	for name, run := range map[string]func(t *testing.T, at int) []string{
		"done":                 func(t *testing.T, at int) []string { return splitCrashRun(t, at, 1<<62) },
		"refused":              func(t *testing.T, at int) []string { return splitCrashRun(t, at, 0) },
		"of a table that goes": dropCrashRun,
	} {
		t.Run(name, func(t *testing.T) {
			var passed []string
			t.Run("without a crash", func(t *testing.T) { passed = run(t, -1) })
			if len(passed) < 6 {
				t.Fatalf("only %d points: %v", len(passed), passed)
			}
			for at := range passed {
				t.Run(fmt.Sprintf("%02d %s", at, passed[at]), func(t *testing.T) { run(t, at) })
			}
		})
	}
}

// splitCrashRun splits a partition at a hash. With 0 all items are under one
// hash, and the partition refuses.
func splitCrashRun(t *testing.T, at int, hash uint64) []string {
	w := newWorld(t, east)
	r := w.regions[east]
	must(t, r.create("t"))
	w.until("ACTIVE", func() bool { return w.settled("t", east) })
	items := 1
	must(t, r.put("t", "k", "v"))
	if hash != 0 {
		for items = range 30 {
			must(t, r.put("t", fmt.Sprint("k", items), "v"))
		}
		items += 2
	}
	_, key := keyOf("k")
	victim := r.rows("t")[0]
	if hash == 0 && table.Hash(key) >= victim.End {
		victim = r.rows("t")[1]
	}
	w.mu.Lock()
	w.victim, w.crashAt, w.points = east, at, nil
	w.mu.Unlock()
	ended := func() bool {
		rows := r.rows("t")
		return len(rows) > 0 && r.whole("t") && (len(rows) == 3) == (hash != 0) && slices.ContainsFunc(rows, func(p catalog.Partition) bool { return p.ID == victim.ID && p.Epoch.Range == 2 })
	}
	w.crashing(func() { _ = r.beginSplit(catalog.SplitOrder{Table: "t", Partition: victim.ID, At: hash}) }, ended)
	must(t, r.put("t", "k", "w"))
	r.agrees(t, "t", items)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.points
}

// crashing does something until it has led to an end, and restarts east when it
// crashes on the way.
func (w *world) crashing(do func(), ended func() bool) {
	w.t.Helper()
	for {
		if !ended() {
			do()
		}
		crashed := false
		w.until("an end or a crash", func() bool {
			select {
			case <-w.crashed:
				crashed = true
			default:
			}
			if crashed {
				return true
			}
			_, cat, _ := w.regions[east].now()
			return ended() || idle(cat)
		})
		if crashed {
			w.regions[east].restart()
		} else if ended() {
			return
		}
	}
}

func dropCrashRun(t *testing.T, at int) []string {
	w := newWorld(t, east)
	r := w.regions[east]
	must(t, r.create("t"))
	w.until("ACTIVE", func() bool { return w.settled("t", east) })
	must(t, r.put("t", "k", "v"))
	w.mu.Lock()
	w.victim, w.crashAt, w.points = east, at, nil
	w.mu.Unlock()
	w.crashing(func() {
		_ = r.beginSplit(catalog.SplitOrder{Table: "t", At: 1 << 62})
		_, cat, _ := r.now()
		_, _ = cat.DeleteTable(context.Background(), "t")
	}, func() bool { return w.settled("t") })
	host, _, _ := r.now()
	if left := len(host.Partitions()); left != 1 {
		t.Fatalf("%d partitions are left", left)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.points
}
