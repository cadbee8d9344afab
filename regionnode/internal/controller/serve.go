package controller

import (
	"context"

	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/table"
)

// The methods of Host on the wire.
const (
	methodCreatePartition  = "Host.CreatePartition"
	methodDestroyPartition = "Host.DestroyPartition"
	methodSetDescriptor    = "Host.SetDescriptor"
	methodOpenLink         = "Host.OpenLink"
	methodCloseLink        = "Host.CloseLink"
	methodLinkProgress     = "Host.LinkProgress"
	methodBackfill         = "Host.Backfill"
	methodIndexReady       = "Host.IndexReady"
	methodSplitPartition   = "Host.SplitPartition"
	methodCancelSplit      = "Host.CancelSplit"
)

// The methods of Region on the wire, behind one of two prefixes: the first for
// the leader of the region's catalog alone, the second for any node, which finds
// the leader.
const (
	toLeader = "RegionLeader."
	toAny    = "Region."

	methodDescribe       = "Describe"
	methodUpdate         = "Update"
	methodCreateReplica  = "CreateReplica"
	methodSetGlobal      = "SetGlobal"
	methodDropReplica    = "DropReplica"
	methodOpenLinks      = "OpenLinks"
	methodCloseLinks     = "CloseLinks"
	methodRegionProgress = "LinkProgress"
)

type empty struct{}

type partitionRequest struct {
	Partition table.PartitionID `msgpack:"p"`
}

type readyResponse struct {
	Ready bool `msgpack:"r"`
}

type nameRequest struct {
	Name string `msgpack:"n"`
}

type progressList struct {
	Links []Progress `msgpack:"l"`
}

// ServeHost answers other nodes' controllers for h on s.
func ServeHost(s *rpc.Server, h Host) {
	handleDone(s, methodCreatePartition, h.CreatePartition)
	handleDone(s, methodDestroyPartition, func(ctx context.Context, r *partitionRequest) error { return h.DestroyPartition(ctx, r.Partition) })
	handleDone(s, methodSetDescriptor, h.SetDescriptor)
	handleDone(s, methodCloseLink, h.CloseLink)
	rpc.Handle(s, methodOpenLink, h.OpenLink)
	rpc.Handle(s, methodLinkProgress, h.LinkProgress)
	rpc.Handle(s, methodBackfill, h.Backfill)
	rpc.Handle(s, methodSplitPartition, h.SplitPartition)
	rpc.Handle(s, methodCancelSplit, h.CancelSplit)
	serveMover(s, h)
	rpc.Handle(s, methodIndexReady, func(ctx context.Context, r *IndexRequest) (*readyResponse, error) {
		b, ok := h.(IndexBuilder)
		if !ok {
			return &readyResponse{Ready: true}, nil
		}
		ready, err := b.IndexReady(ctx, r)
		return &readyResponse{ready}, err
	})
}

func handleDone[Req any](s *rpc.Server, method string, f func(context.Context, *Req) error) {
	rpc.Handle(s, method, func(ctx context.Context, r *Req) (*empty, error) { return &empty{}, f(ctx, r) })
}

// RemoteHost is the Host of the node of that name at addr. What is meant for it
// reaches no other one that has come to its address: that would be taken for
// alive in its place, and have its replicas destroyed. With an empty name, whoever
// answers is meant.
func RemoteHost(p *rpc.Pool, name, addr string) Host { return &remoteHost{p, name, addr} }

type remoteHost struct {
	pool       *rpc.Pool
	name, addr string
}

func callHost[Req, Resp any](ctx context.Context, h *remoteHost, method string, r *Req) (*Resp, error) {
	if h.name != "" {
		ctx = rpc.ToNode(ctx, h.name)
	}
	return rpc.Call[Req, Resp](ctx, h.pool, h.addr, method, r)
}

func (h *remoteHost) CreatePartition(ctx context.Context, s *Spec) error {
	_, err := callHost[Spec, empty](ctx, h, methodCreatePartition, s)
	return err
}

func (h *remoteHost) DestroyPartition(ctx context.Context, id table.PartitionID) error {
	_, err := callHost[partitionRequest, empty](ctx, h, methodDestroyPartition, &partitionRequest{id})
	return err
}

func (h *remoteHost) SetDescriptor(ctx context.Context, r *DescriptorRequest) error {
	_, err := callHost[DescriptorRequest, empty](ctx, h, methodSetDescriptor, r)
	return err
}

func (h *remoteHost) OpenLink(ctx context.Context, r *LinkRequest) (*Progress, error) {
	return callHost[LinkRequest, Progress](ctx, h, methodOpenLink, r)
}

func (h *remoteHost) CloseLink(ctx context.Context, r *LinkRequest) error {
	_, err := callHost[LinkRequest, empty](ctx, h, methodCloseLink, r)
	return err
}

func (h *remoteHost) LinkProgress(ctx context.Context, r *LinkRequest) (*Progress, error) {
	return callHost[LinkRequest, Progress](ctx, h, methodLinkProgress, r)
}

func (h *remoteHost) Backfill(ctx context.Context, r *BackfillRequest) (*BackfillResponse, error) {
	return callHost[BackfillRequest, BackfillResponse](ctx, h, methodBackfill, r)
}

func (h *remoteHost) SplitPartition(ctx context.Context, r *SplitRequest) (*SplitOutcome, error) {
	return callHost[SplitRequest, SplitOutcome](ctx, h, methodSplitPartition, r)
}

func (h *remoteHost) CancelSplit(ctx context.Context, r *SplitRequest) (*SplitOutcome, error) {
	return callHost[SplitRequest, SplitOutcome](ctx, h, methodCancelSplit, r)
}

func (h *remoteHost) IndexReady(ctx context.Context, r *IndexRequest) (bool, error) {
	out, err := callHost[IndexRequest, readyResponse](ctx, h, methodIndexReady, r)
	if err != nil {
		return false, err
	}
	return out.Ready, nil
}

// Serve answers other regions' controllers for c on s, while c's node leads the
// catalog.
func Serve(s *rpc.Server, c *Controller) { registerRegion(s, toLeader, c.Region()) }

// ServeFront answers other regions on any node, by way of the catalog's leader.
// local is the node's Controller.Region, nil where the node has none.
func ServeFront(s *rpc.Server, local Region, finder *catalog.Client, pool *rpc.Pool) {
	front := &remoteRegion{pool: pool, call: func(ctx context.Context, here call, there func(context.Context, string, string) (any, error)) (any, error) {
		return catalog.Follow(ctx, finder, true,
			func(ctx context.Context) (any, error) {
				if local == nil {
					return nil, errNotHere
				}
				return here(ctx, local)
			},
			func(ctx context.Context, addr string) (any, error) { return there(ctx, addr, toLeader) })
	}}
	registerRegion(s, toAny, front)
}

func registerRegion(s *rpc.Server, prefix string, r Region) {
	rpc.Handle(s, prefix+methodDescribe, func(ctx context.Context, q *nameRequest) (*table.Descriptor, error) { return r.Describe(ctx, q.Name) })
	rpc.Handle(s, prefix+methodUpdate, r.Update)
	handleDone(s, prefix+methodCreateReplica, r.CreateReplica)
	handleDone(s, prefix+methodSetGlobal, r.SetGlobal)
	handleDone(s, prefix+methodDropReplica, r.DropReplica)
	handleDone(s, prefix+methodCloseLinks, r.CloseLinks)
	handleProgress(s, prefix+methodOpenLinks, r.OpenLinks)
	handleProgress(s, prefix+methodRegionProgress, r.LinkProgress)
}

func handleProgress(s *rpc.Server, method string, f func(context.Context, *LinksRequest) ([]Progress, error)) {
	rpc.Handle(s, method, func(ctx context.Context, r *LinksRequest) (*progressList, error) {
		links, err := f(ctx, r)
		return &progressList{links}, err
	})
}
