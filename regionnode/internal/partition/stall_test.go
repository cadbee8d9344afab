package partition_test

import (
	"context"
	"testing"
)

// TestStalledDisk has the disk of whoever leads stand still under load, over and
// over: another member leads, writes go on, and nothing is lost.
func TestStalledDisk(t *testing.T) {
	// With room in memory the node itself goes on, and so do its heartbeats.
	w := newCutWorld(t, 1, 3, func(w *cutWorld) { w.mem = 32 << 20 })
	w.create()
	c := newCutLoad(w)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	clients := c.run(ctx, 1)
	for range 3 {
		c.progress(50)
		stuck := c.leading()
		c.set(func() { stuck.stuck = true })
		c.await("another one leads", func() bool {
			for _, n := range c.nodes {
				if p, _ := n.life.host.Partition(target.Partition); n != stuck && p.Status().Leading {
					return true
				}
			}
			return false
		})
		c.progress(50)
		c.set(func() { stuck.stuck = false })
	}
	cancel()
	clients.Wait()
	c.verify()
	if err := c.registers.Check(); err != nil {
		t.Error(err)
	}
}

// leading waits for a leader.
func (c *cutLoad) leading() (out *cutNode) {
	c.t.Helper()
	c.await("a leader", func() bool {
		for _, n := range c.nodes {
			if p, _ := n.life.host.Partition(target.Partition); p.Status().Leading {
				out = n
			}
		}
		return out != nil
	})
	return out
}
