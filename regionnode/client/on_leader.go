package client

import (
	"context"
	"fmt"

	"antipode/regionnode"
)

// onLeader calls f with the leader of the target's partition, as an S, which
// not every node need be. With anyRange it fills in the partition's range: the
// caller knows no routes. The call may be repeated.
func onLeader[S, T any](ctx context.Context, c *Client, target *regionnode.Target, anyRange bool, f func(S) (T, error)) (T, error) {
	var none T
	a := attempt{c: c, table: target.Table, partition: target.Partition, epoch: target.Range, anyRange: anyRange, reads: true, strong: true}
	for {
		n, err := a.next(ctx, target)
		if err != nil {
			return none, err
		}
		if anyRange {
			target.Range = a.way.rangeEpoch
		}
		s, ok := n.(S)
		if !ok {
			return none, c.finalError(fmt.Errorf("node is no %T", (*S)(nil)), true)
		}
		resp, err := f(s)
		if err == nil {
			a.served()
			return resp, nil
		}
		if err := a.failed(ctx, err); err != nil {
			return none, err
		}
	}
}
