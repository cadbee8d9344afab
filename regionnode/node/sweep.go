package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/internal/controller"
	"antipode/regionnode/internal/partition"
)

const (
	// sweepLook is how often a node looks for replicas that know themselves that
	// they were removed; sweepAll is how often it asks for all of them whether they
	// are still wanted, which only the catalog knows of a replica whose node was
	// away when it was removed.
	sweepLook = time.Second
	sweepAll  = 30 * time.Second
	// sweepPatience bounds one question to the catalog.
	sweepPatience = 5 * time.Second
)

// sweepForever destroys replicas that are nobody's any more: of nodes that were
// replaced while they were away, and of changes that were given up.
func (n *Node) sweepForever(ctx context.Context) {
	tick := time.NewTicker(sweepLook)
	defer tick.Stop()
	due := time.Now()
	for {
		all := !time.Now().Before(due)
		if held := n.sweepable(all); len(held) > 0 {
			err := n.sweep(ctx, held)
			if err == nil && all {
				due = time.Now().Add(sweepAll)
			}
			if err != nil && ctx.Err() == nil {
				n.config.Log.Debug("replicas that may be nobody's stay for now", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sweepable are all replicas, or those that were removed as far as they know.
func (n *Node) sweepable(all bool) []catalog.HeldReplica {
	var out []catalog.HeldReplica
	for _, p := range n.partitions.Partitions() {
		if spec := p.Spec(); all || n.removed(spec) {
			out = append(out, catalog.HeldReplica{Partition: spec.ID, Table: spec.Table, Members: spec.Epoch.Members})
		}
	}
	return out
}

// removed tells whether a replica knows that it is none any more; one that waits
// for its first snapshot knows of nobody.
func (n *Node) removed(s *partition.Spec) bool {
	return len(s.Members) > 0 && !slices.Contains(s.Members, n.id) && !slices.Contains(s.Learners, n.id) && !slices.Contains(s.Outgoing, n.id)
}

func (n *Node) sweep(ctx context.Context, held []catalog.HeldReplica) error {
	ask, cancel := context.WithTimeout(ctx, sweepPatience)
	defer cancel()
	out, err := n.registry.Sweep(ask, &catalog.SweepRequest{Node: n.id, Held: held})
	if err != nil {
		return err
	}
	for _, o := range out.Orphans {
		if o.Members == 0 {
			err = n.host.DestroyPartition(ctx, o.Partition)
		} else {
			err = n.host.RemoveReplica(ctx, &controller.RemoveRequest{Partition: o.Partition, Epoch: o.Members})
		}
		if _, later := errors.AsType[*regionnode.Stale](err); later {
			continue // it was made anew meanwhile
		}
		if err != nil {
			return err
		}
		n.config.Log.Info("a replica that was nobody's any more is destroyed", "partition", o.Partition)
	}
	return nil
}
