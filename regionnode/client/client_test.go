package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *region) takeCalls() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.calls = nil }()
	return r.calls
}

func TestRequestsFindTheirPartitionsLeader(t *testing.T) {
	r := &region{}
	r.create(7, 4)
	c := newClient(t, r, nil)
	for i := range 50 {
		must(t, write(c, 7, i, fmt.Sprint(i)))
	}
	used := 0
	for _, p := range r.partitions {
		if len(p.items) > 0 {
			used++
		}
	}
	if used != 4 {
		t.Fatalf("%d of 4 partitions were used", used)
	}

	// The leader moves: one redirect for each partition, then none.
	r.lead(3)
	for i := range 50 {
		got, err := read(c, 7, i)
		if err != nil || got != fmt.Sprint(i) {
			t.Fatal(i, got, err)
		}
	}
	r.takeCalls()
	for i := range 50 {
		must(t, write(c, 7, i, "x"))
	}
	if calls := r.takeCalls(); len(calls) != 50 || slices.ContainsFunc(calls, func(n string) bool { return n != "n3" }) {
		t.Fatalf("calls after the leader is known: %v", calls)
	}

	// Partitions split: the first Stale brings the new map.
	r.cut(8, 2)
	maps := r.maps
	for i := range 50 {
		if got, err := read(c, 7, i); err != nil || got != fmt.Sprint(i)+"x" {
			t.Fatal(i, got, err)
		}
	}
	if r.maps != maps+1 {
		t.Fatalf("%d maps were fetched after a split", r.maps-maps)
	}
}

func TestWhatWasNotExecutedIsRepeatedAndNothingElse(t *testing.T) {
	lostBefore := func(table.NodeID, table.PartitionID) (error, bool) { return &rpc.Unreachable{Addr: "x"}, false }
	lostAfter := func(table.NodeID, table.PartitionID) (error, bool) {
		return &rpc.Unreachable{Addr: "x", Sent: true}, true
	}
	broken := func(table.NodeID, table.PartitionID) (error, bool) {
		return &rpc.RemoteError{Addr: "x", Message: "disk"}, true
	}
	for name, test := range map[string]struct {
		fail     func(table.NodeID, table.PartitionID) (error, bool)
		writeErr bool
	}{
		"not sent": {lostBefore, false}, "lost in the middle": {lostAfter, true}, "an unknown fault": {broken, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := &region{}
			r.create(7, 1)
			c := newClient(t, r, nil)
			failures := 0
			r.fail = func(n table.NodeID, p table.PartitionID) (error, bool) {
				if failures++; failures > 2 {
					return nil, false
				}
				return test.fail(n, p)
			}
			err := write(c, 7, 1, "once")
			if test.writeErr != apierr.Is(err, apierr.InternalServerError) || !test.writeErr && err != nil {
				t.Fatalf("write: %v", err)
			}
			failures = 0
			if got, err := read(c, 7, 1); err != nil || got != "once" {
				t.Fatalf("read %q, %v", got, err)
			}
		})
	}
}

func TestARequestThatNobodyServesEnds(t *testing.T) {
	r := &region{}
	r.create(7, 1)
	c := newClient(t, r, func(cfg *Config) { cfg.Patience = 30 * time.Millisecond })
	r.fail = func(table.NodeID, table.PartitionID) (error, bool) { return &regionnode.NotLeader{}, false }
	if err := write(c, 7, 1, "v"); !apierr.Is(err, apierr.InternalServerError) {
		t.Fatal(err)
	}
	out, err := c.BatchWrite(t.Context(), &regionnode.BatchWriteRequest{Target: regionnode.Target{Table: 7}, Writes: []regionnode.Write{{Op: regionnode.PutOp, Key: keyOf(1)}}})
	if err != nil || out.Results[0].Error == nil {
		t.Fatal(out, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Get(ctx, &regionnode.GetRequest{Target: regionnode.Target{Table: 7}, Key: keyOf(1), Consistent: true}); err == nil {
		t.Fatal("a cancelled request was answered")
	}
}

func TestErrorsOfTheAPIPassUnchanged(t *testing.T) {
	r := &region{}
	r.create(7, 1)
	c := newClient(t, r, nil)
	want := apierr.ConditionFailed([]byte("old"))
	r.fail = func(table.NodeID, table.PartitionID) (error, bool) { return want, false }
	if err := write(c, 7, 1, "v"); !errors.Is(err, error(want)) {
		t.Fatal(err)
	}
	if calls := r.takeCalls(); len(calls) != 1 {
		t.Fatalf("calls %v", calls)
	}
}

func TestBatchesAreSplitAndPutTogether(t *testing.T) {
	r := &region{}
	r.create(7, 5)
	c := newClient(t, r, nil)
	var writes []regionnode.Write
	var keys [][]byte
	for i := range 25 {
		writes = append(writes, regionnode.Write{Op: regionnode.PutOp, Key: keyOf(i), Item: item.Encoded(fmt.Sprint(i))})
		keys = append(keys, keyOf(i))
	}
	// A map that is out of date, a moved leader and a node that is away.
	if _, err := c.Partitions(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	r.cut(3, 2)
	r.lead(3)
	away := true
	r.fail = func(n table.NodeID, _ table.PartitionID) (error, bool) {
		if n == 3 && away {
			away = false
			return &rpc.Unreachable{Addr: "n3"}, false
		}
		return nil, false
	}
	out, err := c.BatchWrite(t.Context(), &regionnode.BatchWriteRequest{Target: regionnode.Target{Table: 7}, Writes: writes})
	must(t, err)
	for i, res := range out.Results {
		if res.Error != nil || res.Response == nil {
			t.Fatalf("write %d: %+v", i, res)
		}
	}
	got, err := c.BatchGet(t.Context(), &regionnode.BatchGetRequest{Target: regionnode.Target{Table: 7}, Keys: keys, Consistent: true})
	must(t, err)
	for i, g := range got.Items {
		if string(g.Item) != fmt.Sprint(i) {
			t.Fatalf("item %d is %q", i, g.Item)
		}
	}
}

func TestABatchsUnknownOutcomesAreItsElements(t *testing.T) {
	r := &region{}
	r.create(7, 2)
	c := newClient(t, r, nil)
	lost := r.partitions[0].ID
	r.fail = func(_ table.NodeID, p table.PartitionID) (error, bool) {
		if p == lost {
			return &rpc.Unreachable{Addr: "x", Sent: true}, true
		}
		return nil, false
	}
	var writes []regionnode.Write
	for i := range 20 {
		writes = append(writes, regionnode.Write{Op: regionnode.PutOp, Key: keyOf(i), Item: item.Encoded("v")})
	}
	out, err := c.BatchWrite(t.Context(), &regionnode.BatchWriteRequest{Target: regionnode.Target{Table: 7}, Writes: writes})
	must(t, err)
	for i, res := range out.Results {
		unknown := res.Error != nil && res.Error.API != nil && res.Error.API.Code == apierr.InternalServerError
		if inLost := table.Hash(keyOf(i)) < r.partitions[1].Start; inLost != unknown {
			t.Fatalf("write %d: %+v", i, res)
		}
	}
	for _, v := range r.partitions[0].items {
		if string(v) != "v" {
			t.Fatalf("written more than once: %q", v)
		}
	}
}

func TestRangesRouteThemselvesOrComeBackStale(t *testing.T) {
	r := &region{}
	r.create(7, 3)
	c := newClient(t, r, nil)
	m, err := c.Partitions(t.Context(), 7)
	must(t, err)
	chosen := regionnode.RangeRequest{Target: regionnode.Target{Table: 7, Partition: m.Partitions[1].ID, Range: m.Partitions[1].Epoch.Range}}
	if _, err := c.Range(t.Context(), &chosen); err != nil {
		t.Fatal(err)
	}
	r.cut(6, 1)
	if _, err := c.Range(t.Context(), &regionnode.RangeRequest{Target: regionnode.Target{Table: 7}, Low: keyOf(1)}); err != nil {
		t.Fatal(err)
	}
	var stale *regionnode.Stale
	if _, err := c.Range(t.Context(), &chosen); !errors.As(err, &stale) {
		t.Fatalf("a partition that is gone: %v", err)
	}
	if m, err = c.Partitions(t.Context(), 7); err != nil || len(m.Partitions) != 6 {
		t.Fatalf("after a Stale: %+v, %v", m, err)
	}
}

func TestDescriptorsAreCachedUntilTheyAreOld(t *testing.T) {
	r := &region{}
	r.create(7, 1)
	c := newClient(t, r, nil)
	describe := func() *table.Descriptor {
		t.Helper()
		d, err := c.Descriptor(t.Context(), "t")
		must(t, err)
		return d
	}
	for range 10 {
		describe()
	}
	if r.describes != 1 {
		t.Fatalf("asked %d times", r.describes)
	}
	changed := *r.d
	changed.Generation++
	r.d = &changed
	c.refreshDescriptors()
	if describe().Generation != 2 || r.describes != 2 {
		t.Fatalf("a refresh brought generation %d", describe().Generation)
	}
	// Unused, it is not asked for again, and in time not trusted any more.
	for range maxIdle + 2 {
		c.refreshDescriptors()
	}
	if r.describes > 3 {
		t.Fatalf("an unused descriptor was asked for %d times", r.describes)
	}
	before := r.describes
	describe()
	if r.describes != before+1 {
		t.Fatal("an old descriptor was used unasked")
	}
	// When the catalog is away, an old one must do.
	for range maxIdle + 2 {
		c.refreshDescriptors()
	}
	c.cfg.Patience = 10 * time.Millisecond
	r.down = true
	if describe().ID != 7 {
		t.Fatal("another descriptor")
	}
	r.down = false
	r.d = nil
	c.refreshDescriptors()
	if _, err := c.Descriptor(t.Context(), "t"); !apierr.Is(err, apierr.ResourceNotFound) {
		t.Fatal(err)
	}
}

func TestATableThatComesIsNotCached(t *testing.T) {
	r := &region{}
	r.create(7, 1)
	r.d.Status = table.Creating
	c := newClient(t, r, nil)
	if d, err := c.Descriptor(t.Context(), "t"); err != nil || d.Status != table.Creating {
		t.Fatal(d, err)
	}
	active := *r.d
	active.Status = table.Active
	r.d = &active
	if d, err := c.Descriptor(t.Context(), "t"); err != nil || d.Status != table.Active {
		t.Fatal(d, err)
	}
}

// Another process deletes the table, and makes a new one of the same name.
func TestDeletedAndRecreatedTables(t *testing.T) {
	r := &region{}
	r.create(7, 2)
	c := newClient(t, r, nil)
	_, err := c.Descriptor(t.Context(), "t")
	must(t, err)
	must(t, write(c, 7, 1, "v"))
	_, err = r.DeleteTable(t.Context(), "t")
	must(t, err)
	if err := write(c, 7, 1, "v"); !apierr.Is(err, apierr.ResourceNotFound) {
		t.Fatalf("a deleted table: %v", err)
	}
	r.create(9, 2)
	r.mu.Lock()
	r.d.Generation = 1
	r.mu.Unlock()
	d, err := c.Descriptor(t.Context(), "t")
	if err != nil || d.ID != 9 {
		t.Fatal(d, err)
	}
	must(t, write(c, 9, 1, "v"))
	r.create(11, 2)
	var stale *regionnode.Stale
	if err := write(c, 9, 1, "v"); !errors.As(err, &stale) {
		t.Fatalf("a new table of the same name: %v", err)
	}
	if d, err := c.Descriptor(t.Context(), "t"); err != nil || d.ID != 11 {
		t.Fatal(d, err)
	}
}

func TestManyGoroutinesOverAChangingRegion(t *testing.T) {
	r := &region{}
	r.create(7, 2)
	c := newClient(t, r, func(cfg *Config) { cfg.Refresh = time.Millisecond })
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 100 {
				if _, err := c.Descriptor(context.Background(), "t"); err != nil {
					t.Error(err)
				}
				if err := write(c, 7, g*1000+i, "v"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 20 {
		r.cut(1+i%5, table.NodeID(1+i%3))
		r.lead(table.NodeID(1 + (i+1)%3))
	}
	all.Wait()
	for g := range 8 {
		for i := range 100 {
			if got, err := read(c, 7, g*1000+i); err != nil || got != "v" {
				t.Fatalf("%d/%d: %q, %v", g, i, got, err)
			}
		}
	}
}

// Over real connections: from a seed to the nodes that the map names, one of
// which is gone.
func TestOverConnections(t *testing.T) {
	r := &region{}
	r.create(7, 4)
	var addrs []string
	var servers []*rpc.Server
	for id := range nodesPerPartition {
		s := rpc.NewServer(rpc.Config{})
		rpc.RegisterService(s, struct {
			regionnode.Data
			regionnode.Tables
		}{testNode{r, table.NodeID(id + 1)}, r})
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		go func() { _ = s.Serve(l) }()
		t.Cleanup(s.Close)
		addrs, servers = append(addrs, l.Addr().String()), append(servers, s)
	}
	for _, p := range r.partitions {
		for i := range p.Replicas {
			p.Replicas[i].Addr = addrs[i]
		}
	}
	r.lead(2)
	c, err := New(Config{Seeds: addrs, Refresh: 5 * time.Millisecond})
	must(t, err)
	defer c.Close()
	d, err := c.Descriptor(t.Context(), "t")
	must(t, err)
	for i := range 20 {
		must(t, write(c, d.ID, i, "v"))
	}
	servers[0].Close() // the first seed
	servers[1].Close() // the leader
	r.lead(3)
	for i := range 20 {
		if got, err := read(c, d.ID, i); err != nil || got != "v" {
			t.Fatal(i, got, err)
		}
		must(t, write(c, d.ID, 100+i, "v"))
	}
	if names, _, err := c.ListTables(t.Context(), "", 10); err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
}

// All of a partition's nodes come back at other addresses.
func TestNodesThatMovedAreFoundAgain(t *testing.T) {
	r := &region{}
	r.create(7, 1)
	c := newClient(t, r, func(cfg *Config) {
		local := cfg.Local
		moved := false
		cfg.Local = func(id table.NodeID) (regionnode.Data, bool) {
			if !moved && id == nodesPerPartition {
				defer func() { moved = true }()
			}
			if moved {
				return local(id)
			}
			return goneNode{}, true
		}
	})
	_, err := c.Partitions(t.Context(), 7)
	must(t, err)
	r.mu.Lock()
	r.generation++
	for i := range r.partitions[0].Replicas {
		r.partitions[0].Replicas[i].Addr += "-new"
	}
	r.mu.Unlock()
	must(t, write(c, 7, 1, "v"))
}

// goneNode is an address that nobody listens at.
type goneNode struct{ testNode }

func (goneNode) Write(context.Context, *regionnode.WriteRequest) (*regionnode.WriteResponse, error) {
	return nil, &rpc.Unreachable{Addr: "gone"}
}

// staticNode answers without allocating.
type staticNode struct {
	testNode
	got   *regionnode.GetResponse
	wrote *regionnode.WriteResponse
}

func (n staticNode) Get(context.Context, *regionnode.GetRequest) (*regionnode.GetResponse, error) {
	return n.got, nil
}

func (n staticNode) Write(context.Context, *regionnode.WriteRequest) (*regionnode.WriteResponse, error) {
	return n.wrote, nil
}

func TestTheHotPathAllocatesNothing(t *testing.T) {
	r := &region{}
	r.create(7, 4)
	node := staticNode{got: &regionnode.GetResponse{}, wrote: &regionnode.WriteResponse{}}
	c := newClient(t, r, func(cfg *Config) { cfg.Local = func(table.NodeID) (regionnode.Data, bool) { return node, true } })
	ctx := t.Context()
	get := &regionnode.GetRequest{Target: regionnode.Target{Table: 7}, Key: keyOf(3)}
	put := &regionnode.WriteRequest{Target: regionnode.Target{Table: 7}, Write: regionnode.Write{Key: keyOf(4)}}
	run := func() {
		if _, err := c.Descriptor(ctx, "t"); err != nil {
			t.Error(err)
		}
		if _, err := c.Get(ctx, get); err != nil {
			t.Error(err)
		}
		if _, err := c.Write(ctx, put); err != nil {
			t.Error(err)
		}
	}
	run()
	if n := testing.AllocsPerRun(200, run); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkGet(b *testing.B) {
	r := &region{}
	r.create(7, 64)
	node := staticNode{got: &regionnode.GetResponse{}}
	c := newClient(b, r, func(cfg *Config) { cfg.Local = func(table.NodeID) (regionnode.Data, bool) { return node, true } })
	get := &regionnode.GetRequest{Target: regionnode.Target{Table: 7}, Key: keyOf(3)}
	for b.Loop() {
		if _, err := c.Descriptor(b.Context(), "t"); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Get(b.Context(), get); err != nil {
			b.Fatal(err)
		}
	}
}
