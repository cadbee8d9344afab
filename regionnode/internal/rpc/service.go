package rpc

import (
	"context"

	"antipode/regionnode"
	"antipode/regionnode/table"
)

// The methods of regionnode.Service on the wire.
const (
	methodGet           = "Data.Get"
	methodWrite         = "Data.Write"
	methodRange         = "Data.Range"
	methodBatchGet      = "Data.BatchGet"
	methodBatchWrite    = "Data.BatchWrite"
	methodCreateTable   = "Tables.Create"
	methodDescribeTable = "Tables.Describe"
	methodListTables    = "Tables.List"
	methodUpdateTable   = "Tables.Update"
	methodDeleteTable   = "Tables.Delete"
	methodPartitions    = "Tables.Partitions"
)

// nameRequest carries the one argument of DescribeTable and DeleteTable.
type nameRequest struct {
	Name string `msgpack:"n"`
}

type listRequest struct {
	Start string `msgpack:"s,omitempty"`
	Limit int    `msgpack:"l"`
}

type listResponse struct {
	Names []string `msgpack:"n"`
	More  bool     `msgpack:"m,omitempty"`
}

type partitionsRequest struct {
	Table table.ID `msgpack:"t"`
}

// RegisterService answers for svc on s.
func RegisterService(s *Server, svc regionnode.Service) {
	Handle(s, methodGet, svc.Get)
	Handle(s, methodWrite, svc.Write)
	Handle(s, methodRange, svc.Range)
	Handle(s, methodBatchGet, svc.BatchGet)
	Handle(s, methodBatchWrite, svc.BatchWrite)
	Handle(s, methodCreateTable, svc.CreateTable)
	Handle(s, methodUpdateTable, svc.UpdateTable)
	Handle(s, methodDescribeTable, func(ctx context.Context, r *nameRequest) (*table.Descriptor, error) {
		return svc.DescribeTable(ctx, r.Name)
	})
	Handle(s, methodDeleteTable, func(ctx context.Context, r *nameRequest) (*table.Descriptor, error) {
		return svc.DeleteTable(ctx, r.Name)
	})
	Handle(s, methodListTables, func(ctx context.Context, r *listRequest) (*listResponse, error) {
		names, more, err := svc.ListTables(ctx, r.Start, r.Limit)
		return &listResponse{names, more}, err
	})
	Handle(s, methodPartitions, func(ctx context.Context, r *partitionsRequest) (*regionnode.PartitionMap, error) {
		return svc.Partitions(ctx, r.Table)
	})
}

// NewServiceClient is the Service of the process at addr. It neither routes nor
// retries: errors come as the node there gave them, or as Unreachable.
func NewServiceClient(p *Pool, addr string) regionnode.Service { return &serviceClient{p, addr} }

type serviceClient struct {
	pool *Pool
	addr string
}

func (c *serviceClient) Get(ctx context.Context, r *regionnode.GetRequest) (*regionnode.GetResponse, error) {
	return Call[regionnode.GetRequest, regionnode.GetResponse](ctx, c.pool, c.addr, methodGet, r)
}

func (c *serviceClient) Write(ctx context.Context, r *regionnode.WriteRequest) (*regionnode.WriteResponse, error) {
	return Call[regionnode.WriteRequest, regionnode.WriteResponse](ctx, c.pool, c.addr, methodWrite, r)
}

func (c *serviceClient) Range(ctx context.Context, r *regionnode.RangeRequest) (*regionnode.RangeResponse, error) {
	return Call[regionnode.RangeRequest, regionnode.RangeResponse](ctx, c.pool, c.addr, methodRange, r)
}

func (c *serviceClient) BatchGet(ctx context.Context, r *regionnode.BatchGetRequest) (*regionnode.BatchGetResponse, error) {
	return Call[regionnode.BatchGetRequest, regionnode.BatchGetResponse](ctx, c.pool, c.addr, methodBatchGet, r)
}

func (c *serviceClient) BatchWrite(ctx context.Context, r *regionnode.BatchWriteRequest) (*regionnode.BatchWriteResponse, error) {
	return Call[regionnode.BatchWriteRequest, regionnode.BatchWriteResponse](ctx, c.pool, c.addr, methodBatchWrite, r)
}

func (c *serviceClient) CreateTable(ctx context.Context, r *regionnode.CreateTableRequest) (*table.Descriptor, error) {
	return Call[regionnode.CreateTableRequest, table.Descriptor](ctx, c.pool, c.addr, methodCreateTable, r)
}

func (c *serviceClient) UpdateTable(ctx context.Context, r *regionnode.UpdateTableRequest) (*table.Descriptor, error) {
	return Call[regionnode.UpdateTableRequest, table.Descriptor](ctx, c.pool, c.addr, methodUpdateTable, r)
}

func (c *serviceClient) DescribeTable(ctx context.Context, name string) (*table.Descriptor, error) {
	return Call[nameRequest, table.Descriptor](ctx, c.pool, c.addr, methodDescribeTable, &nameRequest{name})
}

func (c *serviceClient) DeleteTable(ctx context.Context, name string) (*table.Descriptor, error) {
	return Call[nameRequest, table.Descriptor](ctx, c.pool, c.addr, methodDeleteTable, &nameRequest{name})
}

func (c *serviceClient) ListTables(ctx context.Context, start string, limit int) (names []string, more bool, err error) {
	r, err := Call[listRequest, listResponse](ctx, c.pool, c.addr, methodListTables, &listRequest{start, limit})
	if err != nil {
		return nil, false, err
	}
	return r.Names, r.More, nil
}

func (c *serviceClient) Partitions(ctx context.Context, id table.ID) (*regionnode.PartitionMap, error) {
	return Call[partitionsRequest, regionnode.PartitionMap](ctx, c.pool, c.addr, methodPartitions, &partitionsRequest{id})
}
