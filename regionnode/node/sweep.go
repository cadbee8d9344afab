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
	// sweepSoon is how often it asks for a while after it got a snapshot.
	sweepSoon = 3 * time.Second
	// sweepPatience bounds one question to the catalog.
	sweepPatience = 5 * time.Second
)

// sweepForever destroys replicas that are nobody's any more: of nodes that were
// replaced while they were away, and of changes that were given up.
func (n *Node) sweepForever(ctx context.Context) {
	tick := time.NewTicker(sweepLook)
	defer tick.Stop()
	due := time.Now()
	installed := n.partitions.Installed()
	var hot time.Time
	seen, clean := uint64(0), false // as of Respecified, no replica was removed
	for {
		if now := n.partitions.Installed(); now != installed {
			// A snapshot may have taken the place of a split's entry, which the catalog
			// may hear of a little later.
			installed, due, hot = now, time.Now(), time.Now().Add(sweepAll)
		}
		all := !time.Now().Before(due)
		now := n.partitions.Respecified()
		var held []catalog.HeldReplica
		if all || !clean || now != seen {
			held = n.sweepable(all)
			seen, clean = now, !all && len(held) == 0
		}
		if all || len(held) > 0 {
			err := n.sweep(ctx, held, all)
			if err == nil && all {
				if due = time.Now().Add(sweepAll); time.Now().Before(hot) {
					due = time.Now().Add(sweepSoon)
				}
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
	for _, spec := range n.partitions.Held() {
		if all || n.removed(spec) {
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

func (n *Node) sweep(ctx context.Context, held []catalog.HeldReplica, all bool) error {
	ask, cancel := context.WithTimeout(ctx, sweepPatience)
	defer cancel()
	out, err := n.registry.Sweep(ask, &catalog.SweepRequest{Node: n.id, Held: held, All: all})
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
	return n.complete(ctx, out.Lacking)
}

// complete makes the replicas that this node should hold and does not, empty, as
// members that have voted for nobody here yet. It leaves out what another replica
// here holds a part of: that one has still to apply the split, and makes this one
// itself.
func (n *Node) complete(ctx context.Context, lacking []catalog.LackedReplica) error {
	for _, l := range lacking {
		spec := &partition.Spec{ID: l.Partition, Table: l.Table, Start: l.Start, End: l.End}
		if n.partitions.Overlaps(spec) {
			continue
		}
		r := &controller.LearnerRequest{Partition: l.Partition, Table: l.Table, Epoch: l.Members}
		if err := n.host.CreateLearner(ctx, r); err != nil {
			return err
		}
		n.config.Log.Info("a replica that was missing here waits for a snapshot", "partition", l.Partition)
	}
	return nil
}
