package functions

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// group is the elements of a batch, by index, that one partition holds.
type group struct {
	target   regionnode.Target
	elements []int
}

// groupByPartition cuts a batch on one table by the partitions that hold its
// keys, in key order of the partitions.
func (c *call) groupByPartition(d *table.Descriptor, keys [][]byte) ([]group, error) {
	m, err := c.backend.Partitions(c.ctx, d.ID)
	if err != nil {
		return nil, err
	}
	var groups []group
	for i, key := range keys {
		p := &m.Partitions[partitionOf(m, table.Hash(key))]
		g, found := slices.BinarySearchFunc(groups, p.ID, func(g group, id table.PartitionID) int {
			return cmp.Compare(g.target.Partition, id)
		})
		if !found {
			groups = slices.Insert(groups, g, group{target: regionnode.Target{
				Table: d.ID, Partition: p.ID, Range: p.Epoch.Range,
			}})
		}
		groups[g].elements = append(groups[g].elements, i)
	}
	return groups, nil
}

// partitionOf is the index of the partition that holds a hash.
func partitionOf(m *regionnode.PartitionMap, hash uint64) int {
	i, found := slices.BinarySearchFunc(m.Partitions, hash, func(p regionnode.Partition, hash uint64) int {
		return cmp.Compare(p.Start, hash)
	})
	if !found {
		i--
	}
	return i
}

// eachParallel runs f for 0 ≤ i < n, all but the last in goroutines of their
// own, and waits for all.
func eachParallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n - 1 {
		wg.Go(func() { f(i) })
	}
	if n > 0 {
		f(n - 1)
	}
	wg.Wait()
}

// unprocessed tells whether a failed part of a batch is answered as unprocessed:
// the partition was not to be had, or not in time. What the client did wrong
// fails the whole batch.
func unprocessed(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	e := apierr.Of(err)
	if e == nil {
		return true
	}
	switch e.Code {
	case apierr.InternalServerError, apierr.ServiceUnavailable, apierr.ProvisionedThroughputExceeded,
		apierr.Throttling, apierr.RequestLimitExceeded:
		return true
	}
	return false
}
