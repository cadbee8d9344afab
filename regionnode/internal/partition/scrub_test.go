package partition_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode"
	"antipode/regionnode/internal/keys"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/table"
)

// scrubAll compares all members over the whole partition and returns those that
// differ from the leader.
func (c *cluster) scrubAll(lead table.NodeID, maxBytes int) (differ []table.NodeID, stretches int) {
	c.t.Helper()
	ctx := context.Background()
	var from []byte
	for {
		round, err := c.replica(lead).Scrub(ctx, from, maxBytes)
		if err != nil {
			c.t.Fatal(err)
		}
		want, err := c.replica(lead).ScrubResult(ctx, round)
		if err != nil {
			c.t.Fatal(err)
		}
		for id := range c.nodes {
			got, err := c.replica(id).ScrubResult(ctx, round)
			if err != nil {
				c.t.Fatal(err)
			}
			if !got.Equal(want) {
				differ = append(differ, id)
			}
		}
		stretches++
		if from = want.Next; from == nil {
			return differ, stretches
		}
	}
}

// TestScrub compares three replicas under writes, then changes one byte behind a
// replica's back and wants it found, and out of use for good once condemned.
func TestScrub(t *testing.T) {
	ctx := context.Background()
	c := newCluster(t, 3)
	spec := testSpec()
	spec.Log = partition.LogConfig{On: true, Stream: true}
	c.create(spec)
	lead := c.leader()
	var key []byte
	for i := range 200 {
		k := newCounter(t, strconv.Itoa(i))
		key = k.key
		c.call(ctx, lead, func(ctx context.Context, p *partition.Partition) error {
			_, err := p.Write(ctx, k.request(int64(i)))
			return err
		})
	}
	lead = c.leader()
	if differ, stretches := c.scrubAll(lead, 2000); len(differ) > 0 || stretches < 5 {
		t.Fatalf("replicas differ in %d stretches: %v", stretches, differ)
	}
	victim := lead%3 + 1
	full := keys.Data(spec.Table, 0, key)
	value, err := c.nodes[victim].store.GetCopy(full)
	if err != nil || value == nil {
		t.Fatalf("the last item: %v", err)
	}
	value[len(value)-1] ^= 1
	if err := c.nodes[victim].store.SetSync(full, value); err != nil {
		t.Fatal(err)
	}
	differ, _ := c.scrubAll(lead, 1<<20)
	if len(differ) != 1 || differ[0] != victim {
		t.Fatalf("node %d was changed, found %v", victim, differ)
	}
	c.replica(victim).Condemn("r")
	if _, err := c.replica(victim).ScrubResult(ctx, "never begun"); !errors.Is(err, partition.ErrClosed) {
		t.Fatalf("a condemned replica still works: %v", err)
	}
	c.stop(c.nodes[victim])
	c.start(c.nodes[victim])
	host := c.nodes[victim].host.Load()
	if len(host.Broken()) != 1 {
		t.Fatalf("after a restart %v are broken", host.Broken())
	}
	if _, err := c.replica(victim).ScrubResult(ctx, "never begun"); !errors.Is(err, partition.ErrClosed) {
		t.Fatalf("a condemned replica works again after a restart: %v", err)
	}
	// The others go on, and writes do.
	k := newCounter(t, "behind")
	c.call(ctx, lead, func(ctx context.Context, p *partition.Partition) error {
		_, err := p.Write(ctx, k.request(0))
		return err
	})
}

// TestBitRot flips a bit in every table file of one node, wherever its data lies,
// and wants every read answered rightly by the others, and the replica named
// broken: at the latest by a scrub.
func TestBitRot(t *testing.T) {
	ctx := context.Background()
	c := newCluster(t, 3)
	c.create(testSpec())
	lead := c.leader()
	counters := make([]*counter, 100)
	for i := range counters {
		counters[i] = newCounter(t, strconv.Itoa(i))
		c.call(ctx, lead, func(ctx context.Context, p *partition.Partition) error {
			_, err := p.Write(ctx, counters[i].request(int64(i)))
			return err
		})
	}
	c.converge()
	victim := c.leader()
	n := c.nodes[victim]
	c.stop(n)
	c.start(n) // what the log of the store held becomes a table file
	c.stop(n)
	flipped := 0
	names, err := n.fs.List("db")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") {
			flipBit(t, n.fs, "db/"+name)
			flipped++
		}
	}
	if flipped == 0 {
		t.Fatal("no table file to damage")
	}
	c.start(n)
	host := n.host.Load()
	for i, k := range counters {
		var got *regionnode.GetResponse
		c.call(ctx, victim, func(ctx context.Context, p *partition.Partition) (err error) {
			got, err = p.Get(ctx, &regionnode.GetRequest{Target: target, Key: k.key, Consistent: true})
			return err
		})
		if v := k.value(t, got.Item); v != int64(i) {
			t.Fatalf("counter %d is read as %d", i, v)
		}
	}
	if len(host.Broken()) == 0 {
		round, err := c.replica(c.leader()).Scrub(ctx, nil, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.replica(victim).ScrubResult(ctx, round)
		t.Logf("the damaged replica's scrub: %v", err)
	}
	if len(host.Broken()) == 0 {
		t.Fatal("the damage was not found")
	}
}

// flipBit turns one bit in the first half of a file.
func flipBit(t *testing.T, fs vfs.FS, name string) { flipBitAt(t, fs, name, 1.0/3) }

// flipBitAt turns one bit behind a part of a file.
func flipBitAt(t *testing.T, fs vfs.FS, name string, part float64) {
	t.Helper()
	f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	one, place := make([]byte, 1), int64(part*float64(info.Size()))
	if _, err := f.ReadAt(one, place); err != nil {
		t.Fatal(err)
	}
	one[0] ^= 16
	if _, err := f.WriteAt(one, place); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
