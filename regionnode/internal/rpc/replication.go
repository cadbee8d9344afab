package rpc

import (
	"context"

	"antipode/regionnode"
)

// methodReplication is regionnode.Replication on the wire.
const methodReplication = "Replication.Links"

// RegisterReplication answers for svc on s.
func RegisterReplication(s *Server, svc regionnode.Replication) {
	Handle(s, methodReplication, svc.Replication)
}

// A Service of NewServiceClient is a Replication too, if the process there is.
var _ regionnode.Replication = (*serviceClient)(nil)

func (c *serviceClient) Replication(ctx context.Context, r *regionnode.ReplicationRequest) (*regionnode.ReplicationResponse, error) {
	return Call[regionnode.ReplicationRequest, regionnode.ReplicationResponse](ctx, c.pool, c.addr, methodReplication, r)
}
