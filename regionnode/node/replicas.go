package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/internal/controller"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/table"
)

// Ping is part of controller.Mover.
func (h *host) Ping(context.Context) (*controller.Holdings, error) {
	out := &controller.Holdings{Format: catalog.Format}
	out.Held, out.Led = h.partitions.Count()
	out.Broken = slices.Sorted(maps.Keys(h.partitions.Broken()))
	return out, nil
}

// CreateLearner is part of controller.Mover.
func (h *host) CreateLearner(ctx context.Context, r *controller.LearnerRequest) error {
	if err := h.partitions.CreateLearner(ctx, r.Partition, r.Table, r.Epoch); err != nil {
		return fmt.Errorf("create a learner of partition %d: %w", r.Partition, err)
	}
	h.moved.raise()
	return nil
}

// Membership is part of controller.Mover.
func (h *host) Membership(ctx context.Context, r *controller.MembershipRequest) (*controller.Membership, error) {
	p, err := h.led(r.Partition)
	if err != nil {
		return nil, err
	}
	if r.Confirm {
		if _, err := p.ConfirmMembers(ctx); err != nil {
			return nil, err
		}
	}
	// Only a leader knows progress, so that what follows is a leader's view.
	progress := p.Progress()
	if progress == nil {
		return nil, &regionnode.NotLeader{Partition: r.Partition, Leader: p.Status().Leader}
	}
	spec := p.Spec()
	out := &controller.Membership{
		Epoch: spec.Epoch.Members, Members: spec.Members, Learners: spec.Learners, Outgoing: spec.Outgoing,
		Leader: h.self, Heard: []table.NodeID{h.self}, Caught: []table.NodeID{h.self},
	}
	for id, is := range progress {
		if is.Alive {
			out.Heard = append(out.Heard, id)
		}
		if is.Alive && is.CaughtUp {
			out.Caught = append(out.Caught, id)
		}
	}
	slices.Sort(out.Heard)
	slices.Sort(out.Caught)
	return out, nil
}

// ChangeMembers is part of controller.Mover.
func (h *host) ChangeMembers(ctx context.Context, r *controller.MembersRequest) error {
	p, err := h.led(r.Partition)
	if err != nil {
		return err
	}
	_, err = p.ChangeMembers(ctx, partition.Change{Epoch: r.Epoch, AddLearners: r.AddLearners, Promote: r.Promote, Remove: r.Remove})
	return refusal(err)
}

// HandOver is part of controller.Mover.
func (h *host) HandOver(ctx context.Context, r *controller.HandOverRequest) error {
	p, err := h.led(r.Partition)
	if err != nil {
		return err
	}
	return refusal(p.TransferLeader(ctx, r.To))
}

// refusal gives a partition's refusal the shape in which it can travel.
func refusal(err error) error {
	if refused, ok := errors.AsType[*partition.CannotChange](err); ok {
		return apierr.New(apierr.ResourceInUse, refused.Error())
	}
	return err
}

// RemoveReplica is part of controller.Mover.
func (h *host) RemoveReplica(ctx context.Context, r *controller.RemoveRequest) error {
	defer h.moved.raise()
	// If it stays after all, its links and indexes are taken up again.
	defer h.links.refresh()
	defer h.indexes.refresh()
	defer h.links.drop(r.Partition)()
	defer h.indexes.drop(r.Partition)()
	if err := h.partitions.DestroyRemoved(ctx, r.Partition, r.Epoch); err != nil {
		return fmt.Errorf("destroy the removed replica of partition %d: %w", r.Partition, err)
	}
	return nil
}
