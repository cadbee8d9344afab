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
	// loads of the partitions led here, where load splits partitions.
	loads map[table.PartitionID]*load
}

// openCounts begins to report.
func (n *Node) openCounts(context.Context) error {
	catalog.RegisterCounts(n.server, n.catalog)
	catalog.RegisterPartitions(n.server, n.catalog)
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
		count.Load = c.load(&status)
		now[status.ID] = count
		if told, ok := c.told[status.ID]; !ok || !sameCount(&told, &count) {
			changed = append(changed, count)
		}
	}
	maps.DeleteFunc(c.loads, func(id table.PartitionID, _ *load) bool { _, led := now[id]; return !led })
	return changed, now
}

func sameCount(a, b *catalog.PartitionCount) bool {
	return a.Held == b.Held && a.Range == b.Range && a.Load == b.Load && maps.Equal(a.Locals, b.Locals)
}

// load is what a partition has served lately: a mean over about loadMinute
// reports, in which older requests weigh less.
type load struct {
	requests uint64
	// term and span are what the mean belongs to.
	term uint64
	span uint32
	mean float64
}

const (
	loadMinute = float64(time.Minute / countInterval)
	// loadSteps is in how many steps up to the limit a load is told, so that small
	// changes are no news.
	loadSteps = 8
)

// load is the load of a partition in whole steps. It begins anew with each
// leadership and with each change of the partition's range.
func (c *counter) load(s *partition.Status) uint32 {
	limit := c.node.config.Splits.Load
	if limit == 0 {
		return 0
	}
	if c.loads == nil {
		c.loads = map[table.PartitionID]*load{}
	}
	l := c.loads[s.ID]
	if l == nil || l.term != s.Term || l.span != s.Epoch.Range {
		c.loads[s.ID] = &load{requests: s.Requests, term: s.Term, span: s.Epoch.Range}
		return 0
	}
	l.add(s.Requests)
	step := max(limit/loadSteps, 1)
	return uint32(l.mean) / uint32(step) * uint32(step)
}

// add takes in how many requests there were in all by now.
func (l *load) add(requests uint64) {
	rate := float64(requests-l.requests) / countInterval.Seconds()
	l.mean += (rate - l.mean) / loadMinute
	l.requests = requests
}

func countOf(s *partition.Status) catalog.PartitionCount {
	out := catalog.PartitionCount{Partition: s.ID, Range: s.Epoch.Range, Held: catalog.Count{Items: s.Items, Bytes: s.Bytes}}
	for id, x := range s.Indexes {
		if out.Locals == nil {
			out.Locals = make(map[table.IndexID]catalog.Count, len(s.Indexes))
		}
		out.Locals[id] = catalog.Count{Items: x.Items, Bytes: x.Bytes}
	}
	return out
}
