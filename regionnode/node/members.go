package node

import (
	"encoding/binary"
	"slices"
	"sync"

	"antipode/regionnode/internal/gossip"
	"antipode/regionnode/table"
)

// addressBook knows where the region's nodes are: from gossip, and from the
// catalog where gossip is behind. It is a hint; whoever answers says who he is.
type addressBook struct {
	mu    sync.RWMutex
	nodes map[table.NodeID]string
}

func (b *addressBook) set(id table.NodeID, addr string) {
	if id == 0 || addr == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.nodes == nil {
		b.nodes = map[table.NodeID]string{}
	}
	b.nodes[id] = addr
}

func (b *addressBook) of(id table.NodeID) (string, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	addr, ok := b.nodes[id]
	return addr, ok
}

// followGossip keeps the address book until the pool closes.
func (n *Node) followGossip() {
	for m := range n.gossip.Events() {
		if m.Status == gossip.Alive {
			n.addresses.set(m.Node, m.RPCAddr)
		}
	}
}

// others are the rpc addresses of the region's nodes that gossip believes to be
// alive, this one left out.
func (n *Node) others() []string {
	var out []string
	for _, m := range n.gossip.Members() {
		if m.Status == gossip.Alive && m.RPCAddr != "" && m.RPCAddr != n.rpcAddr && !slices.Contains(out, m.RPCAddr) {
			out = append(out, m.RPCAddr)
		}
	}
	return out
}

const raftMethod = "Raft.Messages"

// sendRaft carries raft messages of one partition to a member: partition id,
// then each message behind its length. It may lose them.
func (n *Node) sendRaft(to table.NodeID, id table.PartitionID, messages [][]byte) {
	addr, ok := n.addresses.of(to)
	if !ok {
		return
	}
	size := 8
	for _, m := range messages {
		size += binary.MaxVarintLen32 + len(m)
	}
	payload := binary.BigEndian.AppendUint64(make([]byte, 0, size), uint64(id))
	for _, m := range messages {
		payload = binary.AppendUvarint(payload, uint64(len(m)))
		payload = append(payload, m...)
	}
	if err := n.pool.Send(addr, raftMethod, payload); err != nil {
		n.config.Log.Debug("raft messages dropped", "to", addr, "partition", id, "error", err)
	}
}

func (n *Node) receiveRaft(payload []byte) {
	if len(payload) < 8 {
		return
	}
	id := table.PartitionID(binary.BigEndian.Uint64(payload))
	rest := payload[8:]
	for len(rest) > 0 {
		size, used := binary.Uvarint(rest)
		if used <= 0 || uint64(len(rest)-used) < size {
			n.config.Log.Warn("broken raft payload", "partition", id)
			return
		}
		n.partitions.Receive(id, rest[used:used+int(size)])
		rest = rest[used+int(size):]
	}
}
