package keys

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/hlc"
)

// Comparer orders the keyspace: plain byte order, with the whole key as the
// prefix that bloom filters and excise bounds work on. Its name is written into
// every file of a store; Pebble refuses to open them with another.
var Comparer = pebble.DefaultComparer

// The first byte of every key.
const (
	localPrefix byte = iota + 1
	descriptorPrefix
	raftPrefix
	statePrefix
	changePrefix
	dataPrefix
)

// The byte after the partition id in a raft key.
const (
	hardStateKind byte = iota + 1
	logStartKind
	logEntryKind
)

// The byte after the partition id in a state key.
const (
	appliedKind byte = iota + 1
	positionKind
	parkedKind
	rawKind
)

// Collections is the span, beside the items (0) and the local indexes (1…5),
// that holds the sizes of item collections.
const Collections table.IndexID = math.MaxUint8

// Marks is the span that holds what transactions have prepared, and Checks the
// one that holds when they last checked an item without writing it.
const (
	Marks  table.IndexID = math.MaxUint8 - 1
	Checks table.IndexID = math.MaxUint8 - 2
)

// Names of node-local facts.
const (
	identityName   = "identity"
	clockBoundName = "clock-bound"
	nodeEpochName  = "node-epoch"
	syncedName     = "synced"
	brokenName     = "broken/"
	replicaName    = "replica/"
)

// Identity holds the node's id and region.
func Identity() []byte { return local(identityName) }

// ClockBound holds a time that no timestamp given out before a restart exceeds.
func ClockBound() []byte { return local(clockBoundName) }

// Broken holds why a replica here must not be used any more.
func Broken(id table.PartitionID) []byte {
	return binary.BigEndian.AppendUint64(local(brokenName), uint64(id))
}

// BrokenReplicas bounds what Broken returns.
func BrokenReplicas() Span { return prefixSpan(local(brokenName)) }

// BrokenPartition takes the id out of a Broken key.
func BrokenPartition(key []byte) (table.PartitionID, bool) {
	n := 1 + len(brokenName)
	if len(key) != n+8 || !bytes.HasPrefix(key, local(brokenName)) {
		return 0, false
	}
	return table.PartitionID(binary.BigEndian.Uint64(key[n:])), true
}

// NodeEpoch counts the node's starts.
func NodeEpoch() []byte { return local(nodeEpochName) }

// SyncedGroups counts the groups of appends that were synced.
func SyncedGroups() []byte { return local(syncedName) }

// ReplicaPast holds what the node remembers of its replicas of a partition, also
// when none is left.
func ReplicaPast(id table.PartitionID) []byte {
	return binary.BigEndian.AppendUint64(local(replicaName), uint64(id))
}

func local(name string) []byte { return append([]byte{localPrefix}, name...) }

func prefixed(prefix byte, id table.PartitionID, room int) []byte {
	k := make([]byte, 9, 9+room)
	k[0] = prefix
	binary.BigEndian.PutUint64(k[1:], uint64(id))
	return k
}

// Descriptor holds one partition's descriptor.
func Descriptor(id table.PartitionID) []byte { return prefixed(descriptorPrefix, id, 0) }

// Descriptors bounds the descriptors of all partitions on the node.
func Descriptors() Span { return Span{[]byte{descriptorPrefix}, []byte{descriptorPrefix + 1}} }

// DescriptorPartition takes the id out of a Descriptor key.
func DescriptorPartition(key []byte) (table.PartitionID, bool) {
	if len(key) != 9 || key[0] != descriptorPrefix {
		return 0, false
	}
	return table.PartitionID(binary.BigEndian.Uint64(key[1:])), true
}

// HardState holds a replica's raft term, vote and commit index.
func HardState(id table.PartitionID) []byte {
	return append(prefixed(raftPrefix, id, 1), hardStateKind)
}

// LogStart holds the index and term of the entry before the log's first.
func LogStart(id table.PartitionID) []byte {
	return append(prefixed(raftPrefix, id, 1), logStartKind)
}

// LogEntry holds the raft log entry at index.
func LogEntry(id table.PartitionID, index uint64) []byte {
	k := append(prefixed(raftPrefix, id, 9), logEntryKind)
	return binary.BigEndian.AppendUint64(k, index)
}

// LogEntries bounds the raft log entries in [lo, hi).
func LogEntries(id table.PartitionID, lo, hi uint64) Span {
	return Span{LogEntry(id, lo), LogEntry(id, hi)}
}

// LogEntryIndex takes the index out of a LogEntry key.
func LogEntryIndex(key []byte) (uint64, bool) {
	if len(key) != 18 || key[0] != raftPrefix || key[9] != logEntryKind {
		return 0, false
	}
	return binary.BigEndian.Uint64(key[10:]), true
}

// Applied holds what a replica's applied entries add up to.
func Applied(id table.PartitionID) []byte {
	return append(prefixed(statePrefix, id, 1), appliedKind)
}

// Position holds how far reader has durably read the partition's change log.
func Position(id table.PartitionID, reader replication.Region) []byte {
	return append(append(prefixed(statePrefix, id, 1+len(reader)), positionKind), reader...)
}

// Positions bounds the positions of all readers.
func Positions(id table.PartitionID) Span {
	lo := append(prefixed(statePrefix, id, 1), positionKind)
	return prefixSpan(lo)
}

// PositionReader takes the reader out of a Position key.
func PositionReader(key []byte) (replication.Region, bool) {
	if len(key) < 10 || key[0] != statePrefix || key[9] != positionKind {
		return "", false
	}
	return replication.Region(key[10:]), true
}

// Parked holds a record whose version lies too far ahead of the clock. Parked
// records sort by version.
func Parked(id table.PartitionID, v replication.Version, key []byte) []byte {
	k := append(prefixed(statePrefix, id, 14+len(v.Region)+len(key)), parkedKind)
	k = binary.BigEndian.AppendUint64(k, uint64(v.Time.Wall))
	k = binary.BigEndian.AppendUint32(k, v.Time.Logical)
	k = append(append(k, v.Region...), 0)
	return append(k, key...)
}

// ParkedRecords bounds the parked records of a partition.
func ParkedRecords(id table.PartitionID) Span {
	return prefixSpan(append(prefixed(statePrefix, id, 1), parkedKind))
}

// ParkedVersion takes version and record key out of a Parked key; the record
// key aliases it.
func ParkedVersion(key []byte) (replication.Version, []byte, bool) {
	if len(key) < 23 || key[0] != statePrefix || key[9] != parkedKind {
		return replication.Version{}, nil, false
	}
	end := bytes.IndexByte(key[22:], 0)
	if end < 0 {
		return replication.Version{}, nil, false
	}
	return replication.Version{
		Time: hlc.Timestamp{
			Wall:    int64(binary.BigEndian.Uint64(key[10:])),
			Logical: binary.BigEndian.Uint32(key[18:]),
		},
		Region: replication.Region(key[22 : 22+end]),
	}, key[22+end+1:], true
}

// Raw holds one key-value pair of a system partition.
func Raw(id table.PartitionID, key []byte) []byte {
	return append(append(prefixed(statePrefix, id, 1+len(key)), rawKind), key...)
}

// RawPrefix bounds the pairs of a system partition whose key begins with prefix.
func RawPrefix(id table.PartitionID, prefix []byte) Span {
	return prefixSpan(Raw(id, prefix))
}

// RawKey takes the pair's key out of a Raw key; it aliases it.
func RawKey(key []byte) ([]byte, bool) {
	if len(key) < 10 || key[0] != statePrefix || key[9] != rawKind {
		return nil, false
	}
	return key[10:], true
}

// Change holds one record of a partition's change log.
func Change(id table.PartitionID, g replication.Generation, sequence uint64) []byte {
	k := binary.BigEndian.AppendUint64(prefixed(changePrefix, id, 16), uint64(g))
	return binary.BigEndian.AppendUint64(k, sequence)
}

// Changes bounds the change records of one generation in [lo, hi).
func Changes(id table.PartitionID, g replication.Generation, lo, hi uint64) Span {
	return Span{Change(id, g, lo), Change(id, g, hi)}
}

// ChangeSequence takes the sequence out of a Change key.
func ChangeSequence(key []byte) (uint64, bool) {
	if len(key) != 25 || key[0] != changePrefix {
		return 0, false
	}
	return binary.BigEndian.Uint64(key[17:]), true
}

// DataPrefixLen is the length of what Data puts before a table key.
const DataPrefixLen = 10

// Data holds an item (index 0), a local index entry, or a collection's size;
// key are the bytes after the index id, beginning with the hash.
func Data(t table.ID, index table.IndexID, key []byte) []byte {
	return AppendData(make([]byte, 0, DataPrefixLen+len(key)), t, index, key)
}

// AppendData appends what Data returns.
func AppendData(dst []byte, t table.ID, index table.IndexID, key []byte) []byte {
	dst = append(dst, dataPrefix)
	dst = binary.BigEndian.AppendUint64(dst, uint64(t))
	dst = append(dst, byte(index))
	return append(dst, key...)
}

// DataKey takes the table key out of a Data key; it aliases it.
func DataKey(key []byte) ([]byte, bool) {
	if len(key) < DataPrefixLen || key[0] != dataPrefix {
		return nil, false
	}
	return key[DataPrefixLen:], true
}
