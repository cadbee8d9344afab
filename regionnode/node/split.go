package node

import (
	"context"
	"errors"
	"fmt"

	"antipode/regionnode"
	"antipode/regionnode/internal/controller"
	"antipode/regionnode/internal/partition"
)

// SplitPartition is part of controller.Host.
func (h *host) SplitPartition(ctx context.Context, r *controller.SplitRequest) (*controller.SplitOutcome, error) {
	p, err := h.led(r.Partition)
	if err != nil {
		return nil, err
	}
	done, err := p.Split(ctx, splitRequest(r))
	if err == nil {
		return &controller.SplitOutcome{At: done.At}, nil
	}
	if cannot, ok := errors.AsType[*partition.CannotSplit](err); ok {
		return &controller.SplitOutcome{Refusal: cannot.Reason, Never: cannot.Never}, nil
	}
	if _, stale := errors.AsType[*regionnode.Stale](err); stale && p.Status().Epoch.Range > r.Range {
		return &controller.SplitOutcome{Refusal: "its range has changed"}, nil
	}
	return nil, fmt.Errorf("split partition %d: %w", r.Partition, err)
}

// CancelSplit is part of controller.Host.
func (h *host) CancelSplit(ctx context.Context, r *controller.SplitRequest) (*controller.SplitOutcome, error) {
	p, err := h.led(r.Partition)
	if err != nil {
		return nil, err
	}
	done, err := p.CancelSplit(ctx, splitRequest(r))
	if err != nil {
		return nil, fmt.Errorf("leave partition %d whole: %w", r.Partition, err)
	}
	if done != nil {
		return &controller.SplitOutcome{At: done.At}, nil
	}
	return &controller.SplitOutcome{}, nil
}

func splitRequest(r *controller.SplitRequest) partition.SplitRequest {
	return partition.SplitRequest{
		Range: r.Range, Right: r.Right, LeftGeneration: r.LeftGeneration, RightGeneration: r.RightGeneration,
		At: r.At, ByLoad: r.ByLoad,
	}
}
