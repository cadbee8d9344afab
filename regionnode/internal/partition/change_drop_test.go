package partition

import (
	"context"
	"reflect"
	"runtime"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"antipode/regionnode"
	"antipode/regionnode/internal/store"
	"antipode/regionnode/table"
	"antipode/replication/hlc"
)

// TestDropChanges applies changes of members that were meant for another term or
// epoch: they change nothing but the applied index, on every member alike, and
// raft hears nothing of them (I3, I8).
func TestDropChanges(t *testing.T) {
	s, err := store.Open(store.Config{Dir: "db", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	clock, err := hlc.New(hlc.Config{})
	if err != nil {
		t.Fatal(err)
	}
	h, err := NewHost(Config{Node: 1, Region: "r", Store: s, Clock: clock, TickInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	spec := Spec{ID: 3, Table: 7, Members: []table.NodeID{1}, Epoch: regionnode.Epoch{Range: 2, Members: 4}}
	if err := h.Create(context.Background(), spec); err != nil {
		t.Fatal(err)
	}
	p, _ := h.Partition(3)
	if err := p.confirm(context.Background()); err != nil {
		t.Fatal(err)
	}
	for p.run.state.Load() != runIdle {
		runtime.Gosched() // the round that confirmed may still be ending
	}
	good := header{Epoch: spec.Epoch, Term: 70, Proposal: 1 << 40}
	for _, c := range []struct {
		name    string
		change  func(*header)
		applied bool
	}{
		{"another term", func(h *header) { h.Term-- }, false},
		{"another range", func(h *header) { h.Epoch.Range++ }, false},
		{"other members", func(h *header) { h.Epoch.Members++ }, false},
		{"as it should be", func(*header) {}, true},
		{"twice", func(*header) {}, false},
	} {
		head := good
		c.change(&head)
		change := Change{AddLearners: []table.NodeID{2}}
		before, voters := p.Spec(), p.raft.Status().Config
		if err := p.apply(changeEntry(t, p, head, change.append([]byte{membersEffect}))); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		after, now := p.Spec(), p.raft.Status().Config
		if c.applied != (after != before) || c.applied == reflect.DeepEqual(voters, now) {
			t.Errorf("%s: %+v, then %+v; raft %v, then %v", c.name, before, after, voters, now)
		}
	}
	if got := p.Spec(); got.Epoch.Members != 5 || len(got.Learners) != 1 {
		t.Errorf("in the end: %+v", got)
	}
}

func changeEntry(t *testing.T, p *Partition, head header, effects []byte) *pb.Entry {
	t.Helper()
	entry := append(appendHeader(nil, head), effects...)
	sealEntry(entry)
	cc, err := confChange(entry)
	if err != nil {
		t.Fatal(err)
	}
	data, err := proto.Marshal(cc)
	if err != nil {
		t.Fatal(err)
	}
	index, term := p.state.Index+1, uint64(70)
	return &pb.Entry{Index: &index, Term: &term, Type: pb.EntryConfChangeV2.Enum(), Data: data}
}
