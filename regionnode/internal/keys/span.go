package keys

import (
	"bytes"
	"encoding/binary"

	"antipode/regionnode/table"
)

// Span is an interval of keys, End excluded.
type Span struct{ Start, End []byte }

// Contains tells whether key lies in the span.
func (s Span) Contains(key []byte) bool {
	return bytes.Compare(key, s.Start) >= 0 && bytes.Compare(key, s.End) < 0
}

// prefixSpan bounds all keys that begin with prefix, which must have a byte
// below 0xff; every prefix of this keyspace has one in front.
func prefixSpan(prefix []byte) Span {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] != 0xff {
			end[i]++
			return Span{prefix, end[:i+1]}
		}
	}
	panic("keys: span without end")
}

// Hashes is a partition's interval of hashes; End 0 is the end of the space.
type Hashes struct{ Start, End uint64 }

// Contains tells whether the hash that begins a table key is in the interval. A
// key shorter than a hash is in none.
func (h Hashes) Contains(key []byte) bool {
	if len(key) < 8 {
		return false
	}
	hash := binary.BigEndian.Uint64(key)
	return hash >= h.Start && (h.End == 0 || hash < h.End)
}

// DataSpan bounds the interval's keys in one index span of a table.
func DataSpan(t table.ID, index table.IndexID, h Hashes) Span {
	lo := binary.BigEndian.AppendUint64(Data(t, index, nil), h.Start)
	if h.End == 0 {
		return Span{lo, prefixSpan(Data(t, index, nil)).End}
	}
	return Span{lo, binary.BigEndian.AppendUint64(Data(t, index, nil), h.End)}
}

// MaxLocalIndexes is the highest local index id: DynamoDB's limit for a table.
const MaxLocalIndexes table.IndexID = 5

// DataSpans bounds all that a partition holds of its table, in key order:
// items, local indexes, what transactions have checked and marked, collection
// sizes.
func DataSpans(t table.ID, h Hashes) []Span {
	spans := make([]Span, 0, MaxLocalIndexes+4)
	for i := table.IndexID(0); i <= MaxLocalIndexes; i++ {
		spans = append(spans, DataSpan(t, i, h))
	}
	return append(spans, DataSpan(t, Checks, h), DataSpan(t, Marks, h), DataSpan(t, Collections, h))
}

// ReplicaSpans bounds everything else that a replica of the partition holds:
// descriptor, raft state and log, applied state, change log.
func ReplicaSpans(id table.PartitionID) []Span {
	var spans []Span
	for _, prefix := range []byte{descriptorPrefix, raftPrefix, statePrefix, changePrefix} {
		spans = append(spans, prefixSpan(prefixed(prefix, id, 0)))
	}
	return spans
}

// AppliedSpans bounds what applied entries leave of a partition besides its
// table's data: applied state and change log. With DataSpans it is all that the
// replicas of a partition agree on.
func AppliedSpans(id table.PartitionID) []Span {
	return []Span{prefixSpan(prefixed(statePrefix, id, 0)), prefixSpan(prefixed(changePrefix, id, 0))}
}
