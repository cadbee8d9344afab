package node

import (
	"context"
	"fmt"

	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/table"
)

const snapshotMethod = "Raft.Snapshot"

// sendSnapshot carries one part of a partition's snapshot to a member, by a
// connection that nothing else uses.
func (n *Node) sendSnapshot(ctx context.Context, to table.NodeID, part []byte) ([]byte, error) {
	addr, ok := n.addresses.of(to)
	if !ok {
		return nil, fmt.Errorf("node %x is not known", to)
	}
	return n.pool.CallRaw(rpc.Snapshot(ctx), addr, snapshotMethod, part)
}
