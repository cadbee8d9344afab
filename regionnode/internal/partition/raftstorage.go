package partition

import (
	"errors"
	"fmt"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"antipode/regionnode/internal/store"
)

// raftStorage is raft's view of a partition's log on disk. It keeps the newest
// entries in memory, because each is read again to be applied and to be sent.
// Only the worker that processes the partition uses it.
type raftStorage struct {
	p    *Partition
	log  *store.RaftLog
	hard store.HardState
	conf *pb.ConfState
	// recent are the log's last entries, without a gap, written or being written.
	recent      []*pb.Entry
	recentBytes uint64
	// failed is the first error of the disk. raft panics on those.
	failed error
}

// recentLimit bounds the bytes kept in memory after they are applied, for
// members that are a little behind.
const recentLimit = 1 << 20

// reset begins anew with the log as it is on disk. Others look at the log
// meanwhile, which stays the same one.
func (s *raftStorage) reset(hard store.HardState, conf *pb.ConfState) {
	s.hard, s.conf, s.recent, s.recentBytes, s.failed = hard, conf, nil, 0, nil
}

// InitialState is called once, when the replica starts.
func (s *raftStorage) InitialState() (*pb.HardState, *pb.ConfState, error) {
	h := s.hard
	return &pb.HardState{Term: &h.Term, Vote: &h.Vote, Commit: &h.Commit}, s.conf, nil
}

// add remembers entries that go to disk, in place of those they replace.
func (s *raftStorage) add(entries []*pb.Entry) {
	first := entries[0].GetIndex()
	for n := len(s.recent); n > 0 && s.recent[n-1].GetIndex() >= first; n-- {
		s.recentBytes -= uint64(len(s.recent[n-1].GetData()))
		s.recent = s.recent[:n-1]
	}
	if n := len(s.recent); n > 0 && s.recent[n-1].GetIndex()+1 != first {
		s.recent, s.recentBytes = nil, 0
	}
	for _, e := range entries {
		s.recent = append(s.recent, e)
		s.recentBytes += uint64(len(e.GetData()))
	}
}

// forget drops applied entries from memory down to keep bytes, but never the
// last one, whose term raft asks for.
func (s *raftStorage) forget(applied, keep uint64) {
	drop := 0
	for drop < len(s.recent)-1 && s.recent[drop].GetIndex() <= applied && s.recentBytes > keep {
		s.recentBytes -= uint64(len(s.recent[drop].GetData()))
		drop++
	}
	if drop == 0 {
		return
	}
	rest := copy(s.recent, s.recent[drop:])
	clear(s.recent[rest:])
	s.recent = s.recent[:rest]
}

func (s *raftStorage) cached(index uint64) (int, bool) {
	if len(s.recent) == 0 {
		return 0, false
	}
	first := s.recent[0].GetIndex()
	if index < first || index >= first+uint64(len(s.recent)) {
		return 0, false
	}
	return int(index - first), true
}

// Entries implements raft.Storage.
func (s *raftStorage) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	if i, ok := s.cached(lo); ok {
		return limit(s.recent[i:min(len(s.recent), i+int(hi-lo))], maxSize), nil
	}
	entries, err := s.log.Entries(lo, hi, maxSize)
	if errors.Is(err, store.ErrTruncated) {
		return nil, raft.ErrCompacted
	}
	if err != nil {
		return nil, s.fail(err)
	}
	if len(entries) == 0 {
		return nil, raft.ErrUnavailable
	}
	out := make([]*pb.Entry, len(entries))
	for i := range entries {
		e := &entries[i]
		kind := pb.EntryType(e.Kind)
		out[i] = &pb.Entry{Index: &e.Index, Term: &e.Term, Type: &kind, Data: e.Data}
	}
	return out, nil
}

// limit copies as many entries as fit into maxSize, at least one.
func limit(entries []*pb.Entry, maxSize uint64) []*pb.Entry {
	size, n := uint64(0), 0
	for n < len(entries) {
		if size += uint64(len(entries[n].GetData())); size > maxSize && n > 0 {
			break
		}
		n++
	}
	return append([]*pb.Entry(nil), entries[:n]...)
}

// Term implements raft.Storage.
func (s *raftStorage) Term(index uint64) (uint64, error) {
	if i, ok := s.cached(index); ok {
		return s.recent[i].GetTerm(), nil
	}
	term, err := s.log.Term(index)
	if errors.Is(err, store.ErrTruncated) {
		return 0, raft.ErrCompacted
	}
	return term, s.fail(err)
}

func (s *raftStorage) fail(err error) error {
	if s.failed == nil {
		s.failed = err
	}
	return err
}

// LastIndex implements raft.Storage.
func (s *raftStorage) LastIndex() (uint64, error) { return s.log.Last(), nil }

// FirstIndex implements raft.Storage.
func (s *raftStorage) FirstIndex() (uint64, error) {
	start, _ := s.log.Start()
	return start + 1, nil
}

// Snapshot implements raft.Storage: it names the applied state. What is sent may
// be of a later one (sendSnapshot).
func (s *raftStorage) Snapshot() (*pb.Snapshot, error) {
	if s.p.host.cfg.SendSnapshot == nil {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	index, term := s.p.state.Index, s.p.state.Term
	return &pb.Snapshot{Metadata: &pb.SnapshotMetadata{ConfState: s.p.view().spec.confState(), Index: &index, Term: &term}}, nil
}

// storeEntries turns raft's entries into the store's.
func storeEntries(entries []*pb.Entry) []store.Entry {
	out := make([]store.Entry, len(entries))
	for i, e := range entries {
		out[i] = store.Entry{Index: e.GetIndex(), Term: e.GetTerm(), Kind: byte(e.GetType()), Data: e.GetData()}
	}
	return out
}

// raftConfig is every group's configuration. Sizes: an append message carries
// up to 64 KB beyond its first entry; 64 MB of proposals may wait for followers.
func raftConfig(host *Config, s *raftStorage, applied uint64, log raft.Logger) *raft.Config {
	return &raft.Config{
		ID:                        uint64(host.Node),
		ElectionTick:              host.ElectionTicks,
		HeartbeatTick:             host.HeartbeatTicks,
		Storage:                   s,
		Applied:                   applied,
		AsyncStorageWrites:        true,
		MaxSizePerMsg:             64 << 10,
		MaxCommittedSizePerReady:  64 << 20,
		MaxUncommittedEntriesSize: 64 << 20,
		MaxInflightMsgs:           128,
		MaxInflightBytes:          16 << 20,
		CheckQuorum:               true,
		PreVote:                   true,
		DisableProposalForwarding: true,
		StepDownOnRemoval:         true,
		ReadOnlyOption:            raft.ReadOnlySafe,
		Logger:                    log,
	}
}

// raftLogger carries raft's warnings into slog; its chatter about elections is
// left out, as OnChange tells of them.
type raftLogger struct{ p *Partition }

func (l raftLogger) Debug(...any)                {}
func (l raftLogger) Debugf(string, ...any)       {}
func (l raftLogger) Info(...any)                 {}
func (l raftLogger) Infof(string, ...any)        {}
func (l raftLogger) Warning(v ...any)            { l.p.warn(fmt.Sprint(v...)) }
func (l raftLogger) Warningf(f string, v ...any) { l.p.warn(fmt.Sprintf(f, v...)) }
func (l raftLogger) Error(v ...any)              { l.p.warn(fmt.Sprint(v...)) }
func (l raftLogger) Errorf(f string, v ...any)   { l.p.warn(fmt.Sprintf(f, v...)) }
func (l raftLogger) Fatal(v ...any)              { panic("raft: " + fmt.Sprint(v...)) }
func (l raftLogger) Fatalf(f string, v ...any)   { panic("raft: " + fmt.Sprintf(f, v...)) }
func (l raftLogger) Panic(v ...any)              { panic("raft: " + fmt.Sprint(v...)) }
func (l raftLogger) Panicf(f string, v ...any)   { panic("raft: " + fmt.Sprintf(f, v...)) }
