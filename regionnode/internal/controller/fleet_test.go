package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/table"
)

// fleet is a region of many nodes in memory, as its controllers see it: groups
// whose members change as package partition's do, and a catalog that outlives
// its leaders. Every call of a controller passes a point at which its life can
// be made to end; the call on its way then comes late, when told.
type fleet struct {
	t  testing.TB
	kv *fleetKV

	mu     sync.Mutex
	groups map[table.PartitionID]*group
	past   map[replicaKey]uint32 // for which membership a replica was made
	held   map[replicaKey]bool
	dead   map[table.NodeID]bool
	// onAdd hears which node is to get a learner, before it has one; may be nil.
	onAdd  func(table.NodeID)
	faults []string

	life    int
	crashAt int // counts the points down; below 0 there is no crash
	crashed chan struct{}
	late    []func()
	points  int
	stop    context.CancelFunc
	ended   sync.WaitGroup
	cat     *catalog.Catalog
	control *Controller
}

type replicaKey struct {
	node      table.NodeID
	partition table.PartitionID
}

// group is one partition's membership.
type group struct {
	epoch             uint32
	members, learners []table.NodeID
	leader            table.NodeID
	lag               map[table.NodeID]int // looks until a learner has caught up
	changes           int
}

var errGone = errors.New("no answer")

func newFleet(t testing.TB, nodes int) *fleet {
	f := &fleet{t: t, kv: newFleetKV(), groups: map[table.PartitionID]*group{}, past: map[replicaKey]uint32{},
		held: map[replicaKey]bool{}, dead: map[table.NodeID]bool{}, crashAt: -1}
	system := catalog.SystemPartition(east)
	var founders []table.NodeID
	for i := range min(nodes, 3) {
		founders = append(founders, catalog.BootstrapNode(east, i))
	}
	f.make(system, founders)
	f.start()
	for i := range nodes {
		n := catalog.Node{Name: fmt.Sprint("n", i), Addr: fmt.Sprint("n", i), Zone: fmt.Sprint("z", i%3)}
		if i < 3 {
			n.ID = founders[i]
		}
		if _, err := f.cat.RegisterNode(context.Background(), n); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		f.stop()
		f.ended.Wait()
	})
	return f
}

// start begins a controller's life.
func (f *fleet) start() {
	f.mu.Lock()
	life := f.life
	f.crashed = make(chan struct{}, 1)
	f.mu.Unlock()
	cat, err := catalog.New(catalog.Config{KV: f.kv, Region: east, Partitions: 3, Replication: 3})
	if err != nil {
		f.t.Fatal(err)
	}
	control, err := New(Config{Catalog: cat, Nodes: fleetNodes{f, life}, ReplaceAfter: 40 * time.Millisecond, Tick: 50 * time.Millisecond})
	if err != nil {
		f.t.Fatal(err)
	}
	control.look = 2 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	f.mu.Lock()
	f.cat, f.control, f.stop = cat, control, cancel
	f.mu.Unlock()
	f.ended.Go(func() { control.Run(ctx) })
}

// restart ends a controller's life and begins the next.
func (f *fleet) restart() {
	f.mu.Lock()
	f.life++
	stop := f.stop
	f.mu.Unlock()
	stop()
	f.ended.Wait()
	f.start()
}

func (f *fleet) make(id table.PartitionID, members []table.NodeID) {
	if f.groups[id] != nil {
		return
	}
	for _, m := range members {
		f.held[replicaKey{m, id}] = true
	}
	f.groups[id] = &group{epoch: 1, members: slices.Clone(members), leader: members[0], lag: map[table.NodeID]int{}}
}

// fault notes that something happened that must not.
func (f *fleet) fault(format string, args ...any) {
	f.faults = append(f.faults, fmt.Sprintf(format, args...))
}

// reach makes one call of a controller's life to a node. At the crash the life
// ends, and the call is kept for later.
func reach[T any](f *fleet, life int, node table.NodeID, do func() (T, error)) (T, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var none T
	if life != f.life {
		return none, errGone
	}
	f.points++
	if f.crashAt >= 0 {
		if f.crashAt--; f.crashAt < 0 {
			f.late = append(f.late, func() {
				f.mu.Lock()
				defer f.mu.Unlock()
				_, _ = do()
			})
			f.life++
			f.crashed <- struct{}{}
			return none, errGone
		}
	}
	if f.dead[node] {
		return none, errGone
	}
	return do()
}

type fleetNodes struct {
	f    *fleet
	life int
}

func (n fleetNodes) Host(row catalog.Node) Host {
	return &fleetHost{f: n.f, life: n.life, node: row.ID}
}

type fleetHost struct {
	Host
	f    *fleet
	life int
	node table.NodeID
}

// led finds a group that the node leads; f.mu is held.
func (h *fleetHost) led(id table.PartitionID) (*group, error) {
	g := h.f.groups[id]
	if g == nil || !g.holds(h.node) {
		return nil, &regionnode.Stale{Partition: id, Reason: "not on this node"}
	}
	if h.f.dead[g.leader] {
		for _, m := range g.members {
			if !h.f.dead[m] {
				g.leader = m
			}
		}
	}
	if g.leader != h.node {
		return nil, &regionnode.NotLeader{Partition: id, Leader: g.leader}
	}
	well := 0
	for _, m := range g.members {
		if !h.f.dead[m] {
			well++
		}
	}
	if 2*well <= len(g.members) {
		return nil, &regionnode.NotLeader{Partition: id}
	}
	return g, nil
}

func (g *group) holds(id table.NodeID) bool {
	return slices.Contains(g.members, id) || slices.Contains(g.learners, id)
}

func (h *fleetHost) CreatePartition(_ context.Context, s *Spec) error {
	_, err := reach(h.f, h.life, h.node, func() (struct{}, error) {
		h.f.make(s.Partition, s.Replicas)
		h.f.held[replicaKey{h.node, s.Partition}] = true
		return struct{}{}, nil
	})
	return err
}

func (h *fleetHost) DestroyPartition(_ context.Context, id table.PartitionID) error {
	_, err := reach(h.f, h.life, h.node, func() (struct{}, error) {
		delete(h.f.held, replicaKey{h.node, id})
		return struct{}{}, nil
	})
	return err
}

func (h *fleetHost) SetDescriptor(_ context.Context, r *DescriptorRequest) error {
	_, err := reach(h.f, h.life, h.node, func() (*group, error) { return h.led(r.Partition) })
	return err
}

// Ping passes no point: it changes nothing.
func (h *fleetHost) Ping(context.Context) (*Holdings, error) {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if h.f.dead[h.node] || h.life != h.f.life {
		return nil, errGone
	}
	out := &Holdings{}
	for id, g := range h.f.groups {
		if h.f.held[replicaKey{h.node, id}] {
			out.Held++
		}
		if g.leader == h.node {
			out.Led++
		}
	}
	return out, nil
}

func (h *fleetHost) CreateLearner(_ context.Context, r *LearnerRequest) error {
	h.f.mu.Lock()
	if h.f.onAdd != nil && h.life == h.f.life {
		h.f.onAdd(h.node)
	}
	h.f.mu.Unlock()
	_, err := reach(h.f, h.life, h.node, func() (struct{}, error) {
		k := replicaKey{h.node, r.Partition}
		h.f.past[k], h.f.held[k] = max(h.f.past[k], r.Epoch), true
		return struct{}{}, nil
	})
	return err
}

func (h *fleetHost) Membership(_ context.Context, r *MembershipRequest) (*Membership, error) {
	return reach(h.f, h.life, h.node, func() (*Membership, error) {
		g, err := h.led(r.Partition)
		if err != nil {
			return nil, err
		}
		out := &Membership{Epoch: g.epoch, Members: slices.Clone(g.members), Learners: slices.Clone(g.learners), Leader: h.node}
		for _, id := range append(slices.Clone(g.members), g.learners...) {
			if h.f.dead[id] {
				continue
			}
			out.Heard = append(out.Heard, id)
			if g.lag[id] > 0 {
				g.lag[id]--
			} else if h.f.held[replicaKey{id, r.Partition}] {
				out.Caught = append(out.Caught, id)
			}
		}
		return out, nil
	})
}

func (h *fleetHost) ChangeMembers(_ context.Context, r *MembersRequest) error {
	_, err := reach(h.f, h.life, h.node, func() (struct{}, error) { return struct{}{}, h.change(r) })
	return err
}

func (h *fleetHost) change(r *MembersRequest) error {
	g, err := h.led(r.Partition)
	if err != nil {
		return err
	}
	if r.Epoch != g.epoch {
		return &regionnode.Stale{Partition: r.Partition, Reason: "members changed"}
	}
	if slices.Contains(r.Remove, h.node) && len(g.members) > 1 {
		for _, m := range g.members {
			if !slices.Contains(r.Remove, m) && !h.f.dead[m] {
				g.leader = m
				return &regionnode.NotLeader{Partition: r.Partition, Leader: m}
			}
		}
	}
	for _, id := range r.AddLearners {
		if g.holds(id) {
			return apierr.New(apierr.ResourceInUse, "it holds a replica")
		}
		g.learners = append(g.learners, id)
		g.lag[id] = 2
	}
	for _, id := range r.Promote {
		if !slices.Contains(g.learners, id) || g.lag[id] > 0 || !h.f.held[replicaKey{id, r.Partition}] {
			h.f.fault("partition %d promotes %x, which has not caught up", r.Partition, id)
		}
		g.learners = without(g.learners, id)
		g.members = append(g.members, id)
	}
	for _, id := range r.Remove {
		if !g.holds(id) {
			return apierr.New(apierr.ResourceInUse, "it holds no replica")
		}
		g.members, g.learners = without(g.members, id), without(g.learners, id)
	}
	g.epoch++
	g.changes++
	if len(r.Promote)+len(r.Remove) > 1 {
		g.epoch++ // the joint membership ends
	}
	if len(g.members) == 2 {
		h.f.fault("partition %d has two members", r.Partition)
	}
	return nil
}

func without(ids []table.NodeID, id table.NodeID) []table.NodeID {
	return slices.DeleteFunc(slices.Clone(ids), func(x table.NodeID) bool { return x == id })
}

func (h *fleetHost) HandOver(_ context.Context, r *HandOverRequest) error {
	_, err := reach(h.f, h.life, h.node, func() (struct{}, error) {
		g, err := h.led(r.Partition)
		if err != nil {
			return struct{}{}, err
		}
		if !slices.Contains(g.members, r.To) || h.f.dead[r.To] {
			return struct{}{}, apierr.New(apierr.ResourceInUse, "it cannot lead")
		}
		g.leader, g.members = r.To, append([]table.NodeID{r.To}, without(g.members, r.To)...)
		return struct{}{}, nil
	})
	return err
}

func (h *fleetHost) RemoveReplica(_ context.Context, r *RemoveRequest) error {
	_, err := reach(h.f, h.life, h.node, func() (struct{}, error) {
		return struct{}{}, h.f.remove(h.node, r.Partition, r.Epoch)
	})
	return err
}

// remove is Host.DestroyRemoved; f.mu is held.
func (f *fleet) remove(node table.NodeID, id table.PartitionID, epoch uint32) error {
	k := replicaKey{node, id}
	if f.past[k] >= epoch {
		return &regionnode.Stale{Partition: id, Reason: "a later replica"}
	}
	if f.held[k] && f.groups[id].holds(node) {
		f.fault("partition %d loses its replica on %x", id, node)
	}
	delete(f.held, k)
	return nil
}

// sweep does what a node does: it asks for its replicas and destroys orphans.
func (f *fleet) sweep(node table.NodeID) {
	f.mu.Lock()
	r := &catalog.SweepRequest{Node: node}
	for k := range f.held {
		if g := f.groups[k.partition]; k.node == node {
			r.Held = append(r.Held, catalog.HeldReplica{Partition: k.partition, Table: table.ID(k.partition), Members: g.epoch})
		}
	}
	cat := f.cat
	f.mu.Unlock()
	out, err := cat.Sweep(context.Background(), r)
	if err != nil {
		f.t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range out.Orphans {
		_ = f.remove(node, o.Partition, o.Members)
	}
}

// settled tells whether every partition's row is as its group is, with three
// members or five that live, and nothing is under way.
func (f *fleet) settled() error {
	f.mu.Lock()
	cat := f.cat
	f.mu.Unlock()
	place, err := cat.Placement(context.Background())
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(place.Partitions) != len(f.groups) {
		return fmt.Errorf("%d rows of %d partitions", len(place.Partitions), len(f.groups))
	}
	alive := 0
	for _, n := range place.Nodes {
		if !f.dead[n.ID] && n.Takes() {
			alive++
		}
	}
	for _, p := range place.Partitions {
		g := f.groups[p.ID]
		want := 3
		if isSystem(&p) && alive >= 5 {
			want = 5
		}
		a, b := slices.Sorted(slices.Values(p.Replicas)), slices.Sorted(slices.Values(g.members))
		switch {
		case p.Move != nil || len(g.learners) > 0:
			return fmt.Errorf("partition %d is under way: %+v", p.ID, p.Move)
		case !slices.Equal(a, b) || p.Epoch.Members != g.epoch || len(a) != want:
			return fmt.Errorf("partition %d: row %x at %d, group %x at %d, wanted are %d", p.ID, a, p.Epoch.Members, b, g.epoch, want)
		}
		for _, n := range place.Nodes {
			if slices.Contains(g.members, n.ID) && (f.dead[n.ID] || !n.Takes() || !f.held[replicaKey{n.ID, p.ID}]) {
				return fmt.Errorf("partition %d is on %s", p.ID, n.Name)
			}
		}
	}
	return nil
}

// until waits for f to be without an error.
func (f *fleet) until(what string, ok func() error) {
	f.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for err := ok(); err != nil; err = ok() {
		if time.Now().After(deadline) {
			members, _ := f.cat.Members(context.Background())
			f.t.Fatalf("it never came to: %s: %v\n%+v", what, err, members)
		}
		pause(context.Background(), 2*time.Millisecond)
	}
	f.check()
}

func (f *fleet) check() {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.faults) > 0 {
		f.t.Fatal(strings.Join(f.faults, "\n"))
	}
}

// deliver has the calls arrive that were on their way when their controllers
// ended.
func (f *fleet) deliver() {
	f.mu.Lock()
	late := f.late
	f.late = nil
	f.mu.Unlock()
	for _, do := range late {
		do()
	}
	f.check()
}

// fleetKV is a system partition in memory.
type fleetKV struct {
	mu      sync.Mutex
	rows    map[string][]byte
	changed chan struct{}
}

func newFleetKV() *fleetKV {
	return &fleetKV{rows: map[string][]byte{}, changed: make(chan struct{}, 1)}
}

func (kv *fleetKV) Apply(ctx context.Context, changes []catalog.Change) error {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, c := range changes {
		held, there := kv.rows[string(c.Key)]
		if there != (c.Old != nil) || !bytes.Equal(held, c.Old) {
			return catalog.ErrConflict
		}
	}
	for _, c := range changes {
		if c.Value == nil {
			delete(kv.rows, string(c.Key))
		} else {
			kv.rows[string(c.Key)] = c.Value
		}
	}
	raise(kv.changed)
	return nil
}

func (kv *fleetKV) Get(_ context.Context, key []byte) ([]byte, bool, error) {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	v, ok := kv.rows[string(key)]
	return v, ok, nil
}

func (kv *fleetKV) Scan(_ context.Context, prefix []byte) ([]catalog.Pair, error) {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	var out []catalog.Pair
	for k, v := range kv.rows {
		if strings.HasPrefix(k, string(prefix)) {
			out = append(out, catalog.Pair{Key: []byte(k), Value: v})
		}
	}
	sort.Slice(out, func(i, j int) bool { return bytes.Compare(out[i].Key, out[j].Key) < 0 })
	return out, nil
}

func (kv *fleetKV) Changed() <-chan struct{} { return kv.changed }
func (kv *fleetKV) Leads() (uint64, bool)    { return 1, true }
