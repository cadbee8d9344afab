package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"antipode/regionnode/table"
)

// IndexStatus is one global index as one partition that this node leads feeds it.
type IndexStatus struct {
	Table     string            `json:"table"`
	Partition table.PartitionID `json:"partition"`
	Index     string            `json:"index"`
	// Pending counts changes that the index does not have yet.
	Pending int64 `json:"pending_records"`
	// Filling: items that were there before the index are being put into it.
	Filling bool   `json:"filling,omitempty"`
	Error   string `json:"last_error,omitempty"`
}

// indexStatus lists the followers of global indexes; names are those of tables.
func (n *Node) indexStatus(names map[table.ID]string) []IndexStatus {
	var out []IndexStatus
	for _, s := range n.host.indexes.group.Stats() {
		x := IndexStatus{Partition: s.Partition, Index: s.Index, Pending: int64(s.End - min(s.Applied, s.End)), Filling: s.Filling, Error: s.Error}
		if p, ok := n.partitions.Partition(s.Partition); ok {
			x.Table = names[p.Spec().Table]
		}
		out = append(out, x)
	}
	return out
}

// indexCollector reads the followers of global indexes at scrape time.
type indexCollector struct{ node *Node }

var (
	indexPendingDesc = prometheus.NewDesc("antipode_index_pending_records", "Changes that the global index furthest behind does not have yet.", nil, nil)
	indexFillingDesc = prometheus.NewDesc("antipode_index_filling", "Back-fills of global indexes from partitions that this node leads.", nil, nil)
	indexFailingDesc = prometheus.NewDesc("antipode_index_failing", "Global indexes, by partition of the table, that could not be written at the last attempt.", nil, nil)
)

// Describe is part of prometheus.Collector.
func (c *indexCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- indexPendingDesc
	ch <- indexFillingDesc
	ch <- indexFailingDesc
}

// Collect is part of prometheus.Collector.
func (c *indexCollector) Collect(ch chan<- prometheus.Metric) {
	var pending, filling, failing float64
	for _, s := range c.node.indexStatus(nil) {
		pending = max(pending, float64(s.Pending))
		if s.Filling {
			filling++
		}
		if s.Error != "" {
			failing++
		}
	}
	ch <- prometheus.MustNewConstMetric(indexPendingDesc, prometheus.GaugeValue, pending)
	ch <- prometheus.MustNewConstMetric(indexFillingDesc, prometheus.GaugeValue, filling)
	ch <- prometheus.MustNewConstMetric(indexFailingDesc, prometheus.GaugeValue, failing)
}
