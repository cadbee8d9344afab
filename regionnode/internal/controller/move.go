package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/table"
)

// move is a partition's Move in the hands of a worker.
type move struct {
	c    *Controller
	work *catalog.MoveWork
	row  *catalog.Partition
	want *catalog.Move
}

// lookPause is how often a worker looks whether a learner has caught up.
const lookPause = 100 * time.Millisecond

// runMove takes the steps of a partition's Move until there is none. How far it
// has come the partition says; so each step may be taken again, by this
// controller or by the next one, and one that is late changes nothing: changes
// name the membership that they are based on.
func (c *Controller) runMove(ctx context.Context, id table.PartitionID) error {
	for {
		w, err := c.cfg.Catalog.MoveWork(ctx, id)
		if err != nil || w == nil {
			return err
		}
		m := &move{c: c, work: w, row: &w.Partition, want: w.Partition.Move}
		outcome, err := m.step(ctx)
		if errors.Is(err, catalog.ErrConflict) || outcome == ended && err == nil {
			return nil
		}
		_, stale := errors.AsType[*regionnode.Stale](err)
		switch {
		case err != nil && !stale:
			return fmt.Errorf("partition %d (%s, to %x, from %x): %w", id, m.want.Reason, m.want.Add, m.want.Remove, err)
		case stale || outcome == waits:
			pause(ctx, m.c.look)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// outcome is what a step came to.
type outcome int

const (
	went  outcome = iota // the next step can follow at once
	waits                // for somebody else
	ended                // there is no next one
)

// step does what is next, at most one change of the membership.
func (m *move) step(ctx context.Context) (outcome, error) {
	now, err := m.membership(ctx, false)
	if err != nil {
		return waits, err
	}
	if len(now.Outgoing) > 0 {
		_, err := m.membership(ctx, true)
		return waits, err
	}
	if strangers := m.strangers(now); len(strangers) > 0 {
		return went, m.change(ctx, now, MembersRequest{Remove: strangers})
	}
	if m.want.Undo && !slices.ContainsFunc(m.want.Add, now.has) {
		return m.undo(ctx, now)
	}
	var absent, learning []table.NodeID
	for _, id := range m.want.Add {
		switch {
		case now.learns(id):
			learning = append(learning, id)
		case !now.has(id):
			absent = append(absent, id)
		}
	}
	switch leaving := m.leaving(now); {
	case len(absent) > 0:
		return went, m.add(ctx, now, absent)
	case len(learning) > 0 && !m.caught(now, learning):
		return waits, m.patience(ctx, learning)
	case len(learning)+len(leaving) > 0:
		return went, m.change(ctx, now, MembersRequest{Promote: learning, Remove: leaving})
	}
	return ended, m.end(ctx)
}

// strangers are learners that no Move asks for: a controller that was late made
// them.
func (m *move) strangers(now *Membership) []table.NodeID {
	return slices.DeleteFunc(slices.Clone(now.Learners), func(id table.NodeID) bool {
		return slices.Contains(m.want.Add, id)
	})
}

// leaving are those to be removed that are still members.
func (m *move) leaving(now *Membership) []table.NodeID {
	return slices.DeleteFunc(slices.Clone(m.want.Remove), func(id table.NodeID) bool { return !now.has(id) })
}

func (m *move) caught(now *Membership, learning []table.NodeID) bool {
	return !slices.ContainsFunc(learning, func(id table.NodeID) bool { return !slices.Contains(now.Caught, id) })
}

// add makes replicas on new nodes, empty, and then learners of them.
func (m *move) add(ctx context.Context, now *Membership, absent []table.NodeID) error {
	if err := m.patience(ctx, absent); err != nil {
		return err
	}
	r := &LearnerRequest{Partition: m.row.ID, Table: m.row.Table, Epoch: now.Epoch}
	for _, id := range absent {
		err := m.at(ctx, id, func(ctx context.Context, h Host) error { return h.CreateLearner(ctx, r) })
		if err != nil {
			// What is left there of an earlier replica, perhaps broken, is nobody's: the
			// next attempt finds it gone. One that this step has made is spared.
			gone := &RemoveRequest{Partition: m.row.ID, Epoch: now.Epoch}
			if err := m.at(ctx, id, func(ctx context.Context, h Host) error { return h.RemoveReplica(ctx, gone) }); err != nil {
				m.c.cfg.Log.Debug("an earlier replica stays", "partition", m.row.ID, "node", id, "error", err)
			}
			return fmt.Errorf("make a learner: %w", err)
		}
	}
	return m.change(ctx, now, MembersRequest{AddLearners: absent})
}

// patience gives the Move up when a node that shall get a replica will not take
// it.
func (m *move) patience(ctx context.Context, ids []table.NodeID) error {
	for _, id := range ids {
		n, known := m.work.Nodes[id]
		if !known || !n.Takes() || m.c.cfg.Catalog.SilentFor(id) >= m.c.cfg.ReplaceAfter {
			m.c.cfg.Log.Warn("a node cannot take a replica after all", "partition", m.row.ID, "node", id)
			return m.c.cfg.Catalog.UndoMove(ctx, m.row)
		}
	}
	return nil
}

// undo takes the learners of a Move that was given up out again. Where none came
// that far they are added first: a call of an earlier controller to add them may
// be on its way, and must find another membership.
func (m *move) undo(ctx context.Context, now *Membership) (outcome, error) {
	if len(now.Learners) > 0 {
		return went, m.change(ctx, now, MembersRequest{Remove: now.Learners})
	}
	if now.Epoch == m.row.Epoch.Members && len(m.want.Add) > 0 {
		return went, m.change(ctx, now, MembersRequest{AddLearners: m.want.Add})
	}
	return ended, m.end(ctx)
}

// end notes what was done, and then has removed replicas destroyed at once where
// their nodes answer; elsewhere the nodes find out (Sweep).
func (m *move) end(ctx context.Context) error {
	now, err := m.membership(ctx, true)
	if err != nil {
		return err
	}
	if !m.complete(now) {
		return &regionnode.Stale{Partition: m.row.ID, Reason: "members changed"}
	}
	if err := m.c.cfg.Catalog.EndMove(ctx, m.row, now.Members, now.Epoch); err != nil {
		return err
	}
	m.c.moves.ended(m.want)
	m.c.leaders.Store(m.row.ID, now.Leader)
	m.c.cfg.Log.Info("a partition's members changed", "partition", m.row.ID, "reason", m.want.Reason, "undone", m.want.Undo,
		"to", m.want.Add, "from", m.want.Remove, "took", time.Since(time.UnixMilli(m.want.Since)).Round(time.Millisecond))
	r := &RemoveRequest{Partition: m.row.ID, Epoch: now.Epoch}
	for _, id := range append(slices.Clone(m.want.Remove), m.want.Add...) {
		if now.has(id) || m.c.cfg.Catalog.SilentFor(id) >= catalog.SilentAfter {
			continue
		}
		err := m.at(ctx, id, func(ctx context.Context, h Host) error { return h.RemoveReplica(ctx, r) })
		if err != nil {
			m.c.cfg.Log.Debug("a removed replica is not destroyed yet", "partition", m.row.ID, "node", id, "error", err)
		}
	}
	return nil
}

// complete tells whether the membership is as the Move wants it.
func (m *move) complete(now *Membership) bool {
	if len(now.Learners)+len(now.Outgoing) > 0 {
		return false
	}
	if m.want.Undo && !slices.ContainsFunc(m.want.Add, now.has) {
		return true
	}
	return len(m.leaving(now)) == 0 && !slices.ContainsFunc(m.want.Add, func(id table.NodeID) bool { return !now.has(id) })
}

func (m *move) membership(ctx context.Context, confirm bool) (*Membership, error) {
	r := &MembershipRequest{Partition: m.row.ID, Confirm: confirm}
	return askLeader(ctx, m.c, m.table(), m.row, true, func(ctx context.Context, h Host) (*Membership, error) { return h.Membership(ctx, r) })
}

func (m *move) change(ctx context.Context, now *Membership, r MembersRequest) error {
	r.Partition, r.Epoch = m.row.ID, now.Epoch
	_, err := askLeader(ctx, m.c, m.table(), m.row, false, func(ctx context.Context, h Host) (struct{}, error) {
		return struct{}{}, h.ChangeMembers(ctx, &r)
	})
	if err != nil {
		return fmt.Errorf("change members: %w", err)
	}
	return nil
}

// table is the work in the shape that calls of nodes take.
func (m *move) table() *catalog.TableWork { return &catalog.TableWork{Nodes: m.work.Nodes} }

func (m *move) at(ctx context.Context, id table.NodeID, f func(context.Context, Host) error) error {
	ctx, cancel := context.WithTimeout(ctx, maxCall)
	defer cancel()
	_, err := callAt(ctx, m.c, m.table(), id, func(ctx context.Context, h Host) (struct{}, error) { return struct{}{}, f(ctx, h) })
	if err != nil {
		return fmt.Errorf("node %x: %w", uint64(id), err)
	}
	return nil
}

// askLeader makes one call to a partition's leader, which it looks for among the
// holders, a few times each. Unless the call is repeatable, one that may have been
// executed is not made a second time: whoever asked must look first what has
// become of it.
func askLeader[T any](ctx context.Context, c *Controller, w *catalog.TableWork, p *catalog.Partition, repeatable bool, f func(context.Context, Host) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, maxCall)
	defer cancel()
	holders := p.Holders()
	at := holders[0]
	if known, ok := c.leaders.Load(p.ID); ok {
		at = known.(table.NodeID)
	}
	for try, lost := 1, 0; ; try++ {
		v, err := callAt(ctx, c, w, at, f)
		if err == nil {
			c.leaders.Store(p.ID, at)
			return v, nil
		}
		c.leaders.Delete(p.ID)
		moved, led := errors.AsType[*regionnode.NotLeader](err)
		if !led {
			lost++
		}
		if !repeatable && !rpc.NotExecuted(err) || ctx.Err() != nil || lost >= 3*len(holders) || try >= maxAsks {
			return v, err
		}
		if led && moved.Leader != 0 && moved.Leader != at {
			at = moved.Leader
		} else {
			at = holders[try%len(holders)]
		}
		pause(ctx, min(time.Duration(try)*time.Millisecond, 50*time.Millisecond))
	}
}

// maxAsks bounds how many nodes askLeader asks, some of them again: a partition
// without a leader gets one within a second, or not soon.
const maxAsks = 60
