package catalog

import (
	"context"

	"antipode/regionnode"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/table"
)

// The methods of Registry on the wire. They are answered by the node that they
// reach, and by no other: the Client follows the leader.
const (
	methodCreateTable     = "Catalog.CreateTable"
	methodDescribeTable   = "Catalog.DescribeTable"
	methodListTables      = "Catalog.ListTables"
	methodUpdateTable     = "Catalog.UpdateTable"
	methodDeleteTable     = "Catalog.DeleteTable"
	methodPartitions      = "Catalog.Partitions"
	methodTableByID       = "Catalog.TableByID"
	methodDescriptors     = "Catalog.Descriptors"
	methodRegisterNode    = "Catalog.RegisterNode"
	methodDrainNode       = "Catalog.DrainNode"
	methodNodes           = "Catalog.Nodes"
	methodSetPeer         = "Catalog.SetPeer"
	methodRemovePeer      = "Catalog.RemovePeer"
	methodPeers           = "Catalog.Peers"
	methodPutAccessKey    = "Catalog.PutAccessKey"
	methodDeleteAccessKey = "Catalog.DeleteAccessKey"
	methodAccessKeys      = "Catalog.AccessKeys"
	methodJobs            = "Catalog.Jobs"
)

type empty struct{}

// named carries a table, region or key id.
type named struct {
	Name string `msgpack:"n"`
}

type numbered struct {
	ID table.ID `msgpack:"i"`
}

type listTables struct {
	Start string `msgpack:"s,omitempty"`
	Limit int    `msgpack:"l"`
}

type tableNames struct {
	Names []string `msgpack:"n"`
	More  bool     `msgpack:"m,omitempty"`
}

type drainNode struct {
	ID       table.NodeID `msgpack:"i"`
	Draining bool         `msgpack:"d,omitempty"`
}

// list carries rows of one kind.
type list[T any] struct {
	Rows []T `msgpack:"r"`
}

// Register answers for r on s: r is the node's Catalog.
func Register(s *rpc.Server, r Registry) {
	rpc.Handle(s, methodCreateTable, r.CreateTable)
	rpc.Handle(s, methodUpdateTable, r.UpdateTable)
	handleNamed(s, methodDescribeTable, r.DescribeTable)
	handleNamed(s, methodDeleteTable, r.DeleteTable)
	rpc.Handle(s, methodListTables, func(ctx context.Context, q *listTables) (*tableNames, error) {
		names, more, err := r.ListTables(ctx, q.Start, q.Limit)
		return &tableNames{names, more}, err
	})
	rpc.Handle(s, methodPartitions, func(ctx context.Context, q *numbered) (*regionnode.PartitionMap, error) {
		return r.Partitions(ctx, q.ID)
	})
	rpc.Handle(s, methodTableByID, func(ctx context.Context, q *numbered) (*table.Descriptor, error) {
		return r.TableByID(ctx, q.ID)
	})
	rpc.Handle(s, methodRegisterNode, func(ctx context.Context, n *Node) (*Node, error) {
		made, err := r.RegisterNode(ctx, *n)
		return &made, err
	})
	handleDone(s, methodDrainNode, func(ctx context.Context, q *drainNode) error { return r.DrainNode(ctx, q.ID, q.Draining) })
	handleDone(s, methodSetPeer, func(ctx context.Context, p *Peer) error { return r.SetPeer(ctx, *p) })
	handleDone(s, methodRemovePeer, func(ctx context.Context, q *named) error { return r.RemovePeer(ctx, q.Name) })
	handleDone(s, methodPutAccessKey, func(ctx context.Context, k *AccessKey) error { return r.PutAccessKey(ctx, *k) })
	handleDone(s, methodDeleteAccessKey, func(ctx context.Context, q *named) error { return r.DeleteAccessKey(ctx, q.Name) })
	handleList(s, methodDescriptors, r.Descriptors)
	handleList(s, methodNodes, r.Nodes)
	handleList(s, methodPeers, r.Peers)
	handleList(s, methodAccessKeys, r.AccessKeys)
	handleList(s, methodJobs, r.Jobs)
	registerNodes(s, r)
}

func handleNamed(s *rpc.Server, method string, f func(context.Context, string) (*table.Descriptor, error)) {
	rpc.Handle(s, method, func(ctx context.Context, q *named) (*table.Descriptor, error) { return f(ctx, q.Name) })
}

func handleDone[Req any](s *rpc.Server, method string, f func(context.Context, *Req) error) {
	rpc.Handle(s, method, func(ctx context.Context, q *Req) (*empty, error) { return &empty{}, f(ctx, q) })
}

func handleList[T any](s *rpc.Server, method string, f func(context.Context) ([]T, error)) {
	rpc.Handle(s, method, func(ctx context.Context, _ *empty) (*list[T], error) {
		rows, err := f(ctx)
		return &list[T]{rows}, err
	})
}
