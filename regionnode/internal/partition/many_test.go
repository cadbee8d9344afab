package partition_test

import (
	"context"
	"flag"
	"runtime"
	"syscall"
	"testing"
	"time"

	"antipode/regionnode/internal/partition"
	"antipode/regionnode/table"
)

var manyGroups = flag.Int("many-groups", 50, "groups of three in the test of many")

// TestManyGroups: groups with nothing to do cost next to nothing, and when a
// node dies all that it led are led again.
func TestManyGroups(t *testing.T) {
	c := &cluster{t: t, support: 600 * time.Millisecond, tick: 25 * time.Millisecond, nodes: map[table.NodeID]*clusterNode{}, cut: map[table.NodeID]bool{}, frozen: map[table.NodeID]bool{}}
	c.changed.L = &c.mu
	c.change = append(c.change, func(c *partition.Config) { c.ElectionTicks, c.HeartbeatTicks = 20, 3 })
	c.makeNodes(3)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before, began := heap(), time.Now()
	for i := range *manyGroups {
		spec := testSpec()
		spec.ID = table.PartitionID(1000 + i)
		spec.Table, spec.Members = table.ID(1000+i), nil
		for m := range 3 {
			spec.Members = append(spec.Members, table.NodeID((i+m)%3+1))
		}
		for m := range 3 {
			if err := c.nodes[spec.Members[2-m]].host.Load().Create(context.Background(), spec); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d groups created in %v", *manyGroups, time.Since(began))
	c.patience = 10 * time.Minute
	c.until("all sleep", func() bool { return c.awake() == 0 })
	t.Logf("asleep after %v, %d bytes of heap a replica", time.Since(began), (heap()-before)/uint64(3**manyGroups))
	if *manyGroups > 1000 {
		t.Logf("idle: %.2f %% of a core for three nodes", 100*c.cpu(10*time.Second))
	}
	leads := func(id table.NodeID) (n int) {
		for _, p := range c.nodes[id].host.Load().Partitions() {
			if p.Status().Leading {
				n++
			}
		}
		return n
	}
	began = time.Now()
	c.stop(c.nodes[1])
	c.until("the others lead all", func() bool { return leads(2)+leads(3) == *manyGroups })
	t.Logf("led again after %v", time.Since(began))
}

// cpu is what the process uses over a while, in cores.
func (c *cluster) cpu(over time.Duration) float64 {
	used := func() time.Duration {
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			c.t.Fatal(err)
		}
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	before := used()
	<-time.After(over)
	return (used() - before).Seconds() / over.Seconds()
}
