package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode"
	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/internal/rpc"
	"antipode/regionnode/internal/store"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/hlc"
)

// world is a deployment in one process: real catalogs, controllers and
// partitions; calls between regions are direct, links are small loops. Every
// call of a controller passes a point at which it can be made to crash.
type world struct {
	t       testing.TB
	regions map[string]*region
	names   []string

	mu sync.Mutex
	// crashAt counts down the points that the victim passes; at 0 it crashes.
	crashAt int
	victim  string
	crashed chan string // says where
	points  []string    // all that the victim passed
	cut     map[[2]string]bool
	healed  *sync.Cond
	later   atomic.Int64 // by how much the catalogs' clocks are ahead
	// hold, if set, holds up every SplitPartition until it is closed.
	hold chan struct{}
	// pool, if set, carries every call to a region or node over connections.
	pool *rpc.Pool
}

func newWorld(t testing.TB, names ...string) *world { return newWorldOver(t, nil, names...) }

func newWorldOver(t testing.TB, pool *rpc.Pool, names ...string) *world {
	w := &world{pool: pool, t: t, regions: map[string]*region{}, names: names, crashAt: -1, crashed: make(chan string, 1), cut: map[[2]string]bool{}}
	w.healed = sync.NewCond(&w.mu)
	for _, n := range names {
		w.regions[n] = &region{w: w, name: n, fs: vfs.NewMem()}
		w.regions[n].start()
	}
	t.Cleanup(func() {
		w.heal()
		for _, r := range w.regions {
			r.stop()
		}
	})
	return w
}

// Names and Region make world the Regions of every controller.
type abroad struct {
	w    *world
	from *region
	life int
}

func (a abroad) Names() []string { return a.w.names }

func (a abroad) Region(name string) Region {
	r := a.w.regions[name]
	if r == nil {
		return nil
	}
	if a.w.pool != nil {
		r.mu.RLock()
		defer r.mu.RUnlock()
		// The first address serves nothing: the way leads past it.
		return RemoteRegion(a.w.pool, []string{"127.0.0.1:1", r.addr})
	}
	return &hookedRegion{a, name}
}

func (a abroad) Describe(ctx context.Context, region, name string) (*table.Descriptor, error) {
	return a.Region(region).Describe(ctx, name)
}

func (a abroad) Update(ctx context.Context, region string, u *catalog.GlobalUpdate) (*table.Descriptor, error) {
	return a.Region(region).Update(ctx, u)
}

var errCrash = errors.New("crashed")

// point is passed before and after each call that a controller makes. A life
// that has ended passes none.
func (w *world) point(r *region, life int, label string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if life != r.life {
		return errCrash
	}
	if r.name != w.victim {
		return nil
	}
	w.points = append(w.points, label)
	if w.crashAt < 0 {
		return nil
	}
	if w.crashAt--; w.crashAt >= 0 {
		return nil
	}
	r.life++
	w.crashed <- label
	return errCrash
}

// hook makes one call between two points.
func hook[T any](w *world, r *region, life int, label string, f func() (T, error)) (T, error) {
	var none T
	if err := w.point(r, life, "before "+label); err != nil {
		return none, err
	}
	v, err := f()
	if crash := w.point(r, life, "after "+label); crash != nil {
		return none, crash
	}
	return v, err
}

// cutLink holds up what one region ships to another.
func (w *world) cutLink(from, to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut[[2]string{from, to}] = true
}

func (w *world) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.cut)
	w.healed.Broadcast()
}

// gate lets nothing use a life of a region that is ending, and its end wait for
// what does.
type gate struct {
	mu    sync.Mutex
	users int
	shut  bool
	empty *sync.Cond
}

var errDown = errors.New("the region is down")

func newGate() *gate {
	g := &gate{}
	g.empty = sync.NewCond(&g.mu)
	return g
}

// through calls f unless the gate is shut.
func (g *gate) through(f func() error) error {
	g.mu.Lock()
	if g.shut {
		g.mu.Unlock()
		return errDown
	}
	g.users++
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.users--
		g.empty.Broadcast()
	}()
	return f()
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	for g.users > 0 {
		g.empty.Wait()
	}
}

// region is one region of one node.
type region struct {
	w    *world
	name string
	fs   vfs.FS
	life int // counts crashes; guarded by w.mu

	// mu guards what changes with a restart.
	mu         sync.RWMutex
	store      *store.Store
	host       *partition.Host
	catalog    *catalog.Catalog
	controller *Controller
	changed    chan struct{}
	stopAll    context.CancelFunc
	running    sync.WaitGroup
	linked     map[string]bool
	gate       *gate
	addr       string // of its rpc listener, with a pool
}

// use calls f with the region's host while that is up.
func (r *region) use(f func(*partition.Host, *catalog.Catalog) error) error {
	r.mu.RLock()
	g, host, cat := r.gate, r.host, r.catalog
	r.mu.RUnlock()
	return g.through(func() error { return f(host, cat) })
}

func (r *region) node() catalog.Node {
	return catalog.Node{ID: catalog.BootstrapNode(r.name, 0), Name: r.name, Addr: r.name}
}

func (r *region) start() {
	t := r.w.t
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.w.mu.Lock()
	life := r.life
	r.w.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	r.stopAll, r.linked, r.changed = cancel, map[string]bool{}, make(chan struct{}, 1)
	clock, err := hlc.New(hlc.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if r.store, err = store.Open(store.Config{Dir: "db", FS: r.fs}); err != nil {
		t.Fatal(err)
	}
	changed := r.changed
	r.host, err = partition.NewHost(partition.Config{Node: r.node().ID, Region: replication.Region(r.name), Store: r.store, Clock: clock,
		OnChange: func(partition.Status) { raise(changed) }})
	if err != nil {
		t.Fatal(err)
	}
	id := catalog.SystemPartition(r.name)
	err = r.host.Create(ctx, partition.Spec{ID: id, Table: table.ID(id), Epoch: regionnode.Epoch{Range: 1, Members: 1},
		Members: []table.NodeID{r.node().ID}, Incarnation: uint64(id), Generation: replication.Generation(id)})
	if err != nil {
		t.Fatal(err)
	}
	system, _ := r.host.Partition(id)
	r.gate = newGate()
	kv := &systemKV{p: system, changed: changed, gate: r.gate}
	others := abroad{r.w, r, life}
	r.catalog, err = catalog.New(catalog.Config{KV: &hookedKV{kv, r, life}, Region: r.name, Partitions: 2, Abroad: others,
		Clock: func() time.Time { return time.Now().Add(time.Duration(r.w.later.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	r.controller, err = New(Config{Catalog: r.catalog, Nodes: hookedNodes{r, life}, Regions: others, Tick: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if r.w.pool != nil {
		r.serve(life)
	}
	r.running.Go(func() { r.controller.Run(ctx) })
	r.relinkLocked(ctx)
	bare, err := catalog.New(catalog.Config{KV: kv, Region: r.name})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bare.RegisterNode(ctx, r.node()); err != nil {
		t.Fatal(err)
	}
}

// serve answers for the region and its node at a new address.
func (r *region) serve(life int) {
	s := rpc.NewServer(rpc.Config{})
	ServeHost(s, &testHost{r, life})
	finder, err := catalog.NewClient(catalog.ClientConfig{Pool: r.w.pool, Local: r.catalog})
	if err != nil {
		r.w.t.Fatal(err)
	}
	if r.name == west {
		Serve(s, r.controller) // only its leader answers
	} else {
		ServeFront(s, r.controller.Region(), finder, r.w.pool)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.w.t.Fatal(err)
	}
	r.addr = l.Addr().String()
	r.running.Go(func() { _ = s.Serve(l) })
	stop := r.stopAll
	r.stopAll = func() { s.Close(); stop() }
}

func (r *region) stop() {
	r.mu.Lock()
	r.stopAll()
	r.mu.Unlock()
	r.w.mu.Lock()
	r.w.healed.Broadcast()
	r.w.mu.Unlock()
	r.mu.RLock()
	host, st, g := r.host, r.store, r.gate
	r.mu.RUnlock()
	g.close()
	if err := host.Close(); err != nil {
		r.w.t.Error(err)
	}
	r.running.Wait()
	if err := st.Close(); err != nil {
		r.w.t.Error(err)
	}
}

// restart ends a life and begins the next on the same disk.
func (r *region) restart() {
	r.stop()
	r.start()
}

func (r *region) now() (*partition.Host, *catalog.Catalog, *Controller) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.host, r.catalog, r.controller
}

func raise(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// systemKV is a real system partition of one replica.
type systemKV struct {
	p       *partition.Partition
	changed chan struct{}
	gate    *gate
}

func (kv *systemKV) Apply(ctx context.Context, changes []catalog.Change) error {
	ops := make([]partition.RawOp, len(changes))
	for i, c := range changes {
		ops[i] = partition.RawOp{Key: c.Key, Value: c.Value, Expect: c.Old, ExpectAbsent: c.Old == nil}
	}
	err := kv.gate.through(func() error { return kv.p.ApplyRaw(ctx, ops) })
	if errors.Is(err, partition.ErrConflict) {
		return catalog.ErrConflict
	}
	return err
}

func (kv *systemKV) Get(ctx context.Context, key []byte) (v []byte, ok bool, err error) {
	err = kv.gate.through(func() error {
		v, ok, err = kv.p.GetRaw(ctx, key)
		return err
	})
	return v, ok, err
}

func (kv *systemKV) Scan(ctx context.Context, prefix []byte) ([]catalog.Pair, error) {
	var raw []partition.RawPair
	err := kv.gate.through(func() (err error) {
		raw, err = kv.p.ScanRaw(ctx, prefix)
		return err
	})
	out := make([]catalog.Pair, len(raw))
	for i, p := range raw {
		out[i] = catalog.Pair{Key: p.Key, Value: p.Value}
	}
	return out, err
}

func (kv *systemKV) Changed() <-chan struct{} { return kv.changed }

func (kv *systemKV) Leads() (uint64, bool) {
	s := kv.p.Status()
	return s.Term, s.Leading
}

// hookedKV is a system partition whose changes pass points.
type hookedKV struct {
	*systemKV
	r    *region
	life int
}

func (kv *hookedKV) Apply(ctx context.Context, changes []catalog.Change) error {
	_, err := hook(kv.r.w, kv.r, kv.life, "a change of the catalog", func() (struct{}, error) { return struct{}{}, kv.systemKV.Apply(ctx, changes) })
	return err
}

// relinkLocked starts a shipping loop for every peer of every partition that has
// none. The caller holds mu.
func (r *region) relinkLocked(ctx context.Context) {
	for _, p := range r.host.Partitions() {
		for _, to := range p.Spec().Log.Peers {
			key := fmt.Sprint(p.ID(), to)
			if !r.linked[key] {
				r.linked[key] = true
				r.running.Go(func() { r.ship(ctx, p, string(to)) })
			}
		}
	}
}

// ship sends one partition's log to one region until the link is closed.
func (r *region) ship(ctx context.Context, p *partition.Partition, to string) {
	peer := replication.Region(to)
	r.mu.RLock()
	g := r.gate
	r.mu.RUnlock()
	for ctx.Err() == nil && slices.Contains(p.Spec().Log.Peers, peer) {
		at, open := p.Positions()[peer]
		if !open {
			time.Sleep(time.Millisecond) // between a link's two halves
			continue
		}
		r.w.mu.Lock()
		for r.w.cut[[2]string{r.name, to}] && ctx.Err() == nil {
			r.w.healed.Wait()
		}
		r.w.mu.Unlock()
		changed := p.LogChanged(at)
		var records []replication.Record
		var end replication.Position
		err := g.through(func() (err error) {
			records, end, err = p.ReadLog(ctx, at, 100, 1<<20)
			return err
		})
		if err == nil && len(records) > 0 {
			err = r.w.regions[to].apply(ctx, p.Spec().Descriptor.Name, records)
		}
		if err == nil && end != at {
			err = g.through(func() error { return p.SetPosition(ctx, peer, end) })
			if err == nil {
				continue
			}
		}
		if err != nil {
			pause(ctx, 5*time.Millisecond)
			continue
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(200 * time.Millisecond): // the link may have been closed
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.linked, fmt.Sprint(p.ID(), to))
}

// apply takes records of another region in.
func (r *region) apply(ctx context.Context, name string, records []replication.Record) error {
	return r.use(func(host *partition.Host, cat *catalog.Catalog) error {
		for _, record := range records {
			p, _, err := owner(ctx, host, cat, name, record.Key)
			if err != nil {
				return err
			}
			if err := p.ApplyRemote(ctx, []replication.Record{record}); err != nil {
				return err
			}
		}
		return nil
	})
}

// owner finds the partition that holds a key, and how a request names it.
func owner(ctx context.Context, host *partition.Host, cat *catalog.Catalog, name string, key []byte) (*partition.Partition, regionnode.Target, error) {
	var target regionnode.Target
	d, err := cat.DescribeTable(ctx, name)
	if err != nil {
		return nil, target, err
	}
	m, err := cat.Partitions(ctx, d.ID)
	if err != nil {
		return nil, target, err
	}
	for _, p := range m.Partitions {
		if p.Start <= table.Hash(key) {
			target = regionnode.Target{Table: d.ID, Partition: p.ID, Range: p.Epoch.Range}
		}
	}
	p, ok := host.Partition(target.Partition)
	if !ok {
		return nil, target, &regionnode.Stale{Partition: target.Partition, Reason: "not here"}
	}
	return p, target, nil
}

func keyOf(pk string) (item.Item, []byte) {
	it := item.Make([]item.Field{{Name: "pk", Value: item.Str(pk)}})
	key, err := table.KeySchema{Hash: []string{"pk"}}.Key(nil, it)
	if err != nil {
		panic(err)
	}
	return it, key
}

// put writes one item; del deletes one.
func (r *region) put(name, pk, value string) error {
	it, key := keyOf(pk)
	return r.write(name, regionnode.Write{Op: regionnode.PutOp, Key: key, Item: it.Set("v", item.Str(value)).Encode()})
}

func (r *region) del(name, pk string) error {
	_, key := keyOf(pk)
	return r.write(name, regionnode.Write{Op: regionnode.DeleteOp, Key: key})
}

func (r *region) write(name string, w regionnode.Write) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return r.use(func(host *partition.Host, cat *catalog.Catalog) error {
		p, target, err := owner(ctx, host, cat, name, w.Key)
		if err != nil {
			return err
		}
		_, err = p.Write(ctx, &regionnode.WriteRequest{Target: target, Write: w})
		return err
	})
}

// items are all items of a table in this region: v by pk.
func (r *region) items(name string) (out map[string]string, err error) {
	err = r.use(func(host *partition.Host, cat *catalog.Catalog) error {
		out, err = itemsOf(context.Background(), host, cat, name)
		return err
	})
	return out, err
}

func itemsOf(ctx context.Context, host *partition.Host, cat *catalog.Catalog, name string) (map[string]string, error) {
	d, err := cat.DescribeTable(ctx, name)
	if err != nil {
		return nil, err
	}
	m, err := cat.Partitions(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, at := range m.Partitions {
		p, ok := host.Partition(at.ID)
		if !ok {
			return nil, fmt.Errorf("partition %d is not here", at.ID)
		}
		resp, err := p.Range(ctx, &regionnode.RangeRequest{Target: regionnode.Target{Table: d.ID, Partition: at.ID, Range: at.Epoch.Range}, Consistent: true})
		if err != nil {
			return nil, err
		}
		for _, e := range resp.Items {
			pk, _, _ := e.Get("pk")
			v, _, _ := e.Get("v")
			out[pk.Text()] = v.Text()
		}
	}
	return out, nil
}

// until waits for f, looking again whenever a catalog or a moment has passed.
func (w *world) until(what string, f func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !f() {
		if time.Now().After(deadline) {
			w.t.Fatalf("it never came to: %s\n%s", what, w.dump())
		}
		pause(context.Background(), 2*time.Millisecond)
	}
}

func (w *world) dump() string {
	out := ""
	for _, n := range w.names {
		_, cat, _ := w.regions[n].now()
		ds, err := cat.Descriptors(context.Background())
		out += fmt.Sprintln(n, err)
		for _, d := range ds {
			out += fmt.Sprintf("  %s %s gen %d global %+v\n", d.Name, d.Status, d.Generation, d.Global)
		}
		for _, d := range ds {
			rows, _ := cat.ListPartitions(context.Background(), d.Name)
			for _, p := range rows {
				out += fmt.Sprintf("  partition %+v %+v %s\n", p.Row, p.Row.Split, p.Refusal)
			}
		}
		jobs, _ := cat.Jobs(context.Background())
		for _, j := range jobs {
			s, _ := j.Replica()
			out += fmt.Sprintf("  job %+v\n", s)
		}
	}
	return out
}

// settled tells whether a table is ACTIVE in exactly these regions, and all of
// them agree on that.
func (w *world) settled(name string, members ...string) bool {
	slices.Sort(members)
	for _, n := range w.names {
		_, cat, _ := w.regions[n].now()
		d, err := cat.DescribeTable(context.Background(), name)
		if !slices.Contains(members, n) {
			if err == nil {
				return false
			}
			continue
		}
		if err != nil || d.Status != table.Active {
			return false
		}
		var has []string
		if d.Global == nil {
			has = []string{n}
		} else {
			for _, r := range d.Global.Replicas {
				if r.Status != table.Active {
					return false
				}
				has = append(has, r.Region)
			}
		}
		slices.Sort(has)
		if !slices.Equal(has, members) {
			return false
		}
	}
	return true
}

// hookedNodes is a region's one node; each call passes points.
type hookedNodes struct {
	r    *region
	life int
}

func (n hookedNodes) Host(catalog.Node) Host {
	if n.r.w.pool != nil {
		n.r.mu.RLock()
		defer n.r.mu.RUnlock()
		return RemoteHost(n.r.w.pool, "", n.r.addr)
	}
	return &testHost{n.r, n.life}
}

// testHost does what package node does, on the region's one host.
type testHost struct {
	r    *region
	life int
}

func (h *testHost) call(label string, f func(host *partition.Host) error) error {
	_, err := hook(h.r.w, h.r, h.life, label, func() (struct{}, error) {
		return struct{}{}, h.r.use(func(host *partition.Host, _ *catalog.Catalog) error { return f(host) })
	})
	return err
}

func led(host *partition.Host, id table.PartitionID) (*partition.Partition, error) {
	p, ok := host.Partition(id)
	if !ok {
		return nil, &regionnode.Stale{Partition: id, Reason: "not here"}
	}
	if s := p.Status(); !s.Leading {
		return nil, &regionnode.NotLeader{Partition: id, Leader: s.Leader}
	}
	return p, nil
}

func (h *testHost) CreatePartition(ctx context.Context, s *Spec) error {
	return h.call("CreatePartition", func(host *partition.Host) error {
		return host.Create(ctx, partition.Spec{ID: s.Partition, Table: s.Table, Start: s.Start, End: s.End,
			Epoch: regionnode.Epoch{Range: 1, Members: 1}, Members: s.Replicas, Descriptor: s.Descriptor,
			Incarnation: s.Incarnation, Generation: s.Generation,
			Log: partition.LogConfig{On: s.Log.Changes, Stream: s.Log.OldImages, Tombstones: s.Log.Tombstones}})
	})
}

func (h *testHost) DestroyPartition(ctx context.Context, id table.PartitionID) error {
	return h.call("DestroyPartition", func(host *partition.Host) error { return host.Destroy(ctx, id) })
}

func (h *testHost) SetDescriptor(ctx context.Context, r *DescriptorRequest) error {
	return h.call("SetDescriptor", func(host *partition.Host) error {
		p, err := led(host, r.Partition)
		if err != nil {
			return err
		}
		if err := p.SetDescriptor(ctx, r.Descriptor); err != nil {
			return err
		}
		log := p.Spec().Log
		log.On, log.Stream, log.Tombstones = r.Log.Changes, r.Log.OldImages, r.Log.Tombstones
		return p.ConfigureLog(ctx, log)
	})
}

func (h *testHost) OpenLink(ctx context.Context, r *LinkRequest) (out *Progress, err error) {
	err = h.call("OpenLink", func(host *partition.Host) error {
		p, err := led(host, r.Partition)
		if err != nil {
			return err
		}
		to, log := replication.Region(r.To), p.Spec().Log
		if !slices.Contains(log.Peers, to) {
			log.Peers = append(slices.Clone(log.Peers), to)
			slices.Sort(log.Peers)
			if err := p.ConfigureLog(ctx, log); err != nil {
				return err
			}
		}
		if _, fixed := p.Positions()[to]; !fixed {
			start := p.LogEnd()
			if r.FromStart {
				start = p.LogStart()
			}
			if err := p.SetPosition(ctx, to, start); err != nil {
				return err
			}
		}
		h.relink()
		out, err = progressOf(p, r.To)
		return err
	})
	return out, err
}

// relink starts what ships the links that are open.
func (h *testHost) relink() {
	h.r.mu.Lock()
	defer h.r.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	stop := h.r.stopAll
	h.r.stopAll = func() { cancel(); stop() }
	h.r.relinkLocked(ctx)
}

func progressOf(p *partition.Partition, to string) (*Progress, error) {
	at, ok := p.Positions()[replication.Region(to)]
	if !ok {
		return nil, fmt.Errorf("partition %d has no link to %s", p.ID(), to)
	}
	return &Progress{Partition: p.ID(), Start: at, End: p.LogEnd(), Acked: at}, nil
}

func (h *testHost) CloseLink(ctx context.Context, r *LinkRequest) error {
	return h.call("CloseLink", func(host *partition.Host) error {
		p, err := led(host, r.Partition)
		if err != nil {
			return err
		}
		log := p.Spec().Log
		log.Peers = slices.DeleteFunc(slices.Clone(log.Peers), func(x replication.Region) bool { return x == replication.Region(r.To) })
		return p.ConfigureLog(ctx, log)
	})
}

func (h *testHost) LinkProgress(_ context.Context, r *LinkRequest) (out *Progress, err error) {
	err = h.call("LinkProgress", func(host *partition.Host) error {
		p, err := led(host, r.Partition)
		if err == nil {
			out, err = progressOf(p, r.To)
		}
		return err
	})
	return out, err
}

func (h *testHost) Backfill(ctx context.Context, r *BackfillRequest) (out *BackfillResponse, err error) {
	err = h.call("Backfill", func(host *partition.Host) error {
		p, err := led(host, r.Partition)
		if err != nil {
			return err
		}
		records, more, err := p.ScanVersions(ctx, r.After, 7, 1<<20)
		if err != nil {
			return err
		}
		out = &BackfillResponse{After: r.After, Done: !more, Records: len(records)}
		if len(records) > 0 {
			out.After = records[len(records)-1].Key
		}
		return h.r.w.regions[r.To].apply(ctx, r.Table, records)
	})
	return out, err
}

func (h *testHost) SplitPartition(ctx context.Context, r *SplitRequest) (out *SplitOutcome, err error) {
	err = h.call("SplitPartition", func(host *partition.Host) error {
		p, err := led(host, r.Partition)
		if err != nil {
			return err
		}
		if hold := h.r.w.hold; hold != nil {
			<-hold
		}
		done, err := p.Split(ctx, partitionSplit(r))
		h.relink()
		out, err = outcomeOf(done.At, err)
		if _, stale := errors.AsType[*regionnode.Stale](err); stale && p.Status().Epoch.Range > r.Range {
			out, err = &SplitOutcome{Refusal: "its range has changed"}, nil
		}
		return err
	})
	return out, err
}

func partitionSplit(r *SplitRequest) partition.SplitRequest {
	return partition.SplitRequest{Range: r.Range, Right: r.Right, LeftGeneration: r.LeftGeneration, RightGeneration: r.RightGeneration, At: r.At, ByLoad: r.ByLoad}
}

func outcomeOf(at uint64, err error) (*SplitOutcome, error) {
	if cannot, ok := errors.AsType[*partition.CannotSplit](err); ok {
		return &SplitOutcome{Refusal: cannot.Reason, Never: cannot.Never}, nil
	}
	return &SplitOutcome{At: at}, err
}

func (h *testHost) CancelSplit(ctx context.Context, r *SplitRequest) (out *SplitOutcome, err error) {
	err = h.call("CancelSplit", func(host *partition.Host) error {
		p, err := led(host, r.Partition)
		if err != nil {
			return err
		}
		done, err := p.CancelSplit(ctx, partitionSplit(r))
		if out = new(SplitOutcome); done != nil {
			out.At = done.At
		}
		return err
	})
	return out, err
}

// hookedRegion is a region as another one calls it; each call passes points.
type hookedRegion struct {
	a  abroad
	to string
}

func (h *hookedRegion) real() Region {
	_, _, c := h.a.w.regions[h.to].now()
	return c.Region()
}

func over[T any](h *hookedRegion, label string, f func(Region) (T, error)) (T, error) {
	return hook(h.a.w, h.a.from, h.a.life, label+" in "+h.to, func() (T, error) { return f(h.real()) })
}

func (h *hookedRegion) Describe(ctx context.Context, name string) (*table.Descriptor, error) {
	return over(h, "Describe", func(r Region) (*table.Descriptor, error) { return r.Describe(ctx, name) })
}

func (h *hookedRegion) Update(ctx context.Context, u *catalog.GlobalUpdate) (*table.Descriptor, error) {
	return over(h, "Update", func(r Region) (*table.Descriptor, error) { return r.Update(ctx, u) })
}

func (h *hookedRegion) CreateReplica(ctx context.Context, q *ReplicaRequest) error {
	_, err := over(h, "CreateReplica", func(r Region) (struct{}, error) { return struct{}{}, r.CreateReplica(ctx, q) })
	return err
}

func (h *hookedRegion) SetGlobal(ctx context.Context, q *ReplicaRequest) error {
	_, err := over(h, "SetGlobal", func(r Region) (struct{}, error) { return struct{}{}, r.SetGlobal(ctx, q) })
	return err
}

func (h *hookedRegion) DropReplica(ctx context.Context, q *GroupRequest) error {
	_, err := over(h, "DropReplica", func(r Region) (struct{}, error) { return struct{}{}, r.DropReplica(ctx, q) })
	return err
}

func (h *hookedRegion) OpenLinks(ctx context.Context, q *LinksRequest) ([]Progress, error) {
	return over(h, "OpenLinks", func(r Region) ([]Progress, error) { return r.OpenLinks(ctx, q) })
}

func (h *hookedRegion) CloseLinks(ctx context.Context, q *LinksRequest) error {
	_, err := over(h, "CloseLinks", func(r Region) (struct{}, error) { return struct{}{}, r.CloseLinks(ctx, q) })
	return err
}

func (h *hookedRegion) LinkProgress(ctx context.Context, q *LinksRequest) ([]Progress, error) {
	return over(h, "LinkProgress", func(r Region) ([]Progress, error) { return r.LinkProgress(ctx, q) })
}
