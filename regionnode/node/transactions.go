package node

import (
	"context"
	"math/rand/v2"

	"antipode/regionnode"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/internal/transaction"
	"antipode/regionnode/table"
)

var (
	_ regionnode.Transactions = (*Node)(nil)
	_ regionnode.Participants = (*Node)(nil)
)

// openTransactions coordinates transactions over the region, takes part in them,
// and finishes those that other coordinators have left on what this node leads.
func (n *Node) openTransactions(context.Context) error {
	region, err := NewClient(n)
	if err != nil {
		return err
	}
	n.onClose(region.Close)
	n.transactions = transaction.New(transaction.Config{
		Region: region, Clock: n.clock, Random: rand.Uint64, Stalled: n.stalled, Led: n.led, Log: n.config.Log,
	})
	n.onClose(func() error { n.transactions.Close(); return nil })
	rpc.RegisterTransactions(n.server, n.transactions)
	rpc.RegisterParticipants(n.server, n)
	n.upkeep(n.transactions.Run)
	return nil
}

// stalled lists marks that are too old on the partitions led here.
func (n *Node) stalled(before int64) []transaction.Stalled {
	var out []transaction.Stalled
	for _, p := range n.partitions.Marked() {
		for _, m := range p.StalledMarks(before) {
			out = append(out, transaction.Stalled{Table: p.Spec().Table, Key: m.Key, ID: m.ID})
		}
	}
	return out
}

// led lists the partitions of a table that are led here.
func (n *Node) led(id table.ID) []table.PartitionID {
	var out []table.PartitionID
	for _, p := range n.partitions.Led() {
		if p.Spec().Table == id {
			out = append(out, p.ID())
		}
	}
	return out
}

// TransactWrite is part of regionnode.Transactions.
func (n *Node) TransactWrite(ctx context.Context, r *regionnode.TransactWriteRequest) (*regionnode.TransactWriteResponse, error) {
	return n.transactions.TransactWrite(ctx, r)
}

// TransactGet is part of regionnode.Transactions.
func (n *Node) TransactGet(ctx context.Context, r *regionnode.TransactGetRequest) (*regionnode.TransactGetResponse, error) {
	return n.transactions.TransactGet(ctx, r)
}

// Prepare is part of regionnode.Participants.
func (n *Node) Prepare(ctx context.Context, r *regionnode.PrepareRequest) (*regionnode.PrepareResponse, error) {
	p, err := n.held(r.Target.Partition)
	if err != nil {
		return nil, err
	}
	return p.Prepare(ctx, r)
}

// Finish is part of regionnode.Participants.
func (n *Node) Finish(ctx context.Context, r *regionnode.FinishRequest) (*regionnode.FinishResponse, error) {
	p, err := n.held(r.Target.Partition)
	if err != nil {
		return nil, err
	}
	return p.Finish(ctx, r)
}

// Settle is part of regionnode.Participants.
func (n *Node) Settle(ctx context.Context, r *regionnode.SettleRequest) (*regionnode.SettleResponse, error) {
	p, err := n.held(r.Target.Partition)
	if err != nil {
		return nil, err
	}
	return p.Settle(ctx, r)
}

// ReadMarked is part of regionnode.Participants.
func (n *Node) ReadMarked(ctx context.Context, r *regionnode.ReadMarkedRequest) (*regionnode.ReadMarkedResponse, error) {
	p, err := n.held(r.Target.Partition)
	if err != nil {
		return nil, err
	}
	return p.ReadMarked(ctx, r)
}
