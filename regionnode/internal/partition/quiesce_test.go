package partition_test

import (
	"context"
	"testing"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/internal/liveness"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/table"
)

// testSupport is far longer than the pause between two ticks of a test, so that
// a busy machine does not end it for nothing.
const testSupport = 150 * time.Millisecond

// beats is the partition id under which the test's network carries beats.
const beats table.PartitionID = 0

var testStart = time.Now()

// live begins a life of a node among others.
func (c *cluster) live(n *clusterNode, config *partition.Config) {
	if c.support == 0 {
		return
	}
	n.epoch++
	now := func() time.Duration { return time.Since(testStart) }
	if c.clock != nil {
		now = func() time.Duration { return c.clock(n) }
	}
	n.monitor = liveness.New(liveness.Config{Self: n.id, Epoch: n.epoch, Support: c.support, Now: now})
	config.Liveness = n.monitor
}

// beat is a tick of a node's liveness.
func (c *cluster) beat(n *clusterNode, host *partition.Host) {
	if n.monitor == nil {
		return
	}
	if news := n.monitor.News(); len(news) > 0 {
		host.PeersChanged(news)
	}
	for id := range c.nodes {
		if id != n.id {
			c.send(n.id, id, beats, [][]byte{n.monitor.Beat(id).Append(nil)})
		}
	}
}

func (c *cluster) receiveBeat(n *clusterNode, d delivery) bool {
	if d.id != beats {
		return false
	}
	b, err := liveness.DecodeBeat(d.msg)
	if err != nil {
		c.t.Error(err)
		return true
	}
	n.monitor.Receive(b)
	return true
}

// awake counts the replicas that are given ticks.
func (c *cluster) awake() int {
	sum := 0
	for _, n := range c.nodes {
		if host := n.host.Load(); host != nil {
			sum += host.Awake()
		}
	}
	return sum
}

// messages counts what members have said to one another.
func (c *cluster) messages() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent
}

// until looks again with each tick of the test.
func (c *cluster) until(what string, ok func() bool) {
	c.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(max(c.patience, time.Minute))
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			c.t.Fatalf("never: %s", what)
		}
	}
}

// put writes until it is acknowledged.
func (c *cluster) put(k *counter, n int64) {
	for !c.call(context.Background(), 1, func(ctx context.Context, p *partition.Partition) error {
		_, err := p.Write(ctx, k.request(n))
		return err
	}) {
		continue // nobody knows, and once more does no harm
	}
}

func (c *cluster) get(k *counter) int64 {
	var got *regionnode.GetResponse
	for !c.call(context.Background(), 1, func(ctx context.Context, p *partition.Partition) (err error) {
		got, err = p.Get(ctx, &regionnode.GetRequest{Target: target, Key: k.key, Consistent: true})
		return err
	}) {
		continue // it took too long
	}
	return k.value(c.t.(*testing.T), got.Item)
}

// TestSleep: a group with nothing to do is silent, answers strong reads so, wakes
// to write, and sleeps again, with a member away too.
func TestSleep(t *testing.T) {
	c := newLively(t, 3, testSupport)
	c.create(testSpec())
	k := newCounter(t, "sleep")
	c.put(k, 1)
	c.until("all sleep", func() bool { return c.awake() == 0 })

	// A busy machine may wake a group; then it is measured again.
	c.until("a group is silent over reads", func() bool {
		c.until("all sleep", func() bool { return c.awake() == 0 })
		before := c.messages()
		for range 1000 {
			if n := c.get(k); n != 1 {
				t.Fatalf("read %d", n)
			}
		}
		return c.messages() == before
	})
	c.put(k, 2)
	c.converge()
	c.until("all sleep again", func() bool { return c.awake() == 0 })

	away := c.leader()%3 + 1
	c.stop(c.nodes[away])
	c.put(k, 3)
	c.until("those that are left sleep", func() bool { return c.awake() == 0 })
	c.start(c.nodes[away])
	c.until("the member that was away has everything", func() bool {
		return c.replica(away).Status().Applied == c.replica(c.leader()).Status().Applied
	})
	c.until("all sleep at last", func() bool { return c.awake() == 0 })
	if n := c.get(k); n != 3 {
		t.Errorf("read %d", n)
	}
}

// TestSleepingLeaderDies: nobody asks a sleeping leader anything, and it is
// missed all the same, whether its node is cut off or starts anew at once.
func TestSleepingLeaderDies(t *testing.T) {
	c := newLively(t, 3, testSupport)
	c.create(testSpec())
	k := newCounter(t, "sleep")
	for n := range int64(6) {
		c.put(k, n)
		c.until("all sleep", func() bool { return c.awake() == 0 })
		led := c.leader()
		term := c.replica(led).Status().Term
		if n%2 == 0 {
			c.stop(c.nodes[led])
			c.start(c.nodes[led])
			c.until("there is a leader of a later term", func() bool { return c.replica(c.leader()).Status().Term > term })
			continue
		}
		c.setCut(led, true)
		heir := c.leader()
		if heir == led || c.replica(heir).Status().Term == term {
			t.Fatalf("node %d leads, after node %d was cut off", heir, led)
		}
		c.setCut(led, false)
	}
	if n := c.get(k); n != 5 {
		t.Errorf("read %d", n)
	}
	c.converge()
}
