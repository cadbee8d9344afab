package node

import (
	"antipode/regionnode"
	"antipode/regionnode/table"
)

// Status is a node's view of itself and of its region, as its admin port
// answers at /status. Fields are only added.
type Status struct {
	ID      table.NodeID `json:"id"`
	Name    string       `json:"name"`
	Region  string       `json:"region"`
	Zone    string       `json:"zone"`
	RPC     string       `json:"rpc"`
	Started int64        `json:"started_unix_ms"`
	// Catalog tells whether this node leads the region's catalog.
	Catalog    bool              `json:"leads_catalog"`
	Members    []MemberStatus    `json:"members"`
	Tables     []TableStatus     `json:"tables"`
	Partitions []PartitionStatus `json:"partitions"`
	Links      []LinkStatus      `json:"links"`
}

// MemberStatus is one node of the region as gossip sees it.
type MemberStatus struct {
	Name   string `json:"name"`
	Zone   string `json:"zone"`
	Status string `json:"status"`
}

// TableStatus is one table of the region.
type TableStatus struct {
	Name       string       `json:"name"`
	Status     table.Status `json:"status"`
	Partitions int          `json:"partitions"`
	Replicas   []string     `json:"replicas,omitempty"` // "eu-west-1 ACTIVE"
}

// PartitionStatus is one partition that this node holds.
type PartitionStatus struct {
	ID      table.PartitionID `json:"id"`
	Table   string            `json:"table"`
	Leader  table.NodeID      `json:"leader"`
	Term    uint64            `json:"term"`
	Applied uint64            `json:"applied"`
	Epoch   regionnode.Epoch  `json:"epoch"`
	Items   int64             `json:"items"`
	Bytes   int64             `json:"bytes"`
}

// LinkStatus is one partition's link to one other region.
type LinkStatus struct {
	Table     string            `json:"table"`
	Partition table.PartitionID `json:"partition"`
	Peer      string            `json:"peer"`
	State     string            `json:"state"`
	LagMillis float64           `json:"lag_ms"`
	Pending   int64             `json:"pending_records"`
	Shipped   int64             `json:"shipped_records"`
	Error     string            `json:"last_error,omitempty"`
}
