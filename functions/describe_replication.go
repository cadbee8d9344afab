package functions

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/table"
)

// describeReplication is an operation of ours.
func describeReplication(c *call, in *wire.DescribeReplicationInput) error {
	d, err := c.describe(in.TableName.Value)
	if err != nil {
		return err
	}
	peers, err := c.replication(d)
	if err != nil {
		return err
	}
	w := c.out.BeginObject().Name("ReplicationDescription").BeginObject()
	w.Name("TableName").String(d.Name).Name("TableArn").String(d.ARN()).Name("RegionName").String(d.Region)
	w.Name("Peers").BeginArray()
	for i := range peers {
		peers[i].write(w, in.IncludePartitions.Value)
	}
	w.EndArray().EndObject().EndObject()
	return nil
}

// partitionLinks is what one partition of a map said, or why it said nothing.
type partitionLinks struct {
	id      table.PartitionID
	links   []regionnode.ReplicationLink
	unknown string
}

// peerReplication is how far a table's writes have reached one other region.
type peerReplication struct {
	replica    *table.Replica
	sum        regionnode.ReplicationLink
	unknown    string // why sum.Durable is 0
	partitions []partitionReplication
}

type partitionReplication struct {
	id      table.PartitionID
	link    regionnode.ReplicationLink
	unknown string
}

// replication asks all partitions of a table for their links and sums them up for
// each peer.
func (c *call) replication(d *table.Descriptor) ([]peerReplication, error) {
	if d.Global == nil {
		return nil, nil
	}
	backend, ok := c.backend.(regionnode.Replication)
	if !ok {
		return nil, absent(c.op)
	}
	var answers []partitionLinks
	for range maxReroutes {
		var err error
		answers, err = c.linksOnce(backend, d)
		if err == nil {
			break
		}
		if _, stale := errors.AsType[*regionnode.Stale](err); !stale {
			return nil, err
		}
		answers = nil
	}
	var out []peerReplication
	for i := range d.Global.Replicas {
		if r := &d.Global.Replicas[i]; r.Region != d.Region {
			out = append(out, sumUp(r, answers))
		}
	}
	slices.SortFunc(out, func(a, b peerReplication) int { return cmp.Compare(a.replica.Region, b.replica.Region) })
	return out, nil
}

// linksOnce asks by one map, which covers the table: a partition that has split
// since is Stale, and the whole is asked anew. A partition that nobody answers for
// is part of the answer.
func (c *call) linksOnce(backend regionnode.Replication, d *table.Descriptor) ([]partitionLinks, error) {
	m, err := c.backend.Partitions(c.ctx, d.ID)
	if err != nil {
		return nil, err
	}
	out := make([]partitionLinks, len(m.Partitions))
	g, ctx := errgroup.WithContext(c.ctx)
	g.SetLimit(maxShardCalls)
	for i := range m.Partitions {
		g.Go(func() error {
			p := &m.Partitions[i]
			out[i].id = p.ID
			resp, err := backend.Replication(ctx, &regionnode.ReplicationRequest{
				Target: regionnode.Target{Table: d.ID, Partition: p.ID, Range: p.Epoch.Range},
			})
			if err == nil {
				out[i].links = resp.Links
				return nil
			}
			if _, stale := errors.AsType[*regionnode.Stale](err); stale || ctx.Err() != nil {
				return err
			}
			c.cfg.Logger.Warn("partition does not tell of its links", "partition", p.ID, "error", err)
			out[i].unknown = "no leader answers for it"
			return nil
		})
	}
	return out, g.Wait()
}

// sumUp takes what all partitions know of one peer: the least watermark, if all
// have one and the replica has been filled, the worst state, the most lag.
func sumUp(r *table.Replica, answers []partitionLinks) peerReplication {
	p := peerReplication{replica: r}
	p.sum.State = regionnode.LinkUnknown
	for i := range answers {
		one := answers[i].to(r)
		if p.unknown == "" && one.unknown != "" {
			p.unknown = fmt.Sprintf("partition %d: %s", one.id, one.unknown)
		}
		add(&p.sum, &one.link, i == 0)
		p.partitions = append(p.partitions, one)
	}
	if len(answers) == 0 {
		p.unknown = "the table's partitions keep changing"
	}
	if why := unfilled(r); why != "" {
		p.unknown = why
	}
	if p.unknown != "" {
		p.sum.Durable = 0
	}
	return p
}

// unfilled says why a replica may lack what links have not carried, "" if it has
// all: a new one's first content comes by back-fill.
func unfilled(r *table.Replica) string {
	if r.Status == table.Active || r.Status == table.Updating {
		return ""
	}
	return "the replica's status is " + string(r.Status)
}

// to is what the partition says of its link to a replica.
func (a *partitionLinks) to(r *table.Replica) partitionReplication {
	out := partitionReplication{id: a.id, unknown: a.unknown}
	i := slices.IndexFunc(a.links, func(l regionnode.ReplicationLink) bool { return l.Peer == r.Region })
	switch {
	case i >= 0:
		out.link = a.links[i]
		if out.link.Durable == 0 {
			out.unknown = "its link has not been level yet"
			if out.link.State == regionnode.LinkHalted {
				out.unknown = "its link is halted"
			}
		}
	case out.unknown == "":
		out.unknown = "it has no link yet"
	}
	if why := unfilled(r); why != "" {
		out.link.Durable, out.unknown = 0, why
	}
	return out
}

// badness orders states from the best to the worst.
var badness = map[regionnode.LinkState]int{
	regionnode.LinkStreaming: 1, regionnode.LinkPaused: 2, regionnode.LinkUnpositioned: 3, regionnode.LinkRetrying: 4,
	regionnode.LinkUnknown: 5, regionnode.LinkHalted: 6,
}

// add adds a partition's link to a peer's sum.
func add(sum, l *regionnode.ReplicationLink, first bool) {
	if first || badness[l.State] > badness[sum.State] {
		sum.State = l.State
	}
	if first || l.Durable < sum.Durable {
		sum.Durable = l.Durable
	}
	sum.Lag = max(sum.Lag, l.Lag)
	sum.Pending += l.Pending
	sum.InFlight += l.InFlight
	sum.InFlightBytes += l.InFlightBytes
	sum.Rejected += l.Rejected
	if l.LastErrorAt > sum.LastErrorAt {
		sum.LastError, sum.LastErrorAt = l.LastError, l.LastErrorAt
	}
}

var linkStates = map[regionnode.LinkState]string{
	regionnode.LinkStreaming: "STREAMING", regionnode.LinkPaused: "PAUSED", regionnode.LinkUnpositioned: "UNPOSITIONED",
	regionnode.LinkRetrying: "RETRYING", regionnode.LinkHalted: "HALTED",
}

func (p *peerReplication) write(w *wire.Writer, partitions bool) {
	w.BeginObject().Name("RegionName").String(p.replica.Region).Name("ReplicaStatus").String(string(p.replica.Status))
	writeLink(w, &p.sum, p.unknown)
	if partitions {
		w.Name("Partitions").BeginArray()
		for i := range p.partitions {
			one := &p.partitions[i]
			w.BeginObject().Name("PartitionId").String(strconv.FormatUint(uint64(one.id), 10))
			writeLink(w, &one.link, one.unknown)
			w.EndObject()
		}
		w.EndArray()
	}
	w.EndObject()
}

func writeLink(w *wire.Writer, l *regionnode.ReplicationLink, unknown string) {
	w.Name("State").String(cmp.Or(linkStates[l.State], "UNKNOWN"))
	if unknown == "" {
		w.Name("Watermark").Time(time.Unix(0, l.Durable))
	} else {
		w.Name("WatermarkUnknownReason").String(unknown)
	}
	w.Name("LagMilliseconds").Float(float64(l.Lag/1000) / 1000)
	w.Name("PendingRecords").Int(int64(l.Pending))
	w.Name("InFlightBatches").Int(int64(l.InFlight)).Name("InFlightBytes").Int(int64(l.InFlightBytes))
	w.Name("RejectedRecords").Int(int64(l.Rejected))
	if l.LastErrorAt != 0 {
		w.Name("LastError").String(l.LastError).Name("LastErrorDateTime").Time(time.UnixMilli(l.LastErrorAt))
	}
}
