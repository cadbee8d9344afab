package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"

	"antipode/regionnode"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/link"
)

// sink hands records from other regions to the partitions of this region that
// own their keys (link.Sink).
type sink struct {
	self       table.NodeID
	partitions *partition.Host
	registry   tableFinder
	pool       *rpc.Pool

	mu     sync.Mutex
	groups map[string]*target // by global table
}

// target is this region's replica of a global table.
type target struct {
	table      *table.Descriptor
	partitions *regionnode.PartitionMap
}

// tableFinder is what a sink asks of the catalog.
type tableFinder interface {
	Descriptors(ctx context.Context) ([]*table.Descriptor, error)
	Partitions(ctx context.Context, id table.ID) (*regionnode.PartitionMap, error)
}

const applyMethod = "Partition.ApplyRemote"

// applyRequest carries records to the leader of the partition that owns them.
type applyRequest struct {
	Partition table.PartitionID `msgpack:"p"`
	Records   []byte            `msgpack:"r"` // replication.AppendRecords
}

type applyResponse struct{}

// serveApply takes records in for the partitions of this node.
func (s *sink) serveApply(server *rpc.Server) {
	rpc.Handle(server, applyMethod, func(ctx context.Context, r *applyRequest) (*applyResponse, error) {
		records, _, err := replication.DecodeRecords(r.Records)
		if err != nil {
			return nil, fmt.Errorf("records for partition %d: %w", r.Partition, err)
		}
		return &applyResponse{}, s.applyHere(ctx, r.Partition, records)
	})
}

func (s *sink) applyHere(ctx context.Context, id table.PartitionID, records []replication.Record) error {
	p, ok := s.partitions.Partition(id)
	if !ok {
		return &regionnode.Stale{Partition: id, Reason: "not on this node"}
	}
	return p.ApplyRemote(ctx, records)
}

// applyAttempts bounds how often a delivery is routed anew before the sender
// is asked to come again.
const applyAttempts = 3

// Apply is part of link.Sink.
func (s *sink) Apply(ctx context.Context, d link.Delivery) ([]link.Rejection, error) {
	to, err := s.target(ctx, d.Source.Group, false)
	if err != nil {
		return nil, err
	}
	pending, rejections := screen(to.table, d.Records)
	for attempt := 1; ; attempt++ {
		pending, err = s.applyAll(ctx, to.partitions, pending)
		if err == nil || attempt == applyAttempts || !rpc.NotExecuted(err) {
			return rejections, err
		}
		if to, err = s.target(ctx, d.Source.Group, true); err != nil {
			return nil, err
		}
	}
}

// screen keeps back what no later attempt could apply: it would hold up all
// that follows it.
func screen(d *table.Descriptor, records []replication.Record) (good []replication.Record, bad []link.Rejection) {
	for i := range records {
		if reason := unfit(d, &records[i]); reason != "" {
			bad = append(bad, link.Rejection{Index: i, Reason: reason})
			continue
		}
		good = append(good, records[i])
	}
	return good, bad
}

// unfit says why a record can never be an item of the table, "" if it can.
func unfit(d *table.Descriptor, r *replication.Record) string {
	if r.Delete {
		if _, err := table.DecodeKey(d.Key, r.Key); err != nil {
			return err.Error()
		}
		return ""
	}
	image := item.Encoded(r.New)
	if err := image.Validate(); err != nil {
		return "image: " + err.Error()
	}
	key, err := d.Key.KeyOf(nil, image)
	if err != nil {
		return err.Error()
	}
	if !bytes.Equal(key, r.Key) {
		return "the record's key is not its image's"
	}
	return ""
}

// applyAll applies records to their partitions at once and returns those that
// must be tried again: applying one twice changes nothing (I5).
func (s *sink) applyAll(ctx context.Context, m *regionnode.PartitionMap, records []replication.Record) ([]replication.Record, error) {
	shares := make(map[int][]replication.Record)
	for _, r := range records {
		i := ownerOf(m, table.Hash(r.Key))
		shares[i] = append(shares[i], r)
	}
	type outcome struct {
		share int
		err   error
	}
	done := make(chan outcome, len(shares))
	for i, share := range shares {
		go func() { done <- outcome{i, s.applyShare(ctx, &m.Partitions[i], share)} }()
	}
	var again []replication.Record
	var errs []error
	for range shares {
		if o := <-done; o.err != nil {
			again = append(again, shares[o.share]...)
			errs = append(errs, o.err)
		}
	}
	return again, errors.Join(errs...)
}

func ownerOf(m *regionnode.PartitionMap, hash uint64) int {
	return sort.Search(len(m.Partitions), func(i int) bool { return m.Partitions[i].Start > hash }) - 1
}

// applyShare asks the replicas of one partition, the likely leader first.
func (s *sink) applyShare(ctx context.Context, p *regionnode.Partition, records []replication.Record) error {
	var last error
	for _, holder := range leaderFirst(p) {
		if holder.Node == s.self {
			last = s.applyHere(ctx, p.ID, records)
		} else {
			request := &applyRequest{p.ID, replication.AppendRecords(nil, records)}
			_, last = rpc.Call[applyRequest, applyResponse](ctx, s.pool, holder.Addr, applyMethod, request)
		}
		if last == nil || !rpc.NotExecuted(last) {
			return last
		}
	}
	if last == nil {
		return &regionnode.Stale{Partition: p.ID, Reason: "no replica in the map"}
	}
	return last
}

func leaderFirst(p *regionnode.Partition) []regionnode.Holder {
	out := make([]regionnode.Holder, 0, len(p.Replicas))
	for _, h := range p.Replicas {
		if h.Node == p.Leader {
			out = append(out, h)
		}
	}
	for _, h := range p.Replicas {
		if h.Node != p.Leader {
			out = append(out, h)
		}
	}
	return out
}

// target finds this region's replica of a global table.
func (s *sink) target(ctx context.Context, group string, fresh bool) (*target, error) {
	s.mu.Lock()
	known := s.groups[group]
	s.mu.Unlock()
	if known != nil && !fresh {
		return known, nil
	}
	tables, err := s.registry.Descriptors(ctx)
	if err != nil {
		return nil, fmt.Errorf("find global table %s: %w", group, err)
	}
	for _, d := range tables {
		if d.Global == nil || d.Global.Group != group || d.Status == table.Deleting {
			continue
		}
		m, err := s.registry.Partitions(ctx, d.ID)
		if err != nil {
			return nil, fmt.Errorf("find partitions of %s: %w", d.Name, err)
		}
		found := &target{d, m}
		s.mu.Lock()
		s.groups[group] = found
		s.mu.Unlock()
		return found, nil
	}
	return nil, fmt.Errorf("this region has no replica of global table %s", group)
}

// Closed is part of link.Sink. What peers have closed decides when tombstones
// may go (I6); until that is evaluated they stay.
func (s *sink) Closed(replication.Region, []link.Mark) {}
