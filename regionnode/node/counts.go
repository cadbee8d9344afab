package node

import (
	"context"
	"maps"
	"slices"
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
// It looks only at those that have changed, or whose load has not died down.
type counter struct {
	node *Node
	// led are the partitions led here, and counts what they hold.
	led    map[table.PartitionID]*partition.Partition
	counts map[table.PartitionID]catalog.PartitionCount
	// untold are those whose count the catalog has not heard of.
	untold map[table.PartitionID]bool
	term   uint64 // of the catalog's leader that was told
	idle   int
	// loads of the partitions led here, where load splits partitions.
	loads map[table.PartitionID]*load
}

// openCounts begins to report.
func (n *Node) openCounts(context.Context) error {
	catalog.RegisterCounts(n.server, n.catalog)
	catalog.RegisterPartitions(n.server, n.catalog)
	n.upkeep(func(ctx context.Context) {
		c := newCounter(n)
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

func newCounter(n *Node) *counter {
	return &counter{
		node: n, led: map[table.PartitionID]*partition.Partition{}, counts: map[table.PartitionID]catalog.PartitionCount{},
		untold: map[table.PartitionID]bool{}, loads: map[table.PartitionID]*load{},
	}
}

// report sends what has changed; after a failure, or to another leader, it is
// sent again with the next report.
func (c *counter) report(ctx context.Context) {
	c.look()
	if c.idle++; len(c.untold) == 0 && c.idle < countsAnyway {
		return
	}
	c.idle = 0
	ctx, cancel := context.WithTimeout(ctx, countInterval)
	defer cancel()
	told := slices.Collect(maps.Keys(c.untold))
	changed := make([]catalog.PartitionCount, len(told))
	for i, id := range told {
		changed[i] = c.counts[id]
	}
	receipt, err := c.node.registry.ReportCounts(ctx, &catalog.CountReport{Partitions: changed})
	if err != nil {
		return
	}
	clear(c.untold)
	if receipt.Term != c.term {
		// Who leads now knows no numbers but these.
		c.term = receipt.Term
		for id := range c.counts {
			c.untold[id] = true
		}
		for _, id := range told {
			delete(c.untold, id)
		}
	}
}

// look brings the counts up to date.
func (c *counter) look() {
	for _, p := range c.node.partitions.TakeTouched() {
		c.count(p)
	}
	for id, l := range c.loads {
		if p := c.led[id]; p != nil && l.mean > 0 {
			c.count(p)
		}
	}
}

// count looks at one partition.
func (c *counter) count(p *partition.Partition) {
	id := p.ID()
	status := p.Status()
	if !status.Leading || p.Spec().Descriptor == nil {
		// What was destroyed may have been made anew since.
		if c.led[id] == p {
			delete(c.led, id)
			delete(c.counts, id)
			delete(c.untold, id)
			delete(c.loads, id)
		}
		return
	}
	count := countOf(&status)
	count.Load = c.load(&status)
	if told, ok := c.counts[id]; !ok || c.led[id] != p || !sameCount(&told, &count) {
		c.untold[id] = true
	}
	c.led[id], c.counts[id] = p, count
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
	// leastLoad is taken for none.
	leastLoad = 0.1
)

// load is the load of a partition in whole steps. It begins anew with each
// leadership and with each change of the partition's range.
func (c *counter) load(s *partition.Status) uint32 {
	limit := c.node.config.Splits.Load
	if limit == 0 {
		return 0
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
	if l.mean += (rate - l.mean) / loadMinute; l.mean < leastLoad {
		l.mean = 0
	}
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
