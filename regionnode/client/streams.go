package client

import (
	"context"
	"errors"

	"antipode/regionnode"
)

var _ regionnode.Streams = (*Client)(nil)

var errNoStreams = errors.New("node answers for no streams")

// StreamShards implements regionnode.Streams. Target must name the partition with
// the range that it had in a map: *regionnode.Stale comes back once Partitions
// knows better, so that all shards of one map belong together.
func (c *Client) StreamShards(ctx context.Context, r *regionnode.StreamShardsRequest) (*regionnode.StreamShardsResponse, error) {
	q := *r
	return onStreams(ctx, c, &q.Target, false, func(s regionnode.Streams) (*regionnode.StreamShardsResponse, error) {
		return s.StreamShards(ctx, &q)
	})
}

// StreamRecords implements regionnode.Streams. Target must name the partition,
// which has a shard's records whatever its range is by now; one that is no longer
// in the map comes back as *regionnode.Stale.
func (c *Client) StreamRecords(ctx context.Context, r *regionnode.StreamRecordsRequest) (*regionnode.StreamRecordsResponse, error) {
	q := *r
	return onStreams(ctx, c, &q.Target, true, func(s regionnode.Streams) (*regionnode.StreamRecordsResponse, error) {
		return s.StreamRecords(ctx, &q)
	})
}

// onStreams calls f with the leader of the target's partition. With anyRange it
// fills in the partition's range: who reads a shard knows no routes.
func onStreams[T any](ctx context.Context, c *Client, target *regionnode.Target, anyRange bool, f func(regionnode.Streams) (T, error)) (T, error) {
	var none T
	a := attempt{c: c, table: target.Table, partition: target.Partition, epoch: target.Range, anyRange: anyRange, reads: true, strong: true}
	for {
		n, err := a.next(ctx, target)
		if err != nil {
			return none, err
		}
		if anyRange {
			target.Range = a.way.rangeEpoch
		}
		s, ok := n.(regionnode.Streams)
		if !ok {
			return none, c.finalError(errNoStreams, true)
		}
		resp, err := f(s)
		if err == nil {
			a.served()
			return resp, nil
		}
		if err := a.failed(ctx, err); err != nil {
			return none, err
		}
	}
}
