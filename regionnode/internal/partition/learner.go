package partition

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"antipode/regionnode"
	"antipode/regionnode/internal/keys"
	"antipode/regionnode/table"
)

// CreateLearner makes an empty replica that waits for a snapshot, durably: for
// a node that is about to be a learner, or that is a member of a partition which
// it never saw begin. epoch is the Epoch.Members in force; a replica that is
// here already stays, and is from now on one of that epoch (DestroyRemoved).
func (h *Host) CreateLearner(ctx context.Context, id table.PartitionID, t table.ID, epoch uint32) error {
	if id == 0 {
		return errors.New("create learner: a partition is needed")
	}
	release, err := h.claim(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	h.births.Lock()
	defer h.births.Unlock()
	past, err := h.past(id)
	if err != nil {
		return fmt.Errorf("create learner of partition %d: %w", id, err)
	}
	if _, broken := h.Broken()[id]; broken {
		return h.outOfUse(id)
	}
	p, here := h.Partition(id)
	if here && past.epoch >= epoch {
		return nil
	}
	past.epoch = max(past.epoch, epoch)
	if here {
		if err := h.cfg.Store.SetSync(keys.ReplicaPast(id), past.append(nil)); err != nil {
			return err
		}
		p.made.Store(past.epoch)
		return nil
	}
	spec := &Spec{ID: id, Table: t}
	if err := h.recordFrom(spec, appliedState{}, past); err != nil {
		return fmt.Errorf("create learner of partition %d: %w", id, err)
	}
	_, err = h.open(spec, true)
	return err
}

// DestroyRemoved is Destroy for a replica whose node a change of members has
// removed; epoch is the Epoch.Members that this made. A replica that was made
// anew for a later change stays, with *regionnode.Stale: destroying what has
// acknowledged writes as a member would lose them.
func (h *Host) DestroyRemoved(ctx context.Context, id table.PartitionID, epoch uint32) error {
	return h.destroy(ctx, id, epoch, func(s *Spec, past replicaPast) error {
		if past.epoch >= epoch || s.Epoch.Members >= epoch && s.heldBy(h.cfg.Node) {
			return &regionnode.Stale{Partition: id, Reason: "this replica is one of a later change of members"}
		}
		return nil
	})
}

// replicaPast is what a node remembers of its replicas of one partition, also
// when none is left: a vote that was given stays given.
type replicaPast struct {
	term, vote uint64
	// epoch is the Epoch.Members that the present replica was made for, 0 for one
	// that began with the partition.
	epoch uint32
	// gone is the newest Epoch.Members of which it is known that the node had no
	// replica: a split that comes later must not make one of an earlier epoch.
	gone uint32
}

const pastFormat byte = 1

// messageFormat is the first byte of a raft message on the wire from a replica
// that was made later than its partition; what it was made for and raft's own
// bytes follow. Those of the others are raft's alone, which never begin with it
// (it would be field number 0): so they were before replicas could be made later.
const messageFormat byte = 1

// receiveRaft takes in one of raft's messages.
func (p *Partition) receiveRaft(raw []byte) error {
	m, made, err := decodeMessage(raw)
	if err != nil {
		return err
	}
	p.deliver(m, made)
	return nil
}

func encodeMessage(m *pb.Message, made uint32) ([]byte, error) {
	if made == 0 {
		return proto.Marshal(m)
	}
	b := binary.AppendUvarint([]byte{messageFormat}, uint64(made))
	return proto.MarshalOptions{}.MarshalAppend(b, m)
}

func decodeMessage(b []byte) (*pb.Message, uint32, error) {
	m := new(pb.Message)
	if len(b) == 0 || b[0] != messageFormat {
		return m, 0, proto.Unmarshal(b, m)
	}
	d := decoder{b: b[1:]}
	made := uint32(d.uvarint())
	if d.bad {
		return nil, 0, errBroken
	}
	return m, made, proto.Unmarshal(d.b, m)
}

func (r replicaPast) append(dst []byte) []byte {
	return appendNumbered(dst, pastFormat, r.term, r.vote, uint64(r.epoch), uint64(r.gone))
}

func (h *Host) past(id table.PartitionID) (replicaPast, error) {
	raw, err := h.cfg.Store.GetCopy(keys.ReplicaPast(id))
	if err != nil || raw == nil {
		return replicaPast{}, err
	}
	d := decoder{b: raw}
	if d.byte() != pastFormat {
		return replicaPast{}, errBroken
	}
	r := replicaPast{term: d.uvarint(), vote: d.uvarint(), epoch: uint32(d.uvarint())}
	if !d.bad && len(d.b) > 0 {
		r.gone = uint32(d.uvarint())
	}
	return r, d.err()
}

// recordFrom writes what a new replica starts from: a descriptor, applied state
// with an empty log behind it, and what the node remembers.
func (h *Host) recordFrom(spec *Spec, state appliedState, past replicaPast) error {
	b := h.cfg.Store.NewBatch()
	if err := recordReplica(b, spec, &state, past); err != nil {
		return err
	}
	if past != (replicaPast{}) {
		if err := b.Set(keys.ReplicaPast(spec.ID), past.append(nil), nil); err != nil {
			return err
		}
	}
	return h.cfg.Store.Sync(b)
}
