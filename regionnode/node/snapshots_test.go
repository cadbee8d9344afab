package node

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode/internal/keys"
	"antipode/regionnode/internal/partition"
)

// TestStrandedNode keeps a node away while the catalog's log grows beyond what is
// kept for it: it is named, and catches up by a snapshot when it is back.
func TestStrandedNode(t *testing.T) {
	gossip := gossipAddrs(t, 3)
	config := func(i int, disk vfs.FS) Config {
		c := founder(i, gossip, disk)
		c.MaxRaftLog, c.SnapshotRate = 9<<20, 1<<30
		return c
	}
	disks := []vfs.FS{vfs.NewMem(), vfs.NewMem(), vfs.NewMem()}
	nodes := make([]*Node, 3)
	errs := make(chan error, 3)
	for i := range nodes {
		go func() {
			var err error
			nodes[i], err = Start(t.Context(), config(i, disks[i]))
			errs <- err
		}()
	}
	for range nodes {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	for i := range nodes {
		defer func() { _ = nodes[i].Close() }()
	}
	system := nodes[0].partitions.Partitions()[0].ID()
	if err := nodes[2].Close(); err != nil {
		t.Fatal(err)
	}
	value, written := bytes.Repeat([]byte("x"), 256<<10), 0
	lead := func() *partition.Partition {
		for _, n := range nodes[:2] {
			if p, _ := n.partitions.Partition(system); p.Status().Leading {
				return p
			}
		}
		return nil
	}
	within(t, func() bool {
		p := lead()
		if p == nil {
			return false
		}
		if s := p.Status(); len(s.Stranded) > 0 {
			return true
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		key := fmt.Appendf(nil, "~%04d", written)
		if p.ApplyRaw(ctx, []partition.RawOp{{Key: key, Value: value, Unconditional: true}}) == nil {
			written++
		}
		return false
	})
	var err error
	if nodes[2], err = Start(t.Context(), config(2, disks[2])); err != nil {
		t.Fatal(err)
	}
	p, _ := nodes[2].partitions.Partition(system)
	within(t, func() bool { l := lead(); return l != nil && p.Status().Applied >= l.Status().Applied })
	for i := range written {
		got, err := nodes[2].store.GetCopy(keys.Raw(system, fmt.Appendf(nil, "~%04d", i)))
		if err != nil || !bytes.Equal(got, value) {
			t.Fatalf("pair %d of %d: %d bytes, %v", i, written, len(got), err)
		}
	}
	within(t, func() bool { l := lead(); return l != nil && len(l.Status().Stranded) == 0 })
}

// within waits for a condition that nothing announces.
func within(t *testing.T, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for !f() {
		if time.Now().After(deadline) {
			t.Fatal("waited for a minute")
		}
		<-pause.C
	}
}
