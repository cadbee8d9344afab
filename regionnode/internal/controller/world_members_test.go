package controller

import (
	"context"
	"errors"

	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/internal/partition"
)

// The regions of a world have one node each: nobody ever moves there.
var errAlone = errors.New("the region has one node")

func (h *testHost) Ping(context.Context) (*Holdings, error) { return &Holdings{}, nil }

func (h *testHost) Membership(_ context.Context, r *MembershipRequest) (out *Membership, err error) {
	err = h.r.use(func(host *partition.Host, _ *catalog.Catalog) error {
		p, err := led(host, r.Partition)
		if err == nil {
			spec := p.Spec()
			out = &Membership{Epoch: spec.Epoch.Members, Members: spec.Members, Leader: spec.Members[0]}
		}
		return err
	})
	return out, err
}

func (h *testHost) CreateLearner(context.Context, *LearnerRequest) error { return errAlone }
func (h *testHost) ChangeMembers(context.Context, *MembersRequest) error { return errAlone }
func (h *testHost) HandOver(context.Context, *HandOverRequest) error     { return errAlone }
func (h *testHost) RemoveReplica(context.Context, *RemoveRequest) error  { return errAlone }
