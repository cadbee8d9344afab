package node

import (
	"context"

	"antipode/regionnode"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/table"
)

// held is the partition that a request names, or the refusal that sends the
// caller for a new map.
func (n *Node) held(id table.PartitionID) (*partition.Partition, error) {
	p, ok := n.partitions.Partition(id)
	if !ok {
		return nil, &regionnode.Stale{Partition: id, Reason: "not on this node"}
	}
	return p, nil
}

// Get is part of regionnode.Data.
func (n *Node) Get(ctx context.Context, r *regionnode.GetRequest) (*regionnode.GetResponse, error) {
	p, err := n.held(r.Target.Partition)
	if err != nil {
		return nil, err
	}
	return p.Get(ctx, r)
}

// Write is part of regionnode.Data.
func (n *Node) Write(ctx context.Context, r *regionnode.WriteRequest) (*regionnode.WriteResponse, error) {
	p, err := n.held(r.Target.Partition)
	if err != nil {
		return nil, err
	}
	return p.Write(ctx, r)
}

// Range is part of regionnode.Data.
func (n *Node) Range(ctx context.Context, r *regionnode.RangeRequest) (*regionnode.RangeResponse, error) {
	p, err := n.held(r.Target.Partition)
	if err != nil {
		return nil, err
	}
	return p.Range(ctx, r)
}

// BatchGet is part of regionnode.Data.
func (n *Node) BatchGet(ctx context.Context, r *regionnode.BatchGetRequest) (*regionnode.BatchGetResponse, error) {
	p, err := n.held(r.Target.Partition)
	if err != nil {
		return nil, err
	}
	return p.BatchGet(ctx, r)
}

// BatchWrite is part of regionnode.Data.
func (n *Node) BatchWrite(ctx context.Context, r *regionnode.BatchWriteRequest) (*regionnode.BatchWriteResponse, error) {
	p, err := n.held(r.Target.Partition)
	if err != nil {
		return nil, err
	}
	return p.BatchWrite(ctx, r)
}

// Tables answers wherever the catalog's leader is.
func (n *Node) tables() regionnode.Tables { return n.registry }

// CreateTable is part of regionnode.Tables.
func (n *Node) CreateTable(ctx context.Context, r *regionnode.CreateTableRequest) (*table.Descriptor, error) {
	return n.tables().CreateTable(ctx, r)
}

// DescribeTable is part of regionnode.Tables.
func (n *Node) DescribeTable(ctx context.Context, name string) (*table.Descriptor, error) {
	return n.tables().DescribeTable(ctx, name)
}

// ListTables is part of regionnode.Tables.
func (n *Node) ListTables(ctx context.Context, start string, limit int) ([]string, bool, error) {
	return n.tables().ListTables(ctx, start, limit)
}

// UpdateTable is part of regionnode.Tables.
func (n *Node) UpdateTable(ctx context.Context, r *regionnode.UpdateTableRequest) (*table.Descriptor, error) {
	return n.tables().UpdateTable(ctx, r)
}

// DeleteTable is part of regionnode.Tables.
func (n *Node) DeleteTable(ctx context.Context, name string) (*table.Descriptor, error) {
	return n.tables().DeleteTable(ctx, name)
}

// Partitions is part of regionnode.Tables.
func (n *Node) Partitions(ctx context.Context, id table.ID) (*regionnode.PartitionMap, error) {
	return n.tables().Partitions(ctx, id)
}
