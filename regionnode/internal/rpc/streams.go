package rpc

import (
	"context"

	"antipode/regionnode"
)

// The methods of regionnode.Streams on the wire.
const (
	methodStreamShards  = "Streams.Shards"
	methodStreamRecords = "Streams.Records"
)

// RegisterStreams answers for svc on s.
func RegisterStreams(s *Server, svc regionnode.Streams) {
	Handle(s, methodStreamShards, svc.StreamShards)
	Handle(s, methodStreamRecords, svc.StreamRecords)
}

// A Service of NewServiceClient is a Streams too, if the process there is.
var _ regionnode.Streams = (*serviceClient)(nil)

func (c *serviceClient) StreamShards(ctx context.Context, r *regionnode.StreamShardsRequest) (*regionnode.StreamShardsResponse, error) {
	return Call[regionnode.StreamShardsRequest, regionnode.StreamShardsResponse](ctx, c.pool, c.addr, methodStreamShards, r)
}

func (c *serviceClient) StreamRecords(ctx context.Context, r *regionnode.StreamRecordsRequest) (*regionnode.StreamRecordsResponse, error) {
	return Call[regionnode.StreamRecordsRequest, regionnode.StreamRecordsResponse](ctx, c.pool, c.addr, methodStreamRecords, r)
}
