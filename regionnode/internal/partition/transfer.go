package partition

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"antipode/regionnode"
	"antipode/regionnode/table"
)

// TransferLeader makes a member the preferred one, durably, and gives it the
// leadership: writes wait meanwhile, those in flight end first, so that no
// outcome becomes unknown. It returns when to leads, as far as this replica
// knows. *CannotChange when to is no member, has not caught up, is away, or did
// not take over in time.
func (p *Partition) TransferLeader(ctx context.Context, to table.NodeID) error {
	err := p.exclusive(ctx, membersLatch, func(v *view) ([]byte, error) {
		progress, err := p.progress(ctx)
		switch {
		case err != nil:
			return nil, err
		case !slices.Contains(v.spec.Members, to):
			return nil, &CannotChange{fmt.Sprintf("node %d is no member", to)}
		case to != p.host.cfg.Node && !(progress[to].CaughtUp && progress[to].Alive):
			return nil, &CannotChange{fmt.Sprintf("node %d has not caught up", to)}
		case v.spec.Members[0] == to:
			return nil, nil
		}
		return binary.AppendUvarint([]byte{preferEffect}, uint64(to)), nil
	})
	if err != nil || to == p.host.cfg.Node {
		return err
	}
	return p.handTo(ctx, to)
}

// handTo hands the leadership over and waits for the outcome.
func (p *Partition) handTo(ctx context.Context, to table.NodeID) error {
	r, err := p.leading(ctx)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	if err := p.onRound(ctx, func() { p.hand(to); p.members.handed = append(p.members.handed, ended) }); err != nil {
		return err
	}
	for now := r; ; now = p.role.Load() {
		switch {
		case now.leader == to:
			return nil
		case now.ended:
			return p.stale("partition is closed")
		case !now.leading && now.leader != 0:
			return &regionnode.NotLeader{Partition: p.id, Leader: now.leader}
		}
		select {
		case <-now.changed:
		case <-ended:
			if now = p.role.Load(); now.leading {
				return &CannotChange{fmt.Sprintf("node %d did not take the leadership over", to)}
			}
			ended = nil
		case <-ctx.Done():
			return fmt.Errorf("wait for node %d to lead: %w", to, ctx.Err())
		}
	}
}

// hand begins a hand-over; the round's. Once nothing is in flight raft is asked
// to make the change (handing).
func (p *Partition) hand(to table.NodeID) {
	if r := p.role.Load(); r.ready && to != p.host.cfg.Node {
		p.members.to, p.members.handing = uint64(to), p.host.cfg.ElectionTicks
	}
}
