package node

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/internal/scrub"
	"antipode/regionnode/table"
)

// ScrubConfig says how replicas are compared. Zero fields mean the defaults named
// beside them.
type ScrubConfig struct {
	// Interval is how long after a pass over a partition the next one begins;
	// below 0 replicas are not compared.
	Interval time.Duration // 24 h
	// BytesPerSecond bounds what a node reads for the partitions that it leads.
	BytesPerSecond int // 4 MB
}

const (
	scrubResultMethod = "Scrub.Result"
	condemnMethod     = "Scrub.Condemn"
)

type scrubRequest struct {
	Partition table.PartitionID `msgpack:"p"`
	Round     string            `msgpack:"r"`
}

type condemned struct{}

// openScrub begins to compare the replicas of the partitions led here, and
// answers for those held here.
func (n *Node) openScrub(context.Context) error {
	rpc.Handle(n.server, scrubResultMethod, func(ctx context.Context, r *scrubRequest) (*partition.Stretch, error) {
		p, err := n.host.led(r.Partition)
		if err != nil {
			return nil, err
		}
		return p.ScrubResult(ctx, r.Round)
	})
	rpc.Handle(n.server, condemnMethod, func(_ context.Context, r *scrubRequest) (*condemned, error) {
		p, err := n.host.led(r.Partition)
		if err != nil {
			return nil, err
		}
		p.Condemn(r.Round)
		return &condemned{}, nil
	})
	if n.config.Scrub.Interval < 0 {
		return nil
	}
	scrubber := scrub.New(scrub.Config{
		Partitions: n.scrubbed, Interval: n.config.Scrub.Interval, BytesPerSecond: n.config.Scrub.BytesPerSecond,
		Compared: func(bytes int64, differ int) {
			n.metrics.scrubbed.Add(float64(bytes))
			n.metrics.differing.Add(float64(differ))
		},
		Log: n.config.Log,
	})
	n.upkeep(scrubber.Run)
	return nil
}

func (n *Node) scrubbed() []scrub.Partition {
	held := n.partitions.Led()
	out := make([]scrub.Partition, len(held))
	for i, p := range held {
		out[i] = scrubbedPartition{p, n}
	}
	return out
}

// scrubbedPartition is a partition as scrub sees it.
type scrubbedPartition struct {
	*partition.Partition
	node *Node
}

// Members is part of scrub.Partition.
func (p scrubbedPartition) Members() []table.NodeID {
	members := p.Spec().Members
	if len(members) < 2 || !p.Status().Leading {
		return nil
	}
	for _, m := range members {
		// A member that is away has nothing to compare. One that does not beat may
		// also run an older version that would not understand.
		if l := p.node.liveness; l != nil && m != p.node.id && !l.Alive(m) {
			return nil
		}
	}
	return members
}

// Result is part of scrub.Partition.
func (p scrubbedPartition) Result(ctx context.Context, member table.NodeID, round string) (*scrub.Result, error) {
	s, err := p.result(ctx, member, round)
	if err != nil {
		return nil, err
	}
	print := binary.BigEndian.AppendUint64(nil, s.Hash)
	print = binary.AppendVarint(binary.AppendVarint(print, s.Keys), s.Bytes)
	return &scrub.Result{Print: string(append(print, s.Next...)), Bytes: s.Bytes, Next: s.Next}, nil
}

func (p scrubbedPartition) result(ctx context.Context, member table.NodeID, round string) (*partition.Stretch, error) {
	if member == p.node.id {
		return p.ScrubResult(ctx, round)
	}
	addr, err := p.node.addressOf(member)
	if err != nil {
		return nil, err
	}
	return rpc.Call[scrubRequest, partition.Stretch](ctx, p.node.pool, addr, scrubResultMethod, &scrubRequest{p.ID(), round})
}

// Condemn is part of scrub.Partition.
func (p scrubbedPartition) Condemn(ctx context.Context, member table.NodeID, round string) error {
	if member == p.node.id {
		p.Partition.Condemn(round)
		return nil
	}
	addr, err := p.node.addressOf(member)
	if err != nil {
		return err
	}
	_, err = rpc.Call[scrubRequest, condemned](ctx, p.node.pool, addr, condemnMethod, &scrubRequest{p.ID(), round})
	return err
}

func (n *Node) addressOf(id table.NodeID) (string, error) {
	addr, ok := n.addresses.of(id)
	if !ok {
		return "", fmt.Errorf("node %d: %w", id, &regionnode.Stale{Reason: "its address is not known"})
	}
	return addr, nil
}
