package node

import (
	"context"
	"errors"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/internal/rpc"
)

var _ regionnode.Streams = (*Node)(nil)

// StreamShards is part of regionnode.Streams.
func (n *Node) StreamShards(ctx context.Context, r *regionnode.StreamShardsRequest) (*regionnode.StreamShardsResponse, error) {
	p, err := n.held(r.Target.Partition)
	if err != nil {
		return nil, err
	}
	return p.StreamShards(ctx, r)
}

// StreamRecords is part of regionnode.Streams.
func (n *Node) StreamRecords(ctx context.Context, r *regionnode.StreamRecordsRequest) (*regionnode.StreamRecordsResponse, error) {
	p, err := n.held(r.Target.Partition)
	if err != nil {
		return nil, err
	}
	return p.StreamRecords(ctx, r)
}

// trimInterval paces the trimming of change logs: records stay up to that much
// longer than streams promise.
const trimInterval = time.Minute

// openStreams answers for streams, and trims the change logs that they read.
func (n *Node) openStreams(context.Context) error {
	rpc.RegisterStreams(n.server, n)
	n.upkeep(func(ctx context.Context) {
		tick := time.NewTicker(trimInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				n.trimStreams(ctx)
			}
		}
	})
	return nil
}

// trimStreams goes once over the partitions led here.
func (n *Node) trimStreams(ctx context.Context) {
	for _, p := range n.partitions.Led() {
		if !p.Streamed() {
			continue
		}
		var moved *regionnode.NotLeader
		if err := p.TrimStreams(ctx); err != nil && ctx.Err() == nil && !errors.As(err, &moved) {
			n.config.Log.Warn("change log was not trimmed", "partition", p.ID(), "error", err)
		}
	}
}

// upkeep runs f until the node closes; the partitions outlive it.
func (n *Node) upkeep(f func(context.Context)) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f(n.ctx)
	}()
	n.onClose(func() error { n.cancel(); <-ended; return nil })
}
