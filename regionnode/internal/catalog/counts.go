package catalog

import (
	"context"
	"sync"

	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/table"
)

// Count is how many items or index entries a partition holds, and their DynamoDB
// bytes.
type Count struct {
	Items int64 `msgpack:"n"`
	Bytes int64 `msgpack:"b"`
}

// PartitionCount is what one partition holds: items, or the entries of a global
// index, and the entries of each local index.
type PartitionCount struct {
	Partition table.PartitionID `msgpack:"p"`
	// Range is the range part of the partition's epoch.
	Range  uint32                  `msgpack:"r,omitempty"`
	Held   Count                   `msgpack:"h"`
	Locals map[table.IndexID]Count `msgpack:"l,omitempty"`
	// Load is about how many requests a second the partition has served over the
	// last minute; 0 where that is too few to matter.
	Load uint32 `msgpack:"q,omitempty"`
}

// Bytes is the size of everything that the partition holds.
func (p *PartitionCount) Bytes() int64 {
	sum := p.Held.Bytes
	for _, x := range p.Locals {
		sum += x.Bytes
	}
	return sum
}

// CountReport tells the catalog's leader what has changed since the last one.
type CountReport struct {
	Partitions []PartitionCount `msgpack:"p,omitempty"`
}

// CountReceipt answers a report. A leader of another Term knows nothing of what
// was reported before.
type CountReceipt struct {
	Term uint64 `msgpack:"t"`
}

// counts are the newest reports. They describe tables and nothing depends on
// them, so they are only in the leader's memory.
type counts struct {
	mu sync.Mutex
	of map[table.PartitionID]PartitionCount
	// news counts the reports of changes.
	news uint64
}

const methodReportCounts = "Catalog.ReportCounts"

// RegisterCounts answers for c on s.
func RegisterCounts(s *rpc.Server, c *Catalog) { rpc.Handle(s, methodReportCounts, c.ReportCounts) }

// ReportCounts takes a node's report in.
func (c *Catalog) ReportCounts(ctx context.Context, r *CountReport) (*CountReceipt, error) {
	term, _ := c.cfg.KV.Leads()
	err := c.confirmed(ctx, func(s *state) error {
		c.counts.mu.Lock()
		defer c.counts.mu.Unlock()
		c.counts.prune(s)
		for _, p := range r.Partitions {
			c.counts.of[p.Partition] = p
			c.counts.news++
		}
		return nil
	})
	return &CountReceipt{Term: term}, err
}

// prune forgets partitions that are gone, now and then.
func (k *counts) prune(s *state) {
	held := 0
	for _, partitions := range s.byBase {
		held += len(partitions)
	}
	if k.of != nil && len(k.of) <= 2*held+64 {
		return
	}
	kept := make(map[table.PartitionID]PartitionCount, held)
	for _, partitions := range s.byBase {
		for id := range partitions {
			if p, ok := k.of[id]; ok {
				kept[id] = p
			}
		}
	}
	k.of = kept
}

// counted is a descriptor with the counts that were reported.
func (c *Catalog) counted(s *state, d *table.Descriptor) *table.Descriptor {
	c.counts.mu.Lock()
	defer c.counts.mu.Unlock()
	if len(c.counts.of) == 0 {
		return d
	}
	out := clone(d)
	held, locals := c.counts.sum(s.partitions[d.ID])
	out.Items, out.Bytes = held.Items, held.Bytes
	for i := range out.Locals {
		x := &out.Locals[i]
		x.Items, x.Bytes = locals[x.Local].Items, locals[x.Local].Bytes
	}
	for i := range out.Globals {
		x := &out.Globals[i]
		held, _ := c.counts.sum(s.partitions[x.Table])
		x.Items, x.Bytes = held.Items, held.Bytes
	}
	return out
}

// sum adds partitions up; k.mu is held.
func (k *counts) sum(partitions []*Partition) (held Count, locals [table.MaxLocalIndexes + 1]Count) {
	for _, p := range partitions {
		c := k.of[p.ID]
		held.Items += c.Held.Items
		held.Bytes += c.Held.Bytes
		for id, x := range c.Locals {
			if int(id) < len(locals) {
				locals[id].Items += x.Items
				locals[id].Bytes += x.Bytes
			}
		}
	}
	return held, locals
}

// ReportCounts takes a report to the catalog's leader.
func (c *Client) ReportCounts(ctx context.Context, r *CountReport) (*CountReceipt, error) {
	return ask(ctx, c, methodReportCounts, true, r, func(ctx context.Context, local Registry) (*CountReceipt, error) {
		leader, ok := local.(*Catalog)
		if !ok {
			return &CountReceipt{}, nil
		}
		return leader.ReportCounts(ctx, r)
	})
}
