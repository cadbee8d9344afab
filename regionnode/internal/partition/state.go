package partition

import (
	"encoding/binary"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"

	"antipode/regionnode"
	"antipode/regionnode/internal/keys"
	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/hlc"
)

// maxLocal is the highest local index id.
const maxLocal = keys.MaxLocalIndexes

// Spec is what a partition is: stored as its descriptor, changed only by raft
// entries, the same on all members.
type Spec struct {
	ID    table.PartitionID `msgpack:"id"`
	Table table.ID          `msgpack:"t"`
	// Start and End bound the hashes; End 0 is the end of the space.
	Start uint64           `msgpack:"s"`
	End   uint64           `msgpack:"e"`
	Epoch regionnode.Epoch `msgpack:"ep"`
	// Members vote; the first is preferred as leader. Learners get the log only.
	// Outgoing are the members before a change that is under way, as long as their
	// majority counts too.
	Members  []table.NodeID `msgpack:"m"`
	Learners []table.NodeID `msgpack:"ln,omitempty"`
	Outgoing []table.NodeID `msgpack:"og,omitempty"`
	// Gone are nodes that were removed, the newest last. What their replicas of
	// then may still say is not listened to, also if they hold new ones.
	Gone []Departure `msgpack:"gn,omitempty"`
	// Descriptor of the table; nil for system partitions, which hold raw pairs.
	Descriptor *table.Descriptor `msgpack:"d"`
	// Incarnation names the table replica's life, Generation the change log that
	// is being written.
	Incarnation uint64                 `msgpack:"i"`
	Generation  replication.Generation `msgpack:"g"`
	Log         LogConfig              `msgpack:"l"`
	// Closed are the generations before Generation, oldest first, that the log
	// still has.
	Closed []ClosedLog `msgpack:"cl,omitempty"`
	// Split is the last split that made this partition the left child.
	Split *SplitRecord `msgpack:"sp,omitempty"`
	// Streams are what the table's streams show of the change log. They follow
	// Descriptor; Create fills them in.
	Streams []StreamWindow `msgpack:"sw,omitempty"`
	// Settings counts the changes of Descriptor and Log. What was evaluated under
	// other settings is dropped like what has another epoch.
	Settings uint32 `msgpack:"st"`
}

func (s *Spec) hashes() keys.Hashes { return keys.Hashes{Start: s.Start, End: s.End} }

// LogConfig says whether a partition writes a change log, and for whom.
type LogConfig struct {
	On bool `msgpack:"o"`
	// Peers are the regions that read it. With any, deletes leave tombstones and
	// records stay until all have read them.
	Peers []replication.Region `msgpack:"p,omitempty"`
	// Stream keeps records for 24 hours.
	Stream bool `msgpack:"s,omitempty"`
	// Tombstones keeps them also while nobody reads the log yet: a new table
	// replica takes records in before it ships its own.
	Tombstones bool `msgpack:"t,omitempty"`
}

func (l *LogConfig) tombstones() bool { return l.Tombstones || l.On && len(l.Peers) > 0 }

func (l *LogConfig) has(peer replication.Region) bool {
	for _, p := range l.Peers {
		if p == peer {
			return true
		}
	}
	return false
}

func encodeSpec(s *Spec) ([]byte, error) {
	b, err := msgpack.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode descriptor of partition %d: %w", s.ID, err)
	}
	return b, nil
}

func decodeSpec(b []byte) (*Spec, error) {
	s := new(Spec)
	if err := msgpack.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("decode partition descriptor: %w", err)
	}
	return s, nil
}

// Count is how many items or entries a span holds, and their DynamoDB bytes.
type Count struct{ Items, Bytes int64 }

// appliedState is what a replica's applied entries add up to, besides data. It
// is stored in every entry's batch (I2).
type appliedState struct {
	Index, Term uint64
	// Clock and Closed are the newest of the applied headers; neither goes back.
	Clock, Closed hlc.Timestamp
	// Sequence is the last change record's, Trimmed the last removed one's.
	Sequence, Trimmed uint64
	// Parked counts records set aside.
	Parked uint64
	// Counts of items (0) and of local indexes (1…5).
	Counts [maxLocal + 1]Count
	// Deleted and AbsentRead are what later prepares of absent keys are held
	// against (protocol.Watermarks).
	Deleted, AbsentRead hlc.Timestamp
}

// appliedFormat is the first byte of an encoded appliedState.
const appliedFormat byte = 1

func (a *appliedState) append(dst []byte) []byte {
	dst = append(dst, appliedFormat)
	for _, v := range []uint64{a.Index, a.Term, a.Sequence, a.Trimmed, a.Parked} {
		dst = binary.AppendUvarint(dst, v)
	}
	dst = appendTime(appendTime(dst, a.Clock), a.Closed)
	for _, c := range a.Counts {
		dst = binary.AppendVarint(binary.AppendVarint(dst, c.Items), c.Bytes)
	}
	return appendTime(appendTime(dst, a.Deleted), a.AbsentRead)
}

func decodeApplied(b []byte) (appliedState, error) {
	d := decoder{b: b}
	if d.byte() != appliedFormat {
		return appliedState{}, errBroken
	}
	a := appliedState{
		Index: d.uvarint(), Term: d.uvarint(),
		Sequence: d.uvarint(), Trimmed: d.uvarint(), Parked: d.uvarint(),
		Clock: d.time(), Closed: d.time(),
	}
	for i := range a.Counts {
		a.Counts[i] = Count{Items: d.varint(), Bytes: d.varint()}
	}
	a.Deleted, a.AbsentRead = d.time(), d.time()
	return a, d.err()
}
