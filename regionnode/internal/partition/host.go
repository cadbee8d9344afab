package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"antipode/regionnode/internal/keys"
	"antipode/regionnode/internal/liveness"
	"antipode/regionnode/internal/store"
	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/hlc"
)

// ErrClosed answers what reaches a host or a partition that is closed here.
var ErrClosed = errors.New("partition is closed")

// Config is what a Host is made of.
type Config struct {
	// Node is this node's id: the raft id of all its replicas.
	Node   table.NodeID
	Region replication.Region
	// Store and Clock stay the caller's and outlive the host.
	Store *store.Store
	Clock *hlc.Clock
	// Send carries messages to a member on another node; it must not block and
	// may lose them. nil when every partition has this node as its only member.
	Send func(to table.NodeID, partition table.PartitionID, msgs [][]byte)
	// SendSnapshot carries one part of a snapshot to a member's ReceiveSnapshot and
	// returns its answer. It is called by one goroutine, for one part after the
	// other. nil: members that lack what the log has no more stay behind.
	SendSnapshot func(ctx context.Context, to table.NodeID, part []byte) ([]byte, error)
	// SnapshotRate bounds the bytes of snapshots sent in a second, 64 MB when 0;
	// a part has about SnapshotPart bytes, 1 MB when 0.
	SnapshotRate, SnapshotPart uint64
	// TickInterval is raft's tick, 100 ms when 0. Leaders send heartbeats every
	// HeartbeatTicks, 1 when 0, and elections start after once to twice
	// ElectionTicks, 10 when 0, without one. Two members that choose the same tick
	// split the votes: many short ticks make that rare. Below 0 nothing ticks but
	// calls of Tick.
	TickInterval                  time.Duration
	HeartbeatTicks, ElectionTicks int
	// Liveness is what this node knows of the others of its region; the caller
	// tells PeersChanged of its news. With it, groups that have nothing to do sleep,
	// strong reads need no round trip, and a leader whose node is gone is replaced
	// without an election timeout. nil: every group ticks and asks.
	Liveness *liveness.Monitor
	// NoLeases has strong reads ask a majority all the same.
	NoLeases bool
	// Workers process partitions; 0 is one for each processor, at least two.
	Workers int
	// RaftLogBytes is the size at which a raft log is truncated, 8 MB when 0.
	RaftLogBytes uint64
	// MaxRaftLogBytes is the size up to which a raft log is kept for a member that
	// is away, 1 GB when 0. It counts what was appended since the log was opened
	// or last cut off.
	MaxRaftLogBytes uint64
	// MaxCollectionBytes bounds an item collection of a table with local indexes,
	// 10 GB when 0.
	MaxCollectionBytes int64
	// MaxIndexRecords and MaxIndexAge bound how far global indexes may be behind
	// before writes wait for them: 10,000 changes, 10 s when 0.
	MaxIndexRecords uint64
	MaxIndexAge     time.Duration
	// IndexGrace is how long a write, once it is durable, waits for global indexes
	// to have it, so that a reader who comes at once mostly finds it there. 0 does
	// not wait.
	IndexGrace time.Duration
	// SplitScanBytes is how much a second is read to find out where to split a
	// partition and what each half holds, 128 MB when 0.
	SplitScanBytes int64
	Log            *slog.Logger
	// OnChange hears of every change of a partition's leader or term. It is
	// called on a worker and must not block.
	OnChange func(Status)
}

func (c *Config) fill() error {
	if c.Node == 0 || c.Region == "" || c.Store == nil || c.Clock == nil {
		return errors.New("partition: Config needs Node, Region, Store and Clock")
	}
	if c.Send == nil {
		c.Send = func(table.NodeID, table.PartitionID, [][]byte) {}
	}
	if c.SnapshotRate == 0 {
		c.SnapshotRate = 64 << 20
	}
	if c.SnapshotPart == 0 {
		c.SnapshotPart = 1 << 20
	}
	if c.TickInterval == 0 {
		c.TickInterval = 100 * time.Millisecond
	}
	if c.HeartbeatTicks == 0 {
		c.HeartbeatTicks = 1
	}
	if c.ElectionTicks == 0 {
		c.ElectionTicks = 10
	}
	if c.Workers == 0 {
		c.Workers = max(2, runtime.GOMAXPROCS(0))
	}
	if c.RaftLogBytes == 0 {
		c.RaftLogBytes = 8 << 20
	}
	if c.MaxRaftLogBytes == 0 {
		c.MaxRaftLogBytes = 1 << 30
	}
	if c.MaxCollectionBytes == 0 {
		c.MaxCollectionBytes = 10 << 30
	}
	if c.MaxIndexRecords == 0 {
		c.MaxIndexRecords = 10_000
	}
	if c.MaxIndexAge == 0 {
		c.MaxIndexAge = 10 * time.Second
	}
	if c.SplitScanBytes == 0 {
		c.SplitScanBytes = 128 << 20
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.OnChange == nil {
		c.OnChange = func(Status) {}
	}
	return nil
}

// Host runs all replicas of a node.
type Host struct {
	cfg       Config
	scheduler scheduler
	started   uint64 // tells this process's ReadIndex contexts from an earlier one's
	// ctx ends background work, and tasks counts it.
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	// callers counts those inside ReceiveSnapshot.
	callers  sync.WaitGroup
	sender   sender
	receiver receiver

	mu         sync.RWMutex
	closed     bool
	partitions map[table.PartitionID]*Partition
	attention  attention
	// ticked are the partitions that need ticks: several members, or parked
	// records.
	ticked map[table.PartitionID]*Partition
	// broken replicas are out of use; each has its reason. wrecks are those of them
	// that could not be opened, with as much of a descriptor as is known.
	broken map[table.PartitionID]string
	wrecks map[table.PartitionID]*Spec
	// elections paces what happens to many partitions at once.
	elections elections
	// changing are the ids that a Create or Destroy works on.
	changing map[table.PartitionID]chan struct{}
	// births is held from looking which replicas there are to having made or
	// destroyed one, so that a split does not make one at the same time. Who holds
	// it does not wait for a round.
	births sync.Mutex
}

// NewHost opens every partition that the store records. A group of one leads
// soon after.
func NewHost(cfg Config) (*Host, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	h := &Host{
		cfg:        cfg,
		started:    uint64(cfg.Clock.Now().Wall),
		partitions: make(map[table.PartitionID]*Partition),
		ticked:     make(map[table.PartitionID]*Partition),
		changing:   make(map[table.PartitionID]chan struct{}),
		broken:     make(map[table.PartitionID]string),
		wrecks:     make(map[table.PartitionID]*Spec),
	}
	h.sender.wake = make(chan struct{}, 1)
	h.ctx, h.cancel = context.WithCancel(context.Background())
	specs, err := h.recorded()
	if err == nil {
		err = h.loadBroken()
	}
	if err != nil {
		return nil, fmt.Errorf("open partitions: %w", err)
	}
	h.scheduler.start(cfg.Workers)
	for _, spec := range specs {
		_, err := h.open(spec, true)
		if pebble.IsCorruptionError(err) && (len(spec.Members) > 1 || spec.waiting()) {
			h.wrecks[spec.ID] = spec
			h.markBroken(spec.ID, err)
			continue
		}
		if err != nil {
			_ = h.Close() // the first fault tells more
			return nil, err
		}
	}
	h.noteWrecks()
	if cfg.SendSnapshot != nil {
		h.tasks.Go(h.sendSnapshots)
	}
	if cfg.TickInterval > 0 {
		h.tasks.Go(h.tickForever)
	}
	return h, nil
}

func (h *Host) recorded() ([]*Spec, error) {
	it, err := h.cfg.Store.Iterate(keys.Descriptors())
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var specs []*Spec
	for ok := it.First(); ok; ok = it.Next() {
		spec, err := decodeSpec(it.Value())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", keys.Print(it.Key()), err)
		}
		specs = append(specs, spec)
	}
	return specs, it.Error()
}

func (h *Host) open(spec *Spec, recovered bool) (*Partition, error) {
	p, err := newPartition(h, spec)
	if err != nil {
		return nil, fmt.Errorf("open partition %d: %w", spec.ID, err)
	}
	p.rest.recovered = recovered
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil, ErrClosed
	}
	h.partitions[spec.ID] = p
	h.attention.respecified()
	if reason, broken := h.broken[spec.ID]; broken {
		p.inbox.err = errors.New(reason) // ends in its first round
	} else if p.needsTicks() {
		h.ticked[spec.ID] = p
	}
	h.mu.Unlock()
	h.scheduler.notifyLater(p)
	return p, nil
}

// claim keeps other Creates and Destroys of id away until the returned func is
// called.
func (h *Host) claim(ctx context.Context, id table.PartitionID) (func(), error) {
	for {
		h.mu.Lock()
		if h.closed {
			h.mu.Unlock()
			return nil, ErrClosed
		}
		busy, taken := h.changing[id]
		if !taken {
			done := make(chan struct{})
			h.changing[id] = done
			h.mu.Unlock()
			return func() {
				h.mu.Lock()
				delete(h.changing, id)
				h.mu.Unlock()
				close(done)
			}, nil
		}
		h.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// The log of a new partition begins behind this entry, the same on all members.
const (
	firstIndex = 10
	firstTerm  = 5
)

// Create makes this node's replica of a partition, durably. A partition that is
// here already stays as it is. Members make theirs with the same Spec; the first
// of them is preferred as leader, and leads at once if the others are there.
func (h *Host) Create(ctx context.Context, spec Spec) error {
	if spec.ID == 0 || len(spec.Members) == 0 {
		return errors.New("create partition: Spec needs ID and Members")
	}
	release, err := h.claim(ctx, spec.ID)
	if err != nil {
		return err
	}
	defer release()
	if _, ok := h.Partition(spec.ID); ok {
		return nil
	}
	if h.wreck(spec.ID) != nil {
		return h.outOfUse(spec.ID)
	}
	spec.followStreams(0)
	h.births.Lock()
	defer h.births.Unlock()
	past, err := h.past(spec.ID)
	if err == nil {
		err = h.recordFrom(&spec, appliedState{Index: firstIndex, Term: firstTerm}, past)
	}
	if err != nil {
		return fmt.Errorf("create partition %d: %w", spec.ID, err)
	}
	p, err := h.open(&spec, false)
	if err == nil && spec.Members[0] == h.cfg.Node {
		p.campaign()
	}
	return err
}

// recordReplica adds to b what a new replica starts from, with what the node
// remembers of earlier ones.
func recordReplica(b *pebble.Batch, spec *Spec, state *appliedState, past replicaPast) error {
	raw, err := encodeSpec(spec)
	if err != nil {
		return err
	}
	if err := b.Set(keys.Descriptor(spec.ID), raw, nil); err != nil {
		return err
	}
	if err := b.Set(keys.Applied(spec.ID), state.append(nil), nil); err != nil {
		return err
	}
	hard := store.HardState{Term: state.Term, Commit: state.Index}
	if past.term >= hard.Term {
		hard.Term, hard.Vote = past.term, past.vote
	}
	return store.CreateRaftLog(b, spec.ID, state.Index, state.Term, hard)
}

// Partition is this node's replica of a partition.
func (h *Host) Partition(id table.PartitionID) (*Partition, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	p, ok := h.partitions[id]
	return p, ok
}

// Partitions are all replicas of this node, in no order.
func (h *Host) Partitions() []*Partition {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := make([]*Partition, 0, len(h.partitions))
	for _, p := range h.partitions {
		out = append(out, p)
	}
	return out
}

// Receive takes one message that another node's Send was given. What is broken,
// or for a partition that is not here, is dropped as a network may.
func (h *Host) Receive(id table.PartitionID, msg []byte) {
	p, ok := h.Partition(id)
	if !ok {
		return
	}
	if err := p.receive(msg); err != nil {
		h.cfg.Log.Warn("broken message of another member", "partition", id, "error", err)
	}
}

// Tick moves raft's time on in every partition that depends on time. The host
// calls it itself unless TickInterval is below 0.
func (h *Host) Tick() {
	h.mu.RLock()
	for _, p := range h.ticked {
		p.tick()
	}
	h.mu.RUnlock()
	h.elections.tick()
}

func (h *Host) tickForever() {
	t := time.NewTicker(h.cfg.TickInterval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			h.Tick()
		case <-h.ctx.Done():
			return
		}
	}
}

func (h *Host) isTicked(p *Partition) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.ticked[p.id] == p
}

// setTicked adds or removes a partition that is still here.
func (h *Host) setTicked(p *Partition, on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.partitions[p.id] != p {
		return
	}
	if on {
		h.ticked[p.id] = p
	} else {
		delete(h.ticked, p.id)
	}
}

// Close ends all work. Writes in flight have an unknown outcome.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	h.tasks.Wait()
	h.callers.Wait()
	h.receiver.drop()
	for _, p := range h.Partitions() {
		p.close()
	}
	h.scheduler.stop()
	return nil
}
