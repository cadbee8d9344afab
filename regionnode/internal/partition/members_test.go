package partition_test

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"

	"antipode/regionnode"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/table"
)

// TestHandOver cuts the preferred leader off, brings it back, and wants the
// leadership to return to it under load without a write of unknown outcome.
func TestHandOver(t *testing.T) {
	ctx := context.Background()
	c := newCluster(t, 3)
	c.create(testSpec())
	c.awaitLeader(1)
	c.setCut(1, true)
	c.setFrozen(1, true)
	heir := c.leader()
	c.setFrozen(1, false)
	c.setCut(1, false)

	stop := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			k := newCounter(t, strconv.Itoa(w))
			at := heir
			for n := int64(0); ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				_, err := c.replica(at).Write(ctx, k.request(n))
				var moved *regionnode.NotLeader
				if errors.As(err, &moved) {
					at = cmp.Or(moved.Leader, heir)
				} else if err != nil {
					t.Errorf("a write during the hand-over: %v", err)
					return
				}
			}
		})
	}
	c.awaitLeader(1)
	close(stop)
	writers.Wait()
	c.converge()
}

// awaitLeader waits until a node leads.
func (c *cluster) awaitLeader(id table.NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.replica(id).Status().Leading {
		c.changed.Wait()
	}
}

func newCounter(t *testing.T, name string) *counter {
	base := makeItem("k", name, "")
	return &counter{base: base, key: keyFor(t, base)}
}

// maxRaftLog is small, so that a test passes it soon.
const maxRaftLog = 256 << 10

// TestStranded keeps a member away while more is written than the raft log may
// keep for it: the log stays bounded, and the member is named.
func TestStranded(t *testing.T) {
	ctx := context.Background()
	c := newCluster(t, 3, func(c *partition.Config) { c.MaxRaftLogBytes = maxRaftLog })
	c.create(testSpec())
	lead := c.leader()
	var away table.NodeID
	for id := range c.nodes {
		if id != lead {
			away = id
		}
	}
	c.setCut(away, true)
	k := newCounter(t, strings.Repeat("x", 1000))
	for n := int64(0); ; n++ {
		lead = c.leader()
		s := c.replica(lead).Status()
		if len(s.Stranded) > 0 {
			if s.LogBytes > maxRaftLog {
				t.Errorf("raft log of %d bytes", s.LogBytes)
			}
			if s.Stranded[0] != away || len(s.Away) != 1 || s.Away[0] != away {
				t.Fatalf("node %d is away: stranded %v, away %v", away, s.Stranded, s.Away)
			}
			break
		}
		c.call(ctx, lead, func(ctx context.Context, p *partition.Partition) error {
			_, err := p.Write(ctx, k.request(n))
			return err
		})
	}
}
