package client

import (
	"context"
	"errors"
	"testing"

	"antipode/regionnode"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// A partition splits before the region's maps show it: whatever is asked
// meanwhile waits for the new map, and is done once.
func TestRequestsOutliveTheMomentOfASplit(t *testing.T) {
	const items = 40
	all := make([][]byte, items)
	for i := range all {
		all[i] = keyOf(i)
	}
	for name, do := range map[string]func(*testing.T, *Client){
		"Write": func(t *testing.T, c *Client) {
			for i := range items {
				must(t, write(c, 7, i, "new"))
			}
		},
		"Get": func(t *testing.T, c *Client) {
			for i := range items {
				if got, err := read(c, 7, i); err != nil || got != "old" {
					t.Fatal(i, got, err)
				}
			}
		},
		"BatchGet": func(t *testing.T, c *Client) {
			got, err := c.BatchGet(t.Context(), &regionnode.BatchGetRequest{Target: regionnode.Target{Table: 7}, Keys: all, Consistent: true})
			must(t, err)
			for i := range got.Items {
				if got.Items[i].Item == nil {
					t.Fatalf("item %d is missing", i)
				}
			}
		},
		"BatchWrite": func(t *testing.T, c *Client) {
			q := regionnode.BatchWriteRequest{Target: regionnode.Target{Table: 7}}
			for _, k := range all {
				q.Writes = append(q.Writes, regionnode.Write{Op: regionnode.PutOp, Key: k, Item: item.Encoded("new")})
			}
			got, err := c.BatchWrite(t.Context(), &q)
			must(t, err)
			for i := range got.Results {
				if got.Results[i].Error != nil {
					t.Fatalf("item %d: %v", i, got.Results[i].Error)
				}
			}
		},
		"Range": func(t *testing.T, c *Client) {
			for _, k := range all {
				_, err := c.Range(t.Context(), &regionnode.RangeRequest{Target: regionnode.Target{Table: 7}, Low: k})
				must(t, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &region{}
			r.create(7, 3)
			c := newClient(t, r, nil)
			for i := range items {
				must(t, write(c, 7, i, "old"))
			}
			for i := range 3 {
				r.split(2*i, 6)
				do(t, c)
			}
			held := 0
			for _, p := range r.partitions {
				for k, v := range p.items {
					if held++; r.ownerLocked([]byte(k)) != p {
						t.Fatalf("%q went to partition %d", v, p.ID)
					}
				}
			}
			if held != items {
				t.Fatalf("%d items of %d", held, items)
			}
		})
	}
}

// Who chose a partition hears of its split only when the map shows it, so that
// the next choice is another one.
func TestAChosenPartitionIsStaleOnceTheMapKnowsBetter(t *testing.T) {
	r := &region{}
	r.create(7, 1)
	c := newClient(t, r, nil)
	m, err := c.Partitions(t.Context(), 7)
	must(t, err)
	r.split(0, 6)
	target := regionnode.Target{Table: 7, Partition: m.Partitions[0].ID, Range: m.Partitions[0].Epoch.Range}
	_, err = c.Range(t.Context(), &regionnode.RangeRequest{Target: target})
	if _, stale := errors.AsType[*regionnode.Stale](err); !stale {
		t.Fatalf("the whole partition was read after its split: %v", err)
	}
	if m, err = c.Partitions(t.Context(), 7); err != nil || len(m.Partitions) != 2 {
		t.Fatalf("after a Stale: %+v, %v", m, err)
	}
}

// A replica that has not heard of a split yet does not hold reads up: another
// one is asked.
func TestAReadGoesOnPastAReplicaThatIsBehind(t *testing.T) {
	r := &region{}
	r.create(7, 1)
	c := newClient(t, r, nil)
	must(t, write(c, 7, 1, "v"))
	r.fail = func(node table.NodeID, id table.PartitionID) (error, bool) {
		if node == 1 {
			return &regionnode.Stale{Partition: id, Reason: "behind"}, false
		}
		return nil, false
	}
	got, err := c.Get(t.Context(), &regionnode.GetRequest{Target: regionnode.Target{Table: 7}, Key: keyOf(1)})
	if err != nil || string(got.Item) != "v" {
		t.Fatal(got, err)
	}
}

// streamNode answers for streams with what it was asked.
type streamNode struct{ testNode }

func (n streamNode) StreamShards(_ context.Context, q *regionnode.StreamShardsRequest) (*regionnode.StreamShardsResponse, error) {
	return serve(n.testNode, q.Target, true, func(p *part) *regionnode.StreamShardsResponse {
		return &regionnode.StreamShardsResponse{Shards: []regionnode.StreamShard{{Partition: p.ID}}}
	})
}

func (n streamNode) StreamRecords(_ context.Context, q *regionnode.StreamRecordsRequest) (*regionnode.StreamRecordsResponse, error) {
	return serve(n.testNode, q.Target, true, func(p *part) *regionnode.StreamRecordsResponse {
		return &regionnode.StreamRecordsResponse{Last: uint64(p.Epoch.Range)}
	})
}

// Shards are listed by one map, or not at all; the records of a shard are read
// whatever has become of the partition's range.
func TestStreamsFollowASplit(t *testing.T) {
	r := &region{}
	r.create(7, 2)
	c := newClient(t, r, func(cfg *Config) {
		cfg.Local = func(id table.NodeID) (regionnode.Data, bool) { return streamNode{testNode{r, id}}, true }
	})
	m, err := c.Partitions(t.Context(), 7)
	must(t, err)
	first := regionnode.Target{Table: 7, Partition: m.Partitions[0].ID, Range: m.Partitions[0].Epoch.Range}
	_, err = c.StreamShards(t.Context(), &regionnode.StreamShardsRequest{Target: first})
	must(t, err)
	r.split(0, 4)
	_, err = c.StreamShards(t.Context(), &regionnode.StreamShardsRequest{Target: first})
	if _, stale := errors.AsType[*regionnode.Stale](err); !stale {
		t.Fatalf("shards by a map from before the split: %v", err)
	}
	r.split(0, 4)
	got, err := c.StreamRecords(t.Context(), &regionnode.StreamRecordsRequest{Target: regionnode.Target{Table: 7, Partition: first.Partition}})
	if err != nil || got.Last != uint64(first.Range)+2 {
		t.Fatalf("records of a shard that was closed: %+v, %v", got, err)
	}
	_, err = c.StreamRecords(t.Context(), &regionnode.StreamRecordsRequest{Target: regionnode.Target{Table: 7, Partition: 99}})
	if _, stale := errors.AsType[*regionnode.Stale](err); !stale {
		t.Fatalf("records of a partition that never was: %v", err)
	}
}
