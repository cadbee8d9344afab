package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/table"
)

// RemoteRegion is another region, reached through some of its nodes: the leader
// of its catalog if that is among them, else any node that knows the way.
func RemoteRegion(pool *rpc.Pool, addrs []string) Region {
	return &remoteRegion{pool: pool, call: func(ctx context.Context, _ call, there func(context.Context, string, string) (any, error)) (any, error) {
		return anyNode(ctx, addrs, there)
	}}
}

// perNode bounds how long one node of another region may take to answer.
const perNode = 20 * time.Second

// anyNode makes one call at the first node that serves it. A call that got lost
// in the middle is not made again here: whoever made it knows whether it may be.
func anyNode(ctx context.Context, addrs []string, there func(ctx context.Context, addr, prefix string) (any, error)) (any, error) {
	last := errors.New("no node is known")
	for _, prefix := range []string{toLeader, toAny} {
		for _, addr := range addrs {
			attempt, cancel := context.WithTimeout(ctx, perNode)
			v, err := there(attempt, addr, prefix)
			cancel()
			if err == nil || !rpc.NotExecuted(err) {
				return v, err
			}
			last = err
		}
	}
	return nil, fmt.Errorf("region at %v: %w", addrs, last)
}

// call is one method called on a Region in this process.
type call func(context.Context, Region) (any, error)

// errNotHere answers a call that found the catalog's leader on a node without a
// controller.
var errNotHere = errors.New("controller: this node holds no replica of the catalog")

// remoteRegion is a Region that makes every call through one function: with the
// call for a Region at hand, and one for the node at an address, under a prefix
// of methods.
type remoteRegion struct {
	pool *rpc.Pool
	call func(ctx context.Context, here call, there func(ctx context.Context, addr, prefix string) (any, error)) (any, error)
}

func callRegion[Req, Resp any](ctx context.Context, r *remoteRegion, method string, q *Req, here func(context.Context, Region) (*Resp, error)) (*Resp, error) {
	v, err := r.call(ctx,
		func(ctx context.Context, l Region) (any, error) { return here(ctx, l) },
		func(ctx context.Context, addr, prefix string) (any, error) {
			return rpc.Call[Req, Resp](ctx, r.pool, addr, prefix+method, q)
		})
	if err != nil {
		return nil, err
	}
	return v.(*Resp), nil
}

func doRegion[Req any](ctx context.Context, r *remoteRegion, method string, q *Req, here func(Region, context.Context, *Req) error) error {
	_, err := callRegion(ctx, r, method, q, func(ctx context.Context, l Region) (*empty, error) { return &empty{}, here(l, ctx, q) })
	return err
}

func (r *remoteRegion) Describe(ctx context.Context, name string) (*table.Descriptor, error) {
	return callRegion(ctx, r, methodDescribe, &nameRequest{name}, func(ctx context.Context, l Region) (*table.Descriptor, error) { return l.Describe(ctx, name) })
}

func (r *remoteRegion) Update(ctx context.Context, q *catalog.GlobalUpdate) (*table.Descriptor, error) {
	return callRegion(ctx, r, methodUpdate, q, func(ctx context.Context, l Region) (*table.Descriptor, error) { return l.Update(ctx, q) })
}

func (r *remoteRegion) CreateReplica(ctx context.Context, q *ReplicaRequest) error {
	return doRegion(ctx, r, methodCreateReplica, q, Region.CreateReplica)
}

func (r *remoteRegion) SetGlobal(ctx context.Context, q *ReplicaRequest) error {
	return doRegion(ctx, r, methodSetGlobal, q, Region.SetGlobal)
}

func (r *remoteRegion) DropReplica(ctx context.Context, q *GroupRequest) error {
	return doRegion(ctx, r, methodDropReplica, q, Region.DropReplica)
}

func (r *remoteRegion) CloseLinks(ctx context.Context, q *LinksRequest) error {
	return doRegion(ctx, r, methodCloseLinks, q, Region.CloseLinks)
}

func (r *remoteRegion) OpenLinks(ctx context.Context, q *LinksRequest) ([]Progress, error) {
	return r.progress(ctx, methodOpenLinks, q, Region.OpenLinks)
}

func (r *remoteRegion) LinkProgress(ctx context.Context, q *LinksRequest) ([]Progress, error) {
	return r.progress(ctx, methodRegionProgress, q, Region.LinkProgress)
}

func (r *remoteRegion) progress(ctx context.Context, method string, q *LinksRequest, here func(Region, context.Context, *LinksRequest) ([]Progress, error)) ([]Progress, error) {
	out, err := callRegion(ctx, r, method, q, func(ctx context.Context, l Region) (*progressList, error) {
		links, err := here(l, ctx, q)
		return &progressList{links}, err
	})
	if err != nil {
		return nil, err
	}
	return out.Links, nil
}
