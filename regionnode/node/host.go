package node

import (
	"context"
	"fmt"
	"slices"

	"antipode/regionnode"
	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/internal/controller"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/link"
)

// host is this node as controllers use it (controller.Host).
type host struct {
	partitions *partition.Host
	links      *links
	indexes    *indexes
	self       table.NodeID
	// moved is raised when the system partition may have come or gone.
	moved flag
}

// nodes finds the hosts of the region (controller.Nodes).
type nodes struct {
	local  *host
	remote func(catalog.Node) controller.Host
}

// Host is part of controller.Nodes.
func (n *nodes) Host(row catalog.Node) controller.Host {
	if row.ID == n.local.self {
		return n.local
	}
	return n.remote(row)
}

// led finds a partition that this node holds.
func (h *host) led(id table.PartitionID) (*partition.Partition, error) {
	p, ok := h.partitions.Partition(id)
	if !ok {
		return nil, &regionnode.Stale{Partition: id, Reason: "not on this node"}
	}
	return p, nil
}

// CreatePartition is part of controller.Host.
func (h *host) CreatePartition(ctx context.Context, s *controller.Spec) error {
	err := h.partitions.Create(ctx, partition.Spec{
		ID: s.Partition, Table: s.Table, Start: s.Start, End: s.End,
		Epoch:       regionnode.Epoch{Range: 1, Members: 1},
		Members:     s.Replicas,
		Descriptor:  s.Descriptor,
		Incarnation: s.Incarnation,
		Generation:  s.Generation,
		Log:         logConfig(s.Log, nil),
	})
	if err != nil {
		return fmt.Errorf("create partition %d: %w", s.Partition, err)
	}
	return nil
}

func logConfig(c controller.LogConfig, peers []replication.Region) partition.LogConfig {
	return partition.LogConfig{On: c.Changes, Tombstones: c.Tombstones, Peers: peers}
}

// DestroyPartition is part of controller.Host.
func (h *host) DestroyPartition(ctx context.Context, id table.PartitionID) error {
	defer h.links.drop(id)()
	defer h.indexes.drop(id)()
	if err := h.partitions.Destroy(ctx, id); err != nil {
		return fmt.Errorf("destroy partition %d: %w", id, err)
	}
	return nil
}

// SetDescriptor is part of controller.Host.
func (h *host) SetDescriptor(ctx context.Context, r *controller.DescriptorRequest) error {
	p, err := h.led(r.Partition)
	if err != nil {
		return err
	}
	if err := p.SetDescriptor(ctx, r.Descriptor); err != nil {
		return fmt.Errorf("describe partition %d: %w", r.Partition, err)
	}
	have := p.Spec().Log
	want := logConfig(r.Log, have.Peers)
	if have.On != want.On || have.Stream != want.Stream || have.Tombstones != want.Tombstones {
		if err := p.ConfigureLog(ctx, want); err != nil {
			return fmt.Errorf("configure log of partition %d: %w", r.Partition, err)
		}
	}
	h.links.refresh()
	h.indexes.refresh()
	return nil
}

// OpenLink is part of controller.Host. The region becomes a reader of the log
// before its position is fixed; a log that has a reader without a position is
// not trimmed, so nothing is lost in between, and a crash there is mended by the
// next call.
func (h *host) OpenLink(ctx context.Context, r *controller.LinkRequest) (*controller.Progress, error) {
	p, err := h.led(r.Partition)
	if err != nil {
		return nil, err
	}
	to := replication.Region(r.To)
	have := p.Spec().Log
	if !slices.Contains(have.Peers, to) || !have.On {
		have.On = true
		have.Peers = append(slices.DeleteFunc(slices.Clone(have.Peers), func(x replication.Region) bool { return x == to }), to)
		slices.Sort(have.Peers)
		if err := p.ConfigureLog(ctx, have); err != nil {
			return nil, fmt.Errorf("log partition %d for %s: %w", r.Partition, to, err)
		}
	}
	if _, fixed := p.Positions()[to]; !fixed {
		start := p.LogEnd()
		if r.FromStart {
			start = p.LogStart()
		}
		if err := p.SetPosition(ctx, to, start); err != nil {
			return nil, fmt.Errorf("fix position of partition %d for %s: %w", r.Partition, to, err)
		}
	}
	h.links.refresh()
	return h.progress(p, to)
}

// CloseLink is part of controller.Host.
func (h *host) CloseLink(ctx context.Context, r *controller.LinkRequest) error {
	p, err := h.led(r.Partition)
	if err != nil {
		return err
	}
	to := replication.Region(r.To)
	have := p.Spec().Log
	if slices.Contains(have.Peers, to) {
		have.Peers = slices.DeleteFunc(slices.Clone(have.Peers), func(x replication.Region) bool { return x == to })
		if err := p.ConfigureLog(ctx, have); err != nil {
			return fmt.Errorf("end log of partition %d for %s: %w", r.Partition, to, err)
		}
	}
	h.links.refresh()
	return nil
}

// LinkProgress is part of controller.Host.
func (h *host) LinkProgress(_ context.Context, r *controller.LinkRequest) (*controller.Progress, error) {
	p, err := h.led(r.Partition)
	if err != nil {
		return nil, err
	}
	return h.progress(p, replication.Region(r.To))
}

// progress reports the position that is durable here. Start is the same: what
// lies before the position, the peer has.
func (h *host) progress(p *partition.Partition, to replication.Region) (*controller.Progress, error) {
	s := p.Status()
	if !s.Leading {
		return nil, &regionnode.NotLeader{Partition: s.ID, Leader: s.Leader}
	}
	acked, ok := p.Positions()[to]
	if !ok {
		return nil, fmt.Errorf("partition %d has no link to %s", s.ID, to)
	}
	return &controller.Progress{Partition: s.ID, Start: acked, End: p.LogEnd(), Acked: acked}, nil
}

// A Backfill call ships one stretch of a partition, in several batches at once,
// and returns when the other region has all of it durably.
const (
	backfillRecords = 20_000
	backfillBytes   = 16 << 20
)

// Backfill is part of controller.Host.
func (h *host) Backfill(ctx context.Context, r *controller.BackfillRequest) (*controller.BackfillResponse, error) {
	p, err := h.led(r.Partition)
	if err != nil {
		return nil, err
	}
	if s := p.Status(); !s.Leading {
		return nil, &regionnode.NotLeader{Partition: s.ID, Leader: s.Leader}
	}
	stretch := &stretch{partition: p, group: groupOf(p)}
	out := &controller.BackfillResponse{After: r.After}
	_, err = h.links.group.Backfill(ctx, stretch, replication.Region(r.To), r.After, func(key []byte) error {
		out.After = key
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("back-fill %s from partition %d: %w", r.To, r.Partition, err)
	}
	out.Done, out.Records = stretch.ended, stretch.records
	return out, nil
}

// stretch reads a partition's versions page by page until the bounds of one call
// are reached (link.Snapshotter).
type stretch struct {
	partition *partition.Partition
	group     string
	records   int
	bytes     int
	ended     bool // at the partition's end
}

// ID is part of link.Snapshotter.
func (s *stretch) ID() link.SourceID {
	return link.SourceID{Group: s.group, Partition: uint64(s.partition.ID())}
}

// Next is part of link.Snapshotter.
func (s *stretch) Next(ctx context.Context, after []byte, maxRecords, maxBytes int) ([]replication.Record, error) {
	if s.ended || s.records >= backfillRecords || s.bytes >= backfillBytes {
		return nil, nil
	}
	records, more, err := s.partition.ScanVersions(ctx, after, maxRecords, maxBytes)
	s.ended = !more
	s.records += len(records)
	for i := range records {
		s.bytes += replication.RecordSize(&records[i])
	}
	return records, err
}
