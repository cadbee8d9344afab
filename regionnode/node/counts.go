package node

import (
	"context"
	"maps"
	"time"

	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/table"
)

const (
	// countInterval is how old the numbers of a DescribeTable are at most, while
	// nodes and catalog live.
	countInterval = time.Second
	// countsAnyway is after how many intervals without news a node asks whether the
	// catalog has another leader, who knows no numbers.
	countsAnyway = 15
)

// counter tells the catalog how much the partitions that this node leads hold.
type counter struct {
	node *Node
	told map[table.PartitionID]catalog.PartitionCount
	term uint64 // of the leader that was told
	idle int
}

// openCounts begins to report.
func (n *Node) openCounts(context.Context) error {
	if n.catalog != nil {
		catalog.RegisterCounts(n.server, n.catalog)
	}
	n.upkeep(func(ctx context.Context) {
		c := &counter{node: n, told: map[table.PartitionID]catalog.PartitionCount{}}
		tick := time.NewTicker(countInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				c.report(ctx)
			}
		}
	})
	return nil
}

// report sends what has changed; after a failure, or to another leader, it is
// sent again with the next report.
func (c *counter) report(ctx context.Context) {
	changed, now := c.changed()
	if c.idle++; len(changed) == 0 && c.idle < countsAnyway {
		return
	}
	c.idle = 0
	ctx, cancel := context.WithTimeout(ctx, countInterval)
	defer cancel()
	receipt, err := c.node.registry.ReportCounts(ctx, &catalog.CountReport{Partitions: changed})
	if err != nil {
		return
	}
	c.told = now
	if receipt.Term != c.term {
		complete := len(changed) == len(now)
		c.term = receipt.Term
		if !complete {
			clear(c.told)
		}
	}
}

// changed lists the counts that the catalog has not heard of, and all of them.
func (c *counter) changed() (changed []catalog.PartitionCount, now map[table.PartitionID]catalog.PartitionCount) {
	now = make(map[table.PartitionID]catalog.PartitionCount, len(c.told))
	for _, p := range c.node.partitions.Partitions() {
		if p.Spec().Descriptor == nil {
			continue
		}
		status := p.Status()
		if !status.Leading {
			continue
		}
		count := countOf(&status)
		now[status.ID] = count
		if told, ok := c.told[status.ID]; !ok || told.Held != count.Held || !maps.Equal(told.Locals, count.Locals) {
			changed = append(changed, count)
		}
	}
	return changed, now
}

func countOf(s *partition.Status) catalog.PartitionCount {
	out := catalog.PartitionCount{Partition: s.ID, Held: catalog.Count{Items: s.Items, Bytes: s.Bytes}}
	for id, x := range s.Indexes {
		if out.Locals == nil {
			out.Locals = make(map[table.IndexID]catalog.Count, len(s.Indexes))
		}
		out.Locals[id] = catalog.Count{Items: x.Items, Bytes: x.Bytes}
	}
	return out
}
