package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/ring"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// region is a whole region behind the interfaces that a client uses: a table of
// partitions, each with three replicas of which one leads. It keeps items in
// maps, checks epochs and leaders as nodes do, and fails as told.
type region struct {
	mu         sync.Mutex
	d          *table.Descriptor // nil when there is no table
	generation uint64
	partitions []*part
	describes  int // calls of DescribeTable
	maps       int // calls of Partitions
	down       bool
	// behind is for how many more calls Partitions answers with old.
	behind int
	old    *regionnode.PartitionMap
	// fail, if set, is asked before each data call, and its error returned: after
	// the call was carried out if done is set.
	fail  func(node table.NodeID, partition table.PartitionID) (err error, done bool)
	calls []string // data calls by node, in order
}

type part struct {
	regionnode.Partition
	leader table.NodeID
	items  map[string]item.Encoded
}

const nodesPerPartition = 3

// cut makes a new map of n partitions, all led by leader.
func (r *region) cut(n int, leader table.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.partitions
	r.partitions = nil
	r.generation++
	for i, start := range ring.Divide(n) {
		p := &part{leader: leader, items: map[string]item.Encoded{}}
		p.ID, p.Start, p.Epoch = table.PartitionID(r.generation*1000+uint64(i)), start, regionnode.Epoch{Range: uint32(r.generation)}
		for id := range nodesPerPartition {
			p.Replicas = append(p.Replicas, regionnode.Holder{Node: table.NodeID(id + 1), Addr: fmt.Sprint("n", id+1)})
		}
		p.Leader = leader
		r.partitions = append(r.partitions, p)
	}
	for _, p := range old {
		for k, v := range p.items {
			r.ownerLocked([]byte(k)).items[k] = v
		}
	}
}

func (r *region) ownerLocked(key []byte) *part {
	var starts []uint64
	for _, p := range r.partitions {
		starts = append(starts, p.Start)
	}
	return r.partitions[ring.Find(starts, table.Hash(key))]
}

// lead moves all leaderships without the map's knowledge.
func (r *region) lead(id table.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.partitions {
		p.leader = id
	}
}

func (r *region) create(id table.ID, partitions int) {
	r.mu.Lock()
	r.d = &table.Descriptor{ID: id, Name: "t", Generation: 1, Status: table.Active}
	r.partitions = nil
	r.mu.Unlock()
	r.cut(partitions, 1)
}

func (r *region) CreateTable(context.Context, *regionnode.CreateTableRequest) (*table.Descriptor, error) {
	return nil, errors.New("not here")
}

func (r *region) UpdateTable(context.Context, *regionnode.UpdateTableRequest) (*table.Descriptor, error) {
	return nil, errors.New("not here")
}

func (r *region) DeleteTable(_ context.Context, _ string) (*table.Descriptor, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.d
	r.d, r.partitions = nil, nil
	return d, nil
}

func (r *region) ListTables(context.Context, string, int) ([]string, bool, error) {
	return []string{"t"}, false, nil
}

func (r *region) DescribeTable(_ context.Context, name string) (*table.Descriptor, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.describes++
	switch {
	case r.down:
		return nil, &rpc.Unreachable{Addr: "catalog"}
	case r.d == nil || r.d.Name != name:
		return nil, apierr.TableMissing(name)
	}
	return r.d, nil
}

func (r *region) Partitions(_ context.Context, id table.ID) (*regionnode.PartitionMap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.maps++
	if r.d == nil || r.d.ID != id {
		return nil, apierr.NotFound()
	}
	if r.behind > 0 {
		r.behind--
		return r.old, nil
	}
	return r.mapLocked(), nil
}

func (r *region) mapLocked() *regionnode.PartitionMap {
	m := &regionnode.PartitionMap{Table: r.d.ID, Generation: r.generation}
	for _, p := range r.partitions {
		m.Partitions = append(m.Partitions, p.Partition)
	}
	return m
}

// split cuts the i-th partition in two, which the next few maps do not show.
func (r *region) split(i, behind int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.old, r.behind = r.mapLocked(), behind
	r.generation++
	left := r.partitions[i]
	right := &part{Partition: left.Partition, leader: left.leader, items: map[string]item.Encoded{}}
	end := uint64(0)
	if i+1 < len(r.partitions) {
		end = r.partitions[i+1].Start
	}
	left.Epoch.Range++
	right.Epoch = left.Epoch
	right.ID, right.Start = table.PartitionID(r.generation*1000), left.Start+(end-left.Start-1)/2+1 // end 0 is 2^64
	r.partitions = slices.Insert(r.partitions, i+1, right)
	for k, v := range left.items {
		if table.Hash([]byte(k)) >= right.Start {
			right.items[k] = v
			delete(left.items, k)
		}
	}
}

// testNode is one node of a region.
type testNode struct {
	r  *region
	id table.NodeID
}

// serve does f on the partition if this node may.
func serve[T any](n testNode, t regionnode.Target, leaderOnly bool, f func(*part) T) (T, error) {
	n.r.mu.Lock()
	defer n.r.mu.Unlock()
	var none T
	n.r.calls = append(n.r.calls, fmt.Sprint("n", n.id))
	var failure error
	if n.r.fail != nil {
		err, done := n.r.fail(n.id, t.Partition)
		if err != nil && !done {
			return none, err
		}
		failure = err
	}
	for _, p := range n.r.partitions {
		if p.ID != t.Partition || n.r.d == nil || n.r.d.ID != t.Table {
			continue
		}
		if p.Epoch.Range != t.Range {
			return none, &regionnode.Stale{Partition: p.ID, Reason: "another epoch"}
		}
		if leaderOnly && p.leader != n.id {
			return none, &regionnode.NotLeader{Partition: p.ID, Leader: p.leader}
		}
		return f(p), failure
	}
	return none, &regionnode.Stale{Partition: t.Partition, Reason: "not here"}
}

func (n testNode) Get(_ context.Context, q *regionnode.GetRequest) (*regionnode.GetResponse, error) {
	return serve(n, q.Target, q.Consistent, func(p *part) *regionnode.GetResponse {
		return &regionnode.GetResponse{Item: p.items[string(q.Key)]}
	})
}

func (n testNode) Write(_ context.Context, q *regionnode.WriteRequest) (*regionnode.WriteResponse, error) {
	return serve(n, q.Target, true, func(p *part) *regionnode.WriteResponse {
		p.items[string(q.Write.Key)] = append(p.items[string(q.Write.Key)], q.Write.Item...)
		return &regionnode.WriteResponse{}
	})
}

func (n testNode) Range(_ context.Context, q *regionnode.RangeRequest) (*regionnode.RangeResponse, error) {
	return serve(n, q.Target, q.Consistent, func(p *part) *regionnode.RangeResponse {
		return &regionnode.RangeResponse{Count: len(p.items)}
	})
}

func (n testNode) BatchGet(_ context.Context, q *regionnode.BatchGetRequest) (*regionnode.BatchGetResponse, error) {
	return serve(n, q.Target, q.Consistent, func(p *part) *regionnode.BatchGetResponse {
		out := &regionnode.BatchGetResponse{}
		for _, k := range q.Keys {
			out.Items = append(out.Items, regionnode.GetResponse{Item: p.items[string(k)]})
		}
		return out
	})
}

func (n testNode) BatchWrite(_ context.Context, q *regionnode.BatchWriteRequest) (*regionnode.BatchWriteResponse, error) {
	return serve(n, q.Target, true, func(p *part) *regionnode.BatchWriteResponse {
		out := &regionnode.BatchWriteResponse{}
		for _, w := range q.Writes {
			p.items[string(w.Key)] = append(p.items[string(w.Key)], w.Item...)
			out.Results = append(out.Results, regionnode.WriteResult{Response: &regionnode.WriteResponse{}})
		}
		return out
	})
}

// newClient is a client of a region whose nodes are in this process. Nothing is
// refreshed but by the test.
func newClient(t testing.TB, r *region, change func(*Config)) *Client {
	t.Helper()
	cfg := Config{LocalTables: r, Refresh: -1, Local: func(id table.NodeID) (regionnode.Data, bool) { return testNode{r, id}, true }}
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// keyOf makes the i-th of keys that spread over the hash space.
func keyOf(i int) []byte {
	return fmt.Appendf(binary.BigEndian.AppendUint64(nil, uint64(i)*0x9e3779b97f4a7c15), "key%d", i)
}

func write(c *Client, id table.ID, i int, value string) error {
	_, err := c.Write(context.Background(), &regionnode.WriteRequest{Target: regionnode.Target{Table: id},
		Write: regionnode.Write{Op: regionnode.PutOp, Key: keyOf(i), Item: item.Encoded(value)}})
	return err
}

func read(c *Client, id table.ID, i int) (string, error) {
	resp, err := c.Get(context.Background(), &regionnode.GetRequest{Target: regionnode.Target{Table: id}, Key: keyOf(i), Consistent: true})
	if err != nil {
		return "", err
	}
	return string(resp.Item), nil
}
