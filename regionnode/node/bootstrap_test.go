package node

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// founder is one of three nodes that start a region together.
func founder(i int, gossip []string, fs vfs.FS) Config {
	return Config{
		Region: "us-east-1", Name: fmt.Sprintf("n%d", i), Zone: fmt.Sprintf("z%d", i), Dir: "db", FS: fs,
		Gossip: gossip[i], Join: gossip, BootstrapExpect: 3, Replication: 3,
	}
}

// gossipAddrs are free ports, for TCP and UDP.
func gossipAddrs(t *testing.T, n int) []string {
	t.Helper()
	var out []string
	for range n {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer tcp.Close()
		out = append(out, tcp.Addr().String())
	}
	return out
}

// TestBootstrap starts three nodes together, restarts one on its disk, and then
// on an empty one, which must not speak in its old name.
func TestBootstrap(t *testing.T) {
	gossip := gossipAddrs(t, 3)
	disks := []vfs.FS{vfs.NewMem(), vfs.NewMem(), vfs.NewMem()}
	nodes := make([]*Node, 3)
	errs := make([]error, 3)
	done := make(chan struct{})
	for i := range nodes {
		go func() {
			nodes[i], errs[i] = Start(t.Context(), founder(i, gossip, disks[i]))
			done <- struct{}{}
		}()
	}
	for range nodes {
		<-done
	}
	for i, n := range nodes {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		defer func() { _ = nodes[i].Close() }()
		if p := n.partitions.Partitions(); len(p) != 1 || len(p[0].Spec().Members) != 3 {
			t.Fatalf("node %d: %d partitions", i, len(p))
		}
	}
	id := nodes[2].ID()
	if err := nodes[2].Close(); err != nil {
		t.Fatal(err)
	}
	back, err := Start(t.Context(), founder(2, gossip, disks[2]))
	if err != nil {
		t.Fatal(err)
	}
	if back.ID() != id {
		t.Errorf("node %x came back as %x", id, back.ID())
	}
	if err := back.Close(); err != nil {
		t.Fatal(err)
	}
	wiped, err := Start(context.Background(), founder(2, gossip, vfs.NewMem()))
	if err == nil {
		_ = wiped.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "this disk is empty") {
		t.Errorf("a wiped disk: %v", err)
	}
	other := founder(2, gossip, disks[2])
	other.BootstrapExpect = 2
	if _, err := Start(t.Context(), other); err == nil || !strings.Contains(err.Error(), "not one of 2") {
		t.Errorf("another number: %v", err)
	}
}
