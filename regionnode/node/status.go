package node

import (
	"context"
	"fmt"
	"sort"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/internal/partition"
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
	Catalog bool `json:"leads_catalog"`
	// Awake counts partitions here that need time: with several replicas, those
	// that have something to do or lack a leader.
	Awake int `json:"awake"`
	// Draining: the node gives its replicas up. Moving is how many replicas of the
	// region are on their way to other nodes.
	Draining   bool              `json:"draining,omitempty"`
	Moving     int               `json:"moving,omitempty"`
	Members    []MemberStatus    `json:"members"`
	Tables     []TableStatus     `json:"tables"`
	Partitions []PartitionStatus `json:"partitions"`
	Links      []LinkStatus      `json:"links"`
	Indexes    []IndexStatus     `json:"indexes"`
	// DeadLetters counts records of other regions that this node refused for good.
	DeadLetters int `json:"dead_letters"`
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
	// Splitting counts partitions, those of global indexes included, that are being
	// split.
	Splitting int      `json:"splitting,omitempty"`
	Replicas  []string `json:"replicas,omitempty"` // "eu-west-1 ACTIVE"
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
	// RaftLog is about how many bytes the raft log has. Away are members that the
	// leader does not hear of; Stranded ones lack entries that the log has no more,
	// and get a snapshot.
	RaftLog  uint64         `json:"raft_log_bytes,omitempty"`
	Away     []table.NodeID `json:"away,omitempty"`
	Stranded []table.NodeID `json:"stranded,omitempty"`
	// Broken says why this node's replica is out of use.
	Broken string `json:"broken,omitempty"`
	// Waiting: this replica is empty until it gets a snapshot. Removed: the
	// partition is not this node's any more.
	Waiting bool `json:"waiting,omitempty"`
	Removed bool `json:"removed,omitempty"`
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

// extrasPatience is for what Status can do without.
const extrasPatience = 500 * time.Millisecond

// Status collects the node's view; it asks the catalog's leader for the tables.
func (n *Node) Status(ctx context.Context) (*Status, error) {
	tables, err := n.registry.Descriptors(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the catalog: %w", err)
	}
	letters, err := n.letters.list()
	if err != nil {
		return nil, err
	}
	s := &Status{
		ID: n.id, Name: n.config.Name, Region: string(n.config.Region), Zone: n.config.Zone,
		RPC: n.rpcAddr, Started: n.started.UnixMilli(), DeadLetters: len(letters), Awake: n.partitions.Awake(),
	}
	_, s.Catalog = n.catalog.KV().Leads()
	for _, m := range n.gossip.Members() {
		s.Members = append(s.Members, MemberStatus{Name: m.Name, Zone: m.Zone, Status: string(m.Status)})
	}
	// A catalog that an older node leads does not answer these; then they are left
	// out.
	extras, cancel := context.WithTimeout(ctx, extrasPatience)
	defer cancel()
	if rows, err := n.registry.Members(extras); err == nil {
		for _, m := range rows {
			s.Moving += m.Coming
			s.Draining = s.Draining || m.Node.ID == n.id && !m.Node.Takes()
		}
	}
	names := map[table.ID]string{}
	groups := map[string]string{}
	for _, d := range tables {
		names[d.ID] = d.Name
		t := TableStatus{Name: d.Name, Status: d.Status}
		if rows, err := n.registry.ListPartitions(extras, d.Name); err == nil {
			t.Partitions, t.Splitting = tally(rows)
		}
		if d.Global != nil {
			groups[d.Global.Group] = d.Name
			for _, r := range d.Global.Replicas {
				t.Replicas = append(t.Replicas, r.Region+" "+string(r.Status))
			}
		}
		s.Tables = append(s.Tables, t)
	}
	broken := n.partitions.Broken()
	for _, p := range n.partitions.Partitions() {
		s.Partitions = append(s.Partitions, partitionStatus(p.Status(), names))
		s.Partitions[len(s.Partitions)-1].Broken = broken[p.ID()]
	}
	sort.Slice(s.Partitions, func(i, j int) bool { return s.Partitions[i].ID < s.Partitions[j].ID })
	s.Links = n.linkStatus(groups)
	s.Indexes = n.indexStatus(names)
	return s, nil
}

// tally counts the partitions of a table's items, and all that are being split.
func tally(rows []catalog.PartitionInfo) (items, splitting int) {
	for i := range rows {
		if rows[i].Row.Index == "" {
			items++
		}
		if rows[i].Row.Split != nil {
			splitting++
		}
	}
	return items, splitting
}

func partitionStatus(p partition.Status, names map[table.ID]string) PartitionStatus {
	name := names[p.Table]
	if name == "" {
		name = fmt.Sprintf("#%d", p.Table)
	}
	return PartitionStatus{
		ID: p.ID, Table: name, Leader: p.Leader, Term: p.Term, Applied: p.Applied,
		Epoch: p.Epoch, Items: p.Items, Bytes: p.Bytes,
		RaftLog: p.LogBytes, Away: p.Away, Stranded: p.Stranded, Waiting: p.Waiting, Removed: p.Removed,
	}
}

func (n *Node) linkStatus(groups map[string]string) []LinkStatus {
	var out []LinkStatus
	for _, l := range n.links.stats() {
		out = append(out, LinkStatus{
			Table: groups[l.Source.Group], Partition: table.PartitionID(l.Source.Partition), Peer: string(l.Peer),
			State: l.State.String(), LagMillis: float64(l.Lag.Microseconds()) / 1000,
			Pending: int64(l.Pending), Shipped: int64(l.Shipped), Error: l.LastError,
		})
	}
	return out
}
