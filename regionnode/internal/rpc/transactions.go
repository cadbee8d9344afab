package rpc

import (
	"context"

	"antipode/regionnode"
)

// The methods of regionnode.Transactions and regionnode.Participants on the wire.
const (
	methodTransactWrite = "Transactions.Write"
	methodTransactGet   = "Transactions.Get"
	methodPrepare       = "Participants.Prepare"
	methodFinish        = "Participants.Finish"
	methodSettle        = "Participants.Settle"
	methodReadMarked    = "Participants.ReadMarked"
)

// RegisterTransactions answers for a coordinator on s.
func RegisterTransactions(s *Server, svc regionnode.Transactions) {
	Handle(s, methodTransactWrite, svc.TransactWrite)
	Handle(s, methodTransactGet, svc.TransactGet)
}

// RegisterParticipants answers for partitions on s.
func RegisterParticipants(s *Server, svc regionnode.Participants) {
	Handle(s, methodPrepare, svc.Prepare)
	Handle(s, methodFinish, svc.Finish)
	Handle(s, methodSettle, svc.Settle)
	Handle(s, methodReadMarked, svc.ReadMarked)
}

// A Service of NewServiceClient coordinates, and takes part, if the process there
// does.
var (
	_ regionnode.Transactions = (*serviceClient)(nil)
	_ regionnode.Participants = (*serviceClient)(nil)
)

func (c *serviceClient) TransactWrite(ctx context.Context, r *regionnode.TransactWriteRequest) (*regionnode.TransactWriteResponse, error) {
	return Call[regionnode.TransactWriteRequest, regionnode.TransactWriteResponse](ctx, c.pool, c.addr, methodTransactWrite, r)
}

func (c *serviceClient) TransactGet(ctx context.Context, r *regionnode.TransactGetRequest) (*regionnode.TransactGetResponse, error) {
	return Call[regionnode.TransactGetRequest, regionnode.TransactGetResponse](ctx, c.pool, c.addr, methodTransactGet, r)
}

func (c *serviceClient) Prepare(ctx context.Context, r *regionnode.PrepareRequest) (*regionnode.PrepareResponse, error) {
	return Call[regionnode.PrepareRequest, regionnode.PrepareResponse](ctx, c.pool, c.addr, methodPrepare, r)
}

func (c *serviceClient) Finish(ctx context.Context, r *regionnode.FinishRequest) (*regionnode.FinishResponse, error) {
	return Call[regionnode.FinishRequest, regionnode.FinishResponse](ctx, c.pool, c.addr, methodFinish, r)
}

func (c *serviceClient) Settle(ctx context.Context, r *regionnode.SettleRequest) (*regionnode.SettleResponse, error) {
	return Call[regionnode.SettleRequest, regionnode.SettleResponse](ctx, c.pool, c.addr, methodSettle, r)
}

func (c *serviceClient) ReadMarked(ctx context.Context, r *regionnode.ReadMarkedRequest) (*regionnode.ReadMarkedResponse, error) {
	return Call[regionnode.ReadMarkedRequest, regionnode.ReadMarkedResponse](ctx, c.pool, c.addr, methodReadMarked, r)
}
