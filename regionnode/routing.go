package regionnode

import (
	"fmt"

	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// Stale refuses a request that was routed by an old map (I8): the partition is
// not here, or its range changed. The caller fetches the map anew.
type Stale struct {
	Partition table.PartitionID
	Reason    string
}

func (e *Stale) Error() string {
	return fmt.Sprintf("partition %d: stale route: %s", e.Partition, e.Reason)
}

// NotLeader refuses a request that only the leader may serve. It is a definite
// "not applied". Leader is 0 when unknown.
type NotLeader struct {
	Partition table.PartitionID
	Leader    table.NodeID
}

func (e *NotLeader) Error() string {
	return fmt.Sprintf("partition %d: not the leader (leader %d)", e.Partition, e.Leader)
}

// WriteError is the error of one element of a batch.
type WriteError struct {
	API *apierr.Error `msgpack:"a,omitempty"`
	// Retry is set instead of API when the element was definitely not applied
	// and may be sent again (stale route, no leader, overload).
	Retry string `msgpack:"r,omitempty"`
}

func (e *WriteError) Error() string {
	if e.API != nil {
		return e.API.Error()
	}
	return e.Retry
}
