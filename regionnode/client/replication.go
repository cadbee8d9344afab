package client

import (
	"context"

	"antipode/regionnode"
)

var _ regionnode.Replication = (*Client)(nil)

// Replication implements regionnode.Replication. Target must name the partition
// with the range that it had in a map: *regionnode.Stale comes back once
// Partitions knows better.
func (c *Client) Replication(ctx context.Context, r *regionnode.ReplicationRequest) (*regionnode.ReplicationResponse, error) {
	q := *r
	return onLeader(ctx, c, &q.Target, false, func(s regionnode.Replication) (*regionnode.ReplicationResponse, error) {
		return s.Replication(ctx, &q)
	})
}
