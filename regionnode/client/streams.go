package client

import (
	"context"

	"antipode/regionnode"
)

var _ regionnode.Streams = (*Client)(nil)

// StreamShards implements regionnode.Streams. Target must name the partition with
// the range that it had in a map: *regionnode.Stale comes back once Partitions
// knows better, so that all shards of one map belong together.
func (c *Client) StreamShards(ctx context.Context, r *regionnode.StreamShardsRequest) (*regionnode.StreamShardsResponse, error) {
	q := *r
	return onLeader(ctx, c, &q.Target, false, func(s regionnode.Streams) (*regionnode.StreamShardsResponse, error) {
		return s.StreamShards(ctx, &q)
	})
}

// StreamRecords implements regionnode.Streams. Target must name the partition,
// which has a shard's records whatever its range is by now; one that is no longer
// in the map comes back as *regionnode.Stale.
func (c *Client) StreamRecords(ctx context.Context, r *regionnode.StreamRecordsRequest) (*regionnode.StreamRecordsResponse, error) {
	q := *r
	return onLeader(ctx, c, &q.Target, true, func(s regionnode.Streams) (*regionnode.StreamRecordsResponse, error) {
		return s.StreamRecords(ctx, &q)
	})
}
