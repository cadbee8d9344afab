package catalog

import (
	"context"

	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/table"
)

// PartitionInfo is one partition as operators see it.
type PartitionInfo struct {
	Row Partition `msgpack:"r"`
	// Count is what its leader has reported of it.
	Count PartitionCount `msgpack:"c"`
	// Refusal is why it was not split when that was last tried, "" for none known.
	Refusal string `msgpack:"f,omitempty"`
}

const (
	methodListPartitions = "Catalog.ListPartitions"
	methodSplitPartition = "Catalog.SplitPartition"
)

// RegisterPartitions answers operators for c on s.
func RegisterPartitions(s *rpc.Server, c *Catalog) {
	rpc.Handle(s, methodListPartitions, func(ctx context.Context, q *named) (*list[PartitionInfo], error) {
		rows, err := c.ListPartitions(ctx, q.Name)
		return &list[PartitionInfo]{rows}, err
	})
	rpc.Handle(s, methodSplitPartition, c.BeginSplit)
}

// ListPartitions lists the partitions of a table in order of their hashes, then
// those of each global index.
func (c *Catalog) ListPartitions(ctx context.Context, name string) ([]PartitionInfo, error) {
	var out []PartitionInfo
	err := c.confirmed(ctx, func(s *state) error {
		row := s.tables[name]
		if row == nil {
			return apierr.TableMissing(name)
		}
		for _, id := range idsOf(row.Descriptor) {
			for _, p := range s.partitions[id] {
				out = append(out, PartitionInfo{Row: *p, Count: c.counts.reported(p.ID), Refusal: c.splits.reason(p.ID)})
			}
		}
		return nil
	})
	return out, err
}

func (k *counts) reported(id table.PartitionID) PartitionCount {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.of[id]
}

// ListPartitions asks the catalog's leader.
func (c *Client) ListPartitions(ctx context.Context, name string) ([]PartitionInfo, error) {
	l, err := ask(ctx, c, methodListPartitions, true, &named{name}, func(ctx context.Context, local Registry) (*list[PartitionInfo], error) {
		leader, ok := local.(*Catalog)
		if !ok {
			return &list[PartitionInfo]{}, nil
		}
		rows, err := leader.ListPartitions(ctx, name)
		return &list[PartitionInfo]{rows}, err
	})
	if err != nil {
		return nil, err
	}
	return l.Rows, nil
}

// SplitPartition has the catalog's leader decide on a split; Catalog.BeginSplit
// says how. It is done in the background: ListPartitions shows what becomes of
// it.
func (c *Client) SplitPartition(ctx context.Context, o *SplitOrder) (*Partition, error) {
	return ask(ctx, c, methodSplitPartition, false, o, func(ctx context.Context, local Registry) (*Partition, error) {
		leader, ok := local.(*Catalog)
		if !ok {
			return nil, apierr.Internal()
		}
		return leader.BeginSplit(ctx, o)
	})
}
