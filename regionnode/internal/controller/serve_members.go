package controller

import (
	"context"

	"antipode/regionnode/internal/rpc"
)

// The methods of Mover on the wire.
const (
	methodPing          = "Host.Ping"
	methodCreateLearner = "Host.CreateLearner"
	methodMembership    = "Host.Membership"
	methodChangeMembers = "Host.ChangeMembers"
	methodHandOver      = "Host.HandOver"
	methodRemoveReplica = "Host.RemoveReplica"
)

func serveMover(s *rpc.Server, h Mover) {
	rpc.Handle(s, methodPing, func(ctx context.Context, _ *empty) (*Holdings, error) { return h.Ping(ctx) })
	rpc.Handle(s, methodMembership, h.Membership)
	handleDone(s, methodCreateLearner, h.CreateLearner)
	handleDone(s, methodChangeMembers, h.ChangeMembers)
	handleDone(s, methodHandOver, h.HandOver)
	handleDone(s, methodRemoveReplica, h.RemoveReplica)
}

func (h *remoteHost) Ping(ctx context.Context) (*Holdings, error) {
	return callHost[empty, Holdings](ctx, h, methodPing, &empty{})
}

func (h *remoteHost) CreateLearner(ctx context.Context, r *LearnerRequest) error {
	_, err := callHost[LearnerRequest, empty](ctx, h, methodCreateLearner, r)
	return err
}

func (h *remoteHost) Membership(ctx context.Context, r *MembershipRequest) (*Membership, error) {
	return callHost[MembershipRequest, Membership](ctx, h, methodMembership, r)
}

func (h *remoteHost) ChangeMembers(ctx context.Context, r *MembersRequest) error {
	_, err := callHost[MembersRequest, empty](ctx, h, methodChangeMembers, r)
	return err
}

func (h *remoteHost) HandOver(ctx context.Context, r *HandOverRequest) error {
	_, err := callHost[HandOverRequest, empty](ctx, h, methodHandOver, r)
	return err
}

func (h *remoteHost) RemoveReplica(ctx context.Context, r *RemoveRequest) error {
	_, err := callHost[RemoveRequest, empty](ctx, h, methodRemoveReplica, r)
	return err
}
