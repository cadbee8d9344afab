package node

import (
	"context"
	"fmt"
	"sync/atomic"

	"antipode/regionnode/internal/rpc"
	"antipode/replication"
	"antipode/replication/link"
)

const linkMethod = "Link.Apply"

// wireBatch carries an encoded batch or acknowledgement: link has a codec of
// its own, with a checksum.
type wireBatch struct {
	Data []byte `msgpack:"d"`
}

// linkTransport sends batches to the nodes of peer regions, in turn.
type linkTransport struct {
	pool  *rpc.Pool
	peers func(replication.Region) []string
	turn  atomic.Uint64
}

// Send is part of link.Transport. A node that does not answer makes room for
// the next one at the next attempt, which link makes.
func (t *linkTransport) Send(ctx context.Context, peer replication.Region, b *link.Batch) (*link.Ack, error) {
	addrs := t.peers(peer)
	if len(addrs) == 0 {
		return nil, fmt.Errorf("region %s is no peer of this node", peer)
	}
	addr := addrs[int(t.turn.Load()%uint64(len(addrs)))]
	answer, err := rpc.Call[wireBatch, wireBatch](ctx, t.pool, addr, linkMethod, &wireBatch{b.Append(nil)})
	if err != nil {
		t.turn.Add(1)
		return nil, fmt.Errorf("send to %s at %s: %w", peer, addr, err)
	}
	return link.DecodeAck(answer.Data)
}

// serveLink takes batches of other regions in.
func serveLink(server *rpc.Server, applier link.Applier) {
	rpc.Handle(server, linkMethod, func(ctx context.Context, r *wireBatch) (*wireBatch, error) {
		b, err := link.DecodeBatch(r.Data)
		if err != nil {
			return nil, fmt.Errorf("batch from another region: %w", err)
		}
		ack, err := applier.Apply(ctx, b)
		if err != nil {
			return nil, err
		}
		return &wireBatch{ack.Append(nil)}, nil
	})
}
