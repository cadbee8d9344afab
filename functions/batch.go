package functions

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
)

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

// batchError is the error of a whole batch, from those of its tables: the first
// that is the client's fault, or the first at all when every table failed.
func batchError(errs []error) error {
	failed := 0
	for _, err := range errs {
		if err == nil {
			continue
		}
		if failed++; !unprocessed(err) {
			return err
		}
	}
	if failed > 0 && failed == len(errs) {
		return errs[0]
	}
	return nil
}
