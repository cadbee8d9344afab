package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"antipode/regionnode/internal/keys"
	"antipode/regionnode/table"
)

// ErrTruncated says that a log entry asked for lies before the log's start.
var ErrTruncated = errors.New("raft log is truncated there")

// Entry is one raft log entry. Kind and Data are the partition's.
type Entry struct {
	Index, Term uint64
	Kind        byte
	Data        []byte
}

// HardState is what a replica must remember of elections, and how far it knows
// its log to be committed.
type HardState struct{ Term, Vote, Commit uint64 }

// RaftLog is one partition's raft log on disk. Its methods may be called while
// the append loop extends it.
type RaftLog struct {
	store *Store
	id    table.PartitionID

	// written is the last index handed to Pebble; only the append loop uses it.
	written uint64

	mu        sync.Mutex
	start     uint64 // index before the first entry
	startTerm uint64
	last      uint64
	size      uint64 // bytes appended since the start moved
}

// CreateRaftLog adds an empty log that begins behind start to b, together with
// its first hard state. Open it once b is durable.
func CreateRaftLog(b *pebble.Batch, id table.PartitionID, start, startTerm uint64, hard HardState) error {
	if err := b.Set(keys.LogStart(id), encodeStart(start, startTerm), nil); err != nil {
		return err
	}
	return b.Set(keys.HardState(id), encodeHard(hard), nil)
}

// ReplaceRaftLog adds to in an empty log that begins behind start, with its hard
// state, in place of the one that is there. Reload it once in is committed.
func ReplaceRaftLog(in *Incoming, id table.PartitionID, start, startTerm uint64, hard HardState) error {
	for _, span := range keys.ReplicaSpans(id) {
		if !span.Contains(keys.HardState(id)) {
			continue
		}
		if err := in.Replace(span, false); err != nil {
			return err
		}
	}
	if err := in.Set(keys.HardState(id), encodeHard(hard)); err != nil {
		return err
	}
	return in.Set(keys.LogStart(id), encodeStart(start, startTerm))
}

// OpenRaftLog reads a log's bounds and hard state.
func (s *Store) OpenRaftLog(id table.PartitionID) (*RaftLog, HardState, error) {
	l := &RaftLog{store: s, id: id}
	hard, err := l.Reload()
	if err != nil {
		return nil, HardState{}, err
	}
	return l, hard, nil
}

// Reload reads bounds and hard state again, while no append is under way.
func (l *RaftLog) Reload() (HardState, error) {
	raw, err := l.store.GetCopy(keys.LogStart(l.id))
	if err != nil {
		return HardState{}, err
	}
	start, startTerm, err := decodeStart(raw)
	if err != nil {
		return HardState{}, fmt.Errorf("start of raft log of partition %d: %w", l.id, err)
	}
	hard, err := l.store.HardState(l.id)
	if err != nil {
		return HardState{}, err
	}
	last, err := l.store.lastIndex(l.id, start)
	if err != nil {
		return HardState{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.start, l.startTerm, l.last, l.written, l.size = start, startTerm, last, last, 0
	return hard, nil
}

// HardState reads a replica's, written once its log is.
func (s *Store) HardState(id table.PartitionID) (HardState, error) {
	raw, err := s.GetCopy(keys.HardState(id))
	if err != nil {
		return HardState{}, err
	}
	hard, err := decodeHard(raw)
	if err != nil {
		return HardState{}, fmt.Errorf("hard state of partition %d: %w", id, err)
	}
	return hard, nil
}

func (s *Store) lastIndex(id table.PartitionID, start uint64) (uint64, error) {
	span := keys.LogEntries(id, start+1, ^uint64(0))
	it, err := s.Iterate(span)
	if err != nil {
		return 0, err
	}
	defer it.Close()
	if !it.Last() {
		return start, it.Error()
	}
	index, ok := keys.LogEntryIndex(it.Key())
	if !ok {
		return 0, fmt.Errorf("raft log of partition %d holds %s", id, keys.Print(it.Key()))
	}
	return index, nil
}

// Start is the index and term of the entry before the log's first.
func (l *RaftLog) Start() (index, term uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.start, l.startTerm
}

// Last is the index of the last durable entry, or the start's.
func (l *RaftLog) Last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Size is about how many bytes were appended since the log was opened or last
// truncated.
func (l *RaftLog) Size() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// Entries reads the durable entries in [lo, hi), at least one and then as many
// as fit into maxBytes. ErrTruncated when lo is not after the start.
func (l *RaftLog) Entries(lo, hi, maxBytes uint64) ([]Entry, error) {
	if start, _ := l.Start(); lo <= start {
		return nil, ErrTruncated
	}
	it, err := l.store.Iterate(keys.LogEntries(l.id, lo, hi))
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var out []Entry
	var size uint64
	for ok := it.First(); ok; ok = it.Next() {
		e, err := decodeEntry(it.Key(), it.Value())
		if err != nil {
			return nil, err
		}
		if e.Index != lo+uint64(len(out)) {
			return nil, fmt.Errorf("raft log of partition %d has a hole before %d", l.id, e.Index)
		}
		if size += uint64(len(e.Data)); size > maxBytes && len(out) > 0 {
			break
		}
		out = append(out, e)
	}
	return out, it.Error()
}

// Term is the term of a durable entry, or of the start.
func (l *RaftLog) Term(index uint64) (uint64, error) {
	start, startTerm := l.Start()
	switch {
	case index == start:
		return startTerm, nil
	case index < start:
		return 0, ErrTruncated
	}
	key := keys.LogEntry(l.id, index)
	v, closer, err := l.store.Get(key)
	if err != nil {
		return 0, err
	}
	if closer == nil {
		return 0, fmt.Errorf("raft log has no %s", keys.Print(key))
	}
	defer closer.Close()
	term, n := binary.Uvarint(v)
	if n <= 0 {
		return 0, fmt.Errorf("%s: term is broken", keys.Print(key))
	}
	return term, nil
}

// Truncate adds to b the removal of all entries up to index, whose term it
// keeps. Call Truncated once b is applied. index must be durable.
func (l *RaftLog) Truncate(b *pebble.Batch, index, term uint64) error {
	start, _ := l.Start()
	if index <= start {
		return nil
	}
	span := keys.LogEntries(l.id, start+1, index+1)
	if err := b.DeleteRange(span.Start, span.End, nil); err != nil {
		return err
	}
	return b.Set(keys.LogStart(l.id), encodeStart(index, term), nil)
}

// Truncated publishes what Truncate wrote.
func (l *RaftLog) Truncated(index, term uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if index > l.start {
		l.start, l.startTerm, l.size = index, term, 0
	}
}

// write adds entries and hard state to the loop's batch.
func (l *RaftLog) write(b *pebble.Batch, hard *HardState, entries []Entry) error {
	if hard != nil {
		if err := b.Set(keys.HardState(l.id), encodeHard(*hard), nil); err != nil {
			return err
		}
	}
	if len(entries) == 0 {
		return nil
	}
	var size uint64
	for i := range entries {
		if err := writeEntry(b, l.id, &entries[i]); err != nil {
			return err
		}
		size += uint64(len(entries[i].Data))
	}
	last := entries[len(entries)-1].Index
	if last < l.written {
		span := keys.LogEntries(l.id, last+1, l.written+1)
		if err := b.DeleteRange(span.Start, span.End, nil); err != nil {
			return err
		}
	}
	l.written = last
	l.mu.Lock()
	l.size += size
	l.mu.Unlock()
	return nil
}

func (l *RaftLog) publish() {
	l.mu.Lock()
	l.last = max(l.written, l.start)
	l.mu.Unlock()
}

func writeEntry(b *pebble.Batch, id table.PartitionID, e *Entry) error {
	key := keys.LogEntry(id, e.Index)
	var head [binary.MaxVarintLen64 + 1]byte
	n := binary.PutUvarint(head[:], e.Term)
	head[n] = e.Kind
	n++
	op := b.SetDeferred(len(key), n+len(e.Data))
	copy(op.Key, key)
	copy(op.Value, head[:n])
	copy(op.Value[n:], e.Data)
	return op.Finish()
}

func decodeEntry(key, value []byte) (Entry, error) {
	index, ok := keys.LogEntryIndex(key)
	term, n := binary.Uvarint(value)
	if !ok || n <= 0 || n == len(value) {
		return Entry{}, fmt.Errorf("%s: entry is broken", keys.Print(key))
	}
	return Entry{Index: index, Term: term, Kind: value[n], Data: append([]byte{}, value[n+1:]...)}, nil
}

func encodeStart(index, term uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, index), term)
}

func decodeStart(b []byte) (index, term uint64, err error) {
	var out [2]uint64
	err = decodeUvarints(b, out[:])
	return out[0], out[1], err
}

func encodeHard(h HardState) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(nil, h.Term), h.Vote), h.Commit)
}

func decodeHard(b []byte) (HardState, error) {
	var out [3]uint64
	err := decodeUvarints(b, out[:])
	return HardState{out[0], out[1], out[2]}, err
}

func decodeUvarints(b []byte, out []uint64) error {
	for i := range out {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return errors.New("missing or broken")
		}
		out[i], b = v, b[n:]
	}
	return nil
}
