package node

import (
	"context"
	"sync"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/table"
	"antipode/replication/hlc"
	"antipode/replication/link"
)

var _ regionnode.Replication = (*Node)(nil)

// openReplication answers for links.
func (n *Node) openReplication(context.Context) error {
	n.linkView.read = n.links.stats
	rpc.RegisterReplication(n.server, n)
	return nil
}

// Replication is part of regionnode.Replication. What a link knows is read before
// the partition's range is checked: ranges only shrink, so it is known of all of
// the range that the caller asks for.
func (n *Node) Replication(_ context.Context, r *regionnode.ReplicationRequest) (*regionnode.ReplicationResponse, error) {
	p, err := n.held(r.Target.Partition)
	if err != nil {
		return nil, err
	}
	links := n.linkView.of(r.Target.Partition)
	s := p.Status()
	switch {
	case s.Table != r.Target.Table || s.Epoch.Range != r.Target.Range:
		return nil, &regionnode.Stale{Partition: s.ID, Reason: "the range has changed"}
	case !s.Leading:
		return nil, &regionnode.NotLeader{Partition: s.ID, Leader: s.Leader}
	}
	out := &regionnode.ReplicationResponse{}
	for i := range links {
		out.Links = append(out.Links, replicationLink(&links[i]))
	}
	return out, nil
}

func replicationLink(s *link.Stats) regionnode.ReplicationLink {
	l := regionnode.ReplicationLink{
		Peer: string(s.Peer), State: linkState(s.State), Durable: durable(s), Lag: int64(s.Lag), Pending: s.Pending,
		InFlight: s.InFlight, InFlightBytes: s.InFlightBytes, Rejected: s.Rejected, LastError: s.LastError,
	}
	if !s.LastErrorTime.IsZero() {
		l.LastErrorAt = s.LastErrorTime.UnixMilli()
	}
	return l
}

func linkState(s link.State) regionnode.LinkState {
	switch s {
	case link.Streaming:
		return regionnode.LinkStreaming
	case link.Paused:
		return regionnode.LinkPaused
	case link.Unpositioned:
		return regionnode.LinkUnpositioned
	case link.Retrying:
		return regionnode.LinkRetrying
	case link.Halted:
		return regionnode.LinkHalted
	}
	return regionnode.LinkUnknown
}

// durable is a link's watermark in Unix nanoseconds, 0 when it is unknown. Writes
// later in the same nanosecond are not covered, so the watermark is the one
// before. A halted link may be one whose peer has lost what it had.
func durable(s *link.Stats) int64 {
	if s.State == link.Halted || s.Durable == (hlc.Timestamp{}) {
		return 0
	}
	return s.Durable.Wall - 1
}

// linkViewAge bounds how old the answers of a linkView are.
const linkViewAge = 50 * time.Millisecond

// A linkView is a node's links by partition, read anew when it is older than
// linkViewAge: a question about a table is one for each of its partitions, and
// each reading looks at all links of the node. What was known of a link stays
// true.
type linkView struct {
	read func() []link.Stats

	mu    sync.Mutex
	at    time.Time
	links map[table.PartitionID][]link.Stats
}

func (v *linkView) of(id table.PartitionID) []link.Stats {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.links == nil || time.Since(v.at) > linkViewAge {
		v.at, v.links = time.Now(), map[table.PartitionID][]link.Stats{}
		for _, s := range v.read() {
			p := table.PartitionID(s.Source.Partition)
			v.links[p] = append(v.links[p], s)
		}
	}
	return v.links[id]
}
