package controller

import (
	"context"
	"slices"

	"antipode/regionnode/table"
)

// Mover is the part of Host that changes who holds a partition. Every call is
// idempotent, and none has an effect once a newer membership is in force (I11).
type Mover interface {
	// Ping tells what the node holds.
	Ping(ctx context.Context) (*Holdings, error)
	// CreateLearner makes an empty replica that waits for the partition's data. A
	// replica that is there already stays. It returns when it is durable that the
	// node's replica is one of the membership's time (RemoveReplica).
	CreateLearner(ctx context.Context, r *LearnerRequest) error
	// Membership (leader) tells who the members are, and how far.
	Membership(ctx context.Context, r *MembershipRequest) (*Membership, error)
	// ChangeMembers (leader) makes one change based on a membership; a
	// *regionnode.Stale says that another one is in force. An error may leave the
	// outcome open: Membership tells.
	ChangeMembers(ctx context.Context, r *MembersRequest) error
	// HandOver (leader) makes another member lead.
	HandOver(ctx context.Context, r *HandOverRequest) error
	// RemoveReplica destroys the node's replica, unless that was made for a later
	// membership than the one in which the node had none; it succeeds when there is
	// none.
	RemoveReplica(ctx context.Context, r *RemoveRequest) error
}

// Holdings is how much a node holds and leads, in partitions.
type Holdings struct {
	Held int `msgpack:"h"`
	Led  int `msgpack:"l"`
	// Format is catalog.Format of the node's build.
	Format int `msgpack:"f"`
	// Broken are replicas that are out of use, because their data is corrupt, until
	// they are removed and made anew.
	Broken []table.PartitionID `msgpack:"b,omitempty"`
}

// MembershipRequest asks for a partition's membership.
type MembershipRequest struct {
	Partition table.PartitionID `msgpack:"p"`
	// Confirm waits until no change is under way and a majority of the members
	// knows that they are the members: then replicas that were removed may be
	// destroyed.
	Confirm bool `msgpack:"c,omitempty"`
}

// LearnerRequest asks for an empty replica.
type LearnerRequest struct {
	Partition table.PartitionID `msgpack:"p"`
	Table     table.ID          `msgpack:"t"`
	// Epoch is the membership in force, in which the node has no replica.
	Epoch uint32 `msgpack:"e"`
}

// Membership is a partition as its leader knows it.
type Membership struct {
	// Epoch counts the memberships.
	Epoch uint32 `msgpack:"e"`
	// Members vote, the preferred leader first; Outgoing still do while a change
	// takes place; Learners do not.
	Members  []table.NodeID `msgpack:"m"`
	Learners []table.NodeID `msgpack:"l,omitempty"`
	Outgoing []table.NodeID `msgpack:"o,omitempty"`
	// Heard are those that the leader hears of, Caught those of them that lack
	// next to nothing.
	Heard  []table.NodeID `msgpack:"h,omitempty"`
	Caught []table.NodeID `msgpack:"c,omitempty"`
	// Leader is who said so.
	Leader table.NodeID `msgpack:"le"`
}

func (m *Membership) has(id table.NodeID) bool    { return slices.Contains(m.Members, id) }
func (m *Membership) learns(id table.NodeID) bool { return slices.Contains(m.Learners, id) }

// MembersRequest is one change of a membership.
type MembersRequest struct {
	Partition table.PartitionID `msgpack:"p"`
	// Epoch is the membership that it is based on.
	Epoch       uint32         `msgpack:"e"`
	AddLearners []table.NodeID `msgpack:"a,omitempty"`
	Promote     []table.NodeID `msgpack:"o,omitempty"`
	Remove      []table.NodeID `msgpack:"r,omitempty"`
}

// HandOverRequest names who shall lead.
type HandOverRequest struct {
	Partition table.PartitionID `msgpack:"p"`
	To        table.NodeID      `msgpack:"t"`
}

// RemoveRequest asks for the end of a replica that membership Epoch has not.
type RemoveRequest struct {
	Partition table.PartitionID `msgpack:"p"`
	Epoch     uint32            `msgpack:"e"`
}
