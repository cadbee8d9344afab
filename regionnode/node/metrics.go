package node

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"antipode/replication/link"
)

// metrics collects at scrape time what the node's parts count themselves, so
// that the hot path pays nothing. Links and expiry are the exceptions.
type metrics struct {
	registry *prometheus.Registry
	latency  *prometheus.HistogramVec
	expired  prometheus.Counter
	// scrubbed counts bytes compared, differing the replicas found to differ: it
	// must stay 0.
	scrubbed, differing prometheus.Counter
}

func newMetrics(n *Node) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "antipode_replication_latency_seconds",
			Help:    "From the commit of a batch's oldest record to its durable application in the other region.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 18),
		}, []string{"peer"}),
		expired: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "antipode_expired_items_total",
			Help: "Items that this node deleted because their time to live had passed.",
		}),
		scrubbed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "antipode_scrubbed_bytes_total",
			Help: "Bytes that this node, as leader, compared between replicas.",
		}),
		differing: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "antipode_scrub_differences_total",
			Help: "Replicas found to differ from a majority at the same place of the log. Must be 0.",
		}),
	}
	labels := prometheus.Labels{"region": string(n.config.Region), "node": n.config.Name}
	register := prometheus.WrapRegistererWith(labels, m.registry)
	register.MustRegister(m.latency, m.expired, m.scrubbed, m.differing, &collector{node: n}, &indexCollector{node: n}, &memberCollector{node: n}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) shipped(s link.Shipment) {
	m.latency.WithLabelValues(string(s.Peer)).Observe(s.Latency.Seconds())
}

// collector reads partitions, links and the store.
type collector struct{ node *Node }

var (
	partitionsDesc = prometheus.NewDesc("antipode_partitions", "Partition replicas on this node.", nil, nil)
	leadsDesc      = prometheus.NewDesc("antipode_partitions_led", "Partitions that this node leads.", nil, nil)
	awakeDesc      = prometheus.NewDesc("antipode_partitions_awake", "Partition replicas here that need time: they have something to do or lack a leader.", nil, nil)
	itemsDesc      = prometheus.NewDesc("antipode_items", "Items in the partitions that this node leads.", nil, nil)
	bytesDesc      = prometheus.NewDesc("antipode_item_bytes", "Size of these items as DynamoDB counts it.", nil, nil)
	awayDesc       = prometheus.NewDesc("antipode_members_away", "Members that leaders on this node do not hear of, summed over partitions.", nil, nil)
	strandedDesc   = prometheus.NewDesc("antipode_members_stranded", "Members of partitions led here that lack entries which the raft log has no more. They need a snapshot.", nil, nil)
	brokenDesc     = prometheus.NewDesc("antipode_broken_replicas", "Replicas on this node that are out of use because their data is corrupt, until they are made anew. Must be 0.", nil, nil)
	raftLogDesc    = prometheus.NewDesc("antipode_raft_log_bytes", "About the size of the raft logs on this node, as far as they have not been cut off.", nil, nil)
	splitsDesc     = prometheus.NewDesc("antipode_splits_total", "What became of splits of partitions that this node decided on: done, or abandoned.", []string{"outcome"}, nil)
	diskDesc       = prometheus.NewDesc("antipode_store_disk_bytes", "Disk space in use by the store.", nil, nil)
	writtenDesc    = prometheus.NewDesc("antipode_store_written_bytes_total", "Bytes that the store has written since it was opened: to its log, flushes of what is in memory, and compactions.", []string{"to"}, nil)
	entriesDesc    = prometheus.NewDesc("antipode_raft_entries", "Raft entries that the partition replicas on this node have applied in their lives. Falls when one goes.", nil, nil)
	lagDesc        = prometheus.NewDesc("antipode_replication_lag_seconds", "Age of the oldest write that the peer is not known to have.", []string{"peer"}, nil)
	pendingDesc    = prometheus.NewDesc("antipode_replication_pending_records", "Log records that the peer is not known to have.", []string{"peer"}, nil)
	shippedDesc    = prometheus.NewDesc("antipode_replication_shipped_records_total", "Records that peers have acknowledged, since the links started here.", []string{"peer"}, nil)
	rejectedDesc   = prometheus.NewDesc("antipode_replication_rejected_records_total", "Records that went to peers' dead letters.", []string{"peer"}, nil)
)

// Describe is part of prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		partitionsDesc,
		leadsDesc,
		awakeDesc,
		itemsDesc,
		bytesDesc,
		awayDesc,
		strandedDesc,
		brokenDesc,
		raftLogDesc,
		splitsDesc,
		diskDesc,
		writtenDesc,
		entriesDesc,
		lagDesc,
		pendingDesc,
		shippedDesc,
		rejectedDesc,
	} {
		ch <- d
	}
}

// Collect is part of prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	var held, led, items, bytes, away, stranded, raftLog, entries float64
	for _, p := range c.node.partitions.Partitions() {
		s := p.Status()
		held++
		raftLog += float64(s.LogBytes)
		entries += float64(s.Applied)
		away += float64(len(s.Away))
		stranded += float64(len(s.Stranded))
		if s.Leader == c.node.id {
			led++
			items += float64(s.Items)
			bytes += float64(s.Bytes)
		}
	}
	gauge(partitionsDesc, held)
	gauge(leadsDesc, led)
	gauge(awakeDesc, float64(c.node.partitions.Awake()))
	gauge(itemsDesc, items)
	gauge(bytesDesc, bytes)
	gauge(awayDesc, away)
	gauge(strandedDesc, stranded)
	gauge(brokenDesc, float64(len(c.node.partitions.Broken())))
	gauge(raftLogDesc, raftLog)
	if n := c.node.catalog; n != nil {
		splits := n.SplitStats()
		ch <- prometheus.MustNewConstMetric(splitsDesc, prometheus.CounterValue, float64(splits.Done), "done")
		ch <- prometheus.MustNewConstMetric(splitsDesc, prometheus.CounterValue, float64(splits.Abandoned), "abandoned")
	}
	gauge(entriesDesc, entries)
	store := c.node.store.Metrics()
	gauge(diskDesc, float64(store.DiskSpaceUsage()))
	levels := store.Total()
	for to, n := range map[string]uint64{
		"log": store.WAL.BytesWritten, "flush": levels.TableBytesFlushed, "compaction": levels.TableBytesCompacted,
	} {
		ch <- prometheus.MustNewConstMetric(writtenDesc, prometheus.CounterValue, float64(n), to)
	}

	type sum struct{ lag, pending, shipped, rejected float64 }
	peers := map[string]*sum{}
	for _, s := range c.node.links.stats() {
		p := peers[string(s.Peer)]
		if p == nil {
			p = &sum{}
			peers[string(s.Peer)] = p
		}
		p.lag = max(p.lag, s.Lag.Seconds())
		p.pending += float64(s.Pending)
		p.shipped += float64(s.Shipped)
		p.rejected += float64(s.Rejected)
	}
	for peer, s := range peers {
		gauge(lagDesc, s.lag, peer)
		gauge(pendingDesc, s.pending, peer)
		ch <- prometheus.MustNewConstMetric(shippedDesc, prometheus.CounterValue, s.shipped, peer)
		ch <- prometheus.MustNewConstMetric(rejectedDesc, prometheus.CounterValue, s.rejected, peer)
	}
}
