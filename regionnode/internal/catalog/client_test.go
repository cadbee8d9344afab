package catalog

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/table"
)

// serveCatalog answers for a registry at a new address; nil answers for none.
func serveCatalog(t testing.TB, r Registry) string {
	t.Helper()
	s := rpc.NewServer(rpc.Config{})
	if r != nil {
		Register(s, r)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Close)
	return l.Addr().String()
}

func TestClientFindsTheLeader(t *testing.T) {
	pool := rpc.NewPool(rpc.Config{})
	t.Cleanup(pool.Close)
	followerKV, leaderKV := newMemoryKV(), newMemoryKV()
	followerKV.follower = true // and says that 99 leads
	follower, leader := newCatalog(t, followerKV, nil), newCatalog(t, leaderKV, nil)
	stranger, followerAt, leaderAt := serveCatalog(t, nil), serveCatalog(t, follower), serveCatalog(t, leader)
	for name, cfg := range map[string]ClientConfig{
		"by a hint":             {Local: follower, Resolve: func(id table.NodeID) (string, bool) { return leaderAt, id == 99 }},
		"among addresses":       {Addrs: func() []string { return []string{stranger, "127.0.0.1:1", followerAt, leaderAt} }},
		"in this process":       {Local: leader},
		"with a hint astray":    {Addrs: func() []string { return []string{followerAt, leaderAt} }, Resolve: func(table.NodeID) (string, bool) { return stranger, true }},
		"with a hint in a loop": {Addrs: func() []string { return []string{followerAt, leaderAt} }, Resolve: func(table.NodeID) (string, bool) { return followerAt, true }},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Pool = pool
			c, err := NewClient(cfg)
			if err != nil {
				t.Fatal(err)
			}
			useRegistry(t, c)
		})
	}
}

// useRegistry makes every call once.
func useRegistry(t *testing.T, r Registry) {
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	self := Node{Name: "a", Addr: "a:1"}
	nodes, err := r.Nodes(ctx)
	if check(err); len(nodes) > 0 {
		self.ID = nodes[0].ID
	}
	n, err := r.RegisterNode(ctx, self)
	check(err)
	check(r.DrainNode(ctx, n.ID, false))
	swept, err := r.Sweep(ctx, &SweepRequest{Node: n.ID, Held: []HeldReplica{{Partition: 7, Table: 7, Members: 3}}})
	if check(err); len(swept.Orphans) != 1 || swept.Orphans[0] != (Orphan{7, 0}) {
		t.Fatalf("swept %+v", swept)
	}
	check(r.RemoveNode(ctx, n.ID+99))
	members, err := r.Members(ctx)
	if check(err); len(members) != 1 || members[0].Node.ID != n.ID || !members[0].Alive() {
		t.Fatalf("members %+v", members)
	}
	nodes, err = r.Nodes(ctx)
	if check(err); len(nodes) != 1 || nodes[0].ID != n.ID {
		t.Fatalf("nodes %+v", nodes)
	}
	name := "t" + time.Now().Format("150405.000000000")
	d, err := r.CreateTable(ctx, request(name, "x"))
	check(err)
	got, err := r.DescribeTable(ctx, name)
	if check(err); !same(d, got) {
		t.Fatalf("described %+v, created %+v", got, d)
	}
	got, err = r.TableByID(ctx, d.Globals[0].Table)
	if check(err); got.Name != name {
		t.Fatalf("by id: %+v", got)
	}
	m, err := r.Partitions(ctx, d.ID)
	if check(err); len(m.Partitions) != 1 || m.Partitions[0].Replicas[0].Addr != "a:1" {
		t.Fatalf("partitions %+v", m)
	}
	all, err := r.Descriptors(ctx)
	if check(err); len(all) == 0 || all[0].ID == 0 {
		t.Fatalf("descriptors %+v", all)
	}
	names, more, err := r.ListTables(ctx, "", 1)
	if check(err); len(names) != 1 || more != (len(all) > 1) {
		t.Fatal(names, more)
	}
	_, err = r.UpdateTable(ctx, &regionnode.UpdateTableRequest{Descriptor: *d})
	wantError(t, err, apierr.ResourceInUse, "Attempt to change a resource which is still in use: Table is being created: "+name)
	if _, err = r.DeleteTable(ctx, "none"); !apierr.Is(err, apierr.ResourceNotFound) {
		t.Fatal(err)
	}
	check(r.SetPeer(ctx, Peer{Region: "eu-west-1", Addrs: []string{"p:1"}}))
	peers, err := r.Peers(ctx)
	if check(err); len(peers) != 1 || peers[0].Addrs[0] != "p:1" {
		t.Fatalf("peers %+v", peers)
	}
	check(r.RemovePeer(ctx, "eu-west-1"))
	check(r.PutAccessKey(ctx, AccessKey{ID: "AK", Secret: "s"}))
	keys, err := r.AccessKeys(ctx)
	if check(err); len(keys) != 1 || keys[0].Secret != "s" {
		t.Fatalf("keys %+v", keys)
	}
	check(r.DeleteAccessKey(ctx, "AK"))
	jobs, err := r.Jobs(ctx)
	if check(err); len(jobs) != 0 {
		t.Fatalf("jobs %+v", jobs)
	}
}

func TestClientWaitsForALeaderAndGivesUp(t *testing.T) {
	kv := newMemoryKV()
	kv.follower = true
	var asked atomic.Int32
	cfg := ClientConfig{Local: newCatalog(t, kv, nil), Resolve: func(table.NodeID) (string, bool) {
		if asked.Add(1) == 3 {
			kv.mu.Lock()
			kv.follower = false // elected at last
			kv.mu.Unlock()
		}
		return "", false
	}}
	c, err := NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Nodes(t.Context()); err != nil || asked.Load() < 3 {
		t.Fatal(err, asked.Load())
	}
	kv.follower = true
	cfg.Patience = 20 * time.Millisecond
	if c, err = NewClient(cfg); err != nil {
		t.Fatal(err)
	}
	asked.Store(10)
	var moved *regionnode.NotLeader
	if _, err := c.Nodes(t.Context()); !errors.As(err, &moved) {
		t.Fatal(err)
	}
}

// A change whose answer got lost is not made again (I10); a read is.
func TestClientRepeatsOnlyReads(t *testing.T) {
	kv := newMemoryKV()
	c, err := NewClient(ClientConfig{Local: newCatalog(t, kv, nil)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.RegisterNode(t.Context(), Node{Name: "a", Addr: "a:1"}); err != nil {
		t.Fatal(err)
	}
	kv.lose = func() (bool, bool) { return true, true }
	if _, err := c.CreateTable(t.Context(), request("t")); !errors.Is(err, errLost) {
		t.Fatal(err)
	}
	if d, err := c.DescribeTable(t.Context(), "t"); err != nil || d.Status != table.Creating {
		t.Fatal(d, err)
	}
}
