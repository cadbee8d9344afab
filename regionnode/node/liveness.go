package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"antipode/regionnode/internal/keys"
	"antipode/regionnode/internal/liveness"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/table"
)

const (
	// beatInterval is how often a node tells each other one that it is alive.
	beatInterval = 100 * time.Millisecond
	// supportTime is how long a node that is silent goes on to lead: the shorter,
	// the sooner another takes over, and the more often without need.
	supportTime = 600 * time.Millisecond
	// livenessLook is how often a node looks who has gone silent.
	livenessLook = 25 * time.Millisecond
	// stallBound is from when on a node whose disk does not finish a sync keeps
	// silent, so that others lead.
	stallBound = 2 * time.Second
	// listInterval is how old the list of those who hear of this node may be; until
	// they do, raft's own time decides.
	listInterval = time.Second
)

const beatMethod = "Node.Beat"

// openLiveness begins a new life of this node. Region nodes without replication
// have nobody to hear.
func (n *Node) openLiveness(context.Context) error {
	epoch, err := n.nextEpoch()
	if err != nil {
		return fmt.Errorf("count the start: %w", err)
	}
	if n.config.Replication < 2 {
		return nil
	}
	started := time.Now()
	n.liveness = liveness.New(liveness.Config{
		Self: n.id, Epoch: epoch, Support: supportTime,
		Now: func() time.Duration { return time.Since(started) + 1 },
	})
	return nil
}

// nextEpoch counts this start durably.
func (n *Node) nextEpoch() (uint64, error) {
	raw, err := n.store.GetCopy(keys.NodeEpoch())
	if err != nil {
		return 0, err
	}
	epoch := uint64(0)
	if raw != nil {
		if len(raw) != 8 {
			return 0, errors.New("node epoch on disk is broken")
		}
		epoch = binary.BigEndian.Uint64(raw)
	}
	epoch++
	return epoch, n.store.SetSync(keys.NodeEpoch(), binary.BigEndian.AppendUint64(nil, epoch))
}

// keepLiveness tells and hears until the node closes.
func (n *Node) keepLiveness() {
	if n.liveness == nil {
		return
	}
	rpc.HandleOneWay(n.server, beatMethod, func(_ string, payload []byte) {
		b, err := liveness.DecodeBeat(payload)
		if err != nil {
			n.config.Log.Warn("broken beat", "error", err)
			return
		}
		n.liveness.Receive(b)
	})
	n.upkeep(n.beat)
	n.upkeep(n.passNews)
}

// news are nodes about which something has changed, for who looks over the
// partitions: beats must not wait while thousands of them are looked over.
type news struct {
	wake  flag
	mu    sync.Mutex
	nodes []table.NodeID
}

func (w *news) add(nodes []table.NodeID) {
	w.mu.Lock()
	for _, id := range nodes {
		if !slices.Contains(w.nodes, id) {
			w.nodes = append(w.nodes, id)
		}
	}
	w.mu.Unlock()
	w.wake.raise()
}

func (w *news) take() []table.NodeID {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.nodes
	w.nodes = nil
	return out
}

func (n *Node) passNews(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.news.wake:
			n.partitions.PeersChanged(n.news.take())
		}
	}
}

func (n *Node) beat(ctx context.Context) {
	tick := time.NewTicker(livenessLook)
	defer tick.Stop()
	var told, listed time.Time
	var peers []table.NodeID
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-n.liveness.Changed():
		}
		news := n.liveness.News()
		if len(news) == 0 && time.Since(told) < beatInterval {
			continue
		}
		told = time.Now()
		if told.Sub(listed) >= listInterval {
			peers, listed = n.partitions.Peers(), told
		}
		n.sendBeats(peers)
		if len(news) > 0 {
			n.news.add(news)
		}
	}
}

// sendBeats tells others that this node is alive, unless its disk stands still:
// then it is as good as gone.
func (n *Node) sendBeats(peers []table.NodeID) {
	if n.store.Stalled() > stallBound {
		return
	}
	for _, to := range peers {
		n.sendBeat(to, false)
	}
}

func (n *Node) sendBeat(to table.NodeID, leaving bool) {
	addr, ok := n.addresses.of(to)
	if !ok {
		return
	}
	b := n.liveness.Beat(to)
	b.Leaving = leaving
	if err := n.pool.SendApart(addr, beatMethod, b.Append(nil)); err != nil {
		n.config.Log.Debug("beat dropped", "to", addr, "error", err)
	}
}

// closePartitions ends all replicas and says goodbye: nothing is led here from
// then on.
func (n *Node) closePartitions() error {
	peers := n.partitions.Peers()
	err := n.partitions.Close()
	if n.liveness != nil && err == nil {
		for _, to := range peers {
			n.sendBeat(to, true)
		}
	}
	return err
}
