package catalog

import (
	"bytes"
	"context"
	"errors"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/internal/store"
	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/hlc"
)

const testRegion = "us-east-1"

// systemKV is a real system partition of one replica.
type systemKV struct {
	p       *partition.Partition
	changed chan struct{}
}

func (kv *systemKV) Apply(ctx context.Context, changes []Change) error {
	ops := make([]partition.RawOp, len(changes))
	for i, c := range changes {
		ops[i] = partition.RawOp{Key: c.Key, Value: c.Value, Expect: c.Old, ExpectAbsent: c.Old == nil}
	}
	err := kv.p.ApplyRaw(ctx, ops)
	if errors.Is(err, partition.ErrConflict) {
		return ErrConflict
	}
	return err
}

func (kv *systemKV) Get(ctx context.Context, key []byte) ([]byte, bool, error) {
	return kv.p.GetRaw(ctx, key)
}

func (kv *systemKV) Scan(ctx context.Context, prefix []byte) ([]Pair, error) {
	raw, err := kv.p.ScanRaw(ctx, prefix)
	out := make([]Pair, len(raw))
	for i, r := range raw {
		out[i] = Pair{r.Key, r.Value}
	}
	return out, err
}

func (kv *systemKV) Changed() <-chan struct{} { return kv.changed }

func (kv *systemKV) Leads() (uint64, bool) {
	s := kv.p.Status()
	return s.Term, s.Leading
}

// openSystem opens (and on an empty disk makes) a system partition.
func openSystem(t testing.TB, fs vfs.FS) (kv KV, stop func()) {
	t.Helper()
	s, err := store.Open(store.Config{Dir: "db", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	clock, err := hlc.New(hlc.Config{})
	if err != nil {
		t.Fatal(err)
	}
	host, err := partition.NewHost(partition.Config{Node: 1, Region: testRegion, Store: s, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	id := SystemPartition(testRegion)
	err = host.Create(t.Context(), partition.Spec{ID: id, Table: table.ID(id), Epoch: regionnode.Epoch{Range: 1, Members: 1},
		Members: []table.NodeID{1}, Incarnation: uint64(id), Generation: replication.Generation(id)})
	if err != nil {
		t.Fatal(err)
	}
	p, ok := host.Partition(id)
	if !ok {
		t.Fatal("no system partition")
	}
	return &systemKV{p, make(chan struct{}, 1)}, func() {
		if err := errors.Join(host.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	}
}

// memoryKV is a system partition in memory, with faults on demand.
type memoryKV struct {
	mu   sync.Mutex
	rows map[string][]byte
	// lose is asked for each Apply: whether its answer gets lost, and whether it
	// happened all the same.
	lose func() (lost, applied bool)
	// follower makes every call answer NotLeader.
	follower bool
}

func newMemoryKV() *memoryKV { return &memoryKV{rows: map[string][]byte{}} }

var errLost = errors.New("the answer got lost")

func (kv *memoryKV) leads() error {
	if kv.follower {
		return &regionnode.NotLeader{Partition: SystemPartition(testRegion), Leader: 99}
	}
	return nil
}

func (kv *memoryKV) Apply(_ context.Context, changes []Change) error {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	if err := kv.leads(); err != nil {
		return err
	}
	lost, applied := false, true
	if kv.lose != nil {
		lost, applied = kv.lose()
	}
	for _, c := range changes {
		held, there := kv.rows[string(c.Key)]
		if there != (c.Old != nil) || !bytes.Equal(held, c.Old) {
			return ErrConflict
		}
	}
	for _, c := range changes {
		switch {
		case !applied:
		case c.Value == nil:
			delete(kv.rows, string(c.Key))
		default:
			kv.rows[string(c.Key)] = c.Value
		}
	}
	if lost {
		return errLost
	}
	return nil
}

func (kv *memoryKV) Get(_ context.Context, key []byte) ([]byte, bool, error) {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	v, ok := kv.rows[string(key)]
	return v, ok, kv.leads()
}

func (kv *memoryKV) Scan(_ context.Context, prefix []byte) ([]Pair, error) {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	var out []Pair
	for k, v := range kv.rows {
		if strings.HasPrefix(k, string(prefix)) {
			out = append(out, Pair{[]byte(k), v})
		}
	}
	sort.Slice(out, func(i, j int) bool { return bytes.Compare(out[i].Key, out[j].Key) < 0 })
	return out, kv.leads()
}

func (kv *memoryKV) Changed() <-chan struct{} { return nil }

func (kv *memoryKV) Leads() (uint64, bool) { return 1, !kv.follower }
