package node

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// memberCollector tells of the region's nodes and of partitions that change
// their members, on the node that leads the catalog.
type memberCollector struct{ node *Node }

var (
	nodesDesc  = prometheus.NewDesc("antipode_nodes", "Nodes of the region, on the node that leads its catalog. Draining nodes are counted under alive or silent too.", []string{"state"}, nil)
	movingDesc = prometheus.NewDesc("antipode_member_changes_running", "Partitions whose members change, on the node that leads the catalog.", nil, nil)
	movesDesc  = prometheus.NewDesc("antipode_member_changes_total", "Changes of partitions' members that this node has finished for the region, by reason.", []string{"reason"}, nil)
)

// Describe is part of prometheus.Collector.
func (c *memberCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{nodesDesc, movingDesc, movesDesc} {
		ch <- d
	}
}

// Collect is part of prometheus.Collector.
func (c *memberCollector) Collect(ch chan<- prometheus.Metric) {
	n := c.node
	if n.controller == nil {
		return // the node is starting
	}
	for reason, count := range n.controller.Moves() {
		ch <- prometheus.MustNewConstMetric(movesDesc, prometheus.CounterValue, float64(count), reason)
	}
	if _, leads := n.catalog.KV().Leads(); !leads {
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, time.Second)
	defer cancel()
	rows, err := n.catalog.Members(ctx)
	if err != nil {
		return
	}
	states := map[string]float64{alive: 0, silent: 0, "draining": 0}
	for i := range rows {
		states[memberView(&rows[i]).State]++
		if !rows[i].Node.Takes() {
			states["draining"]++
		}
	}
	for state, count := range states {
		ch <- prometheus.MustNewConstMetric(nodesDesc, prometheus.GaugeValue, count, state)
	}
	work, err := n.catalog.Work(ctx)
	if err != nil {
		return
	}
	ch <- prometheus.MustNewConstMetric(movingDesc, prometheus.GaugeValue, float64(len(work.Moves)))
}
