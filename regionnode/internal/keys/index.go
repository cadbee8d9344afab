package keys

import (
	"encoding/binary"
	"fmt"

	"antipode/regionnode/table"
	"antipode/replication"
)

// More bytes after the partition id in a state key, for global indexes.
const (
	indexSourceKind byte = iota + rawKind + 1
	indexTombstoneKind
	indexProgressKind
)

// IndexSource holds how far a partition of a global index has applied the change
// log of one generation.
func IndexSource(id table.PartitionID, g replication.Generation) []byte {
	return binary.BigEndian.AppendUint64(append(prefixed(statePrefix, id, 9), indexSourceKind), uint64(g))
}

// IndexTombstone lists an entry that a partition of a global index keeps as a
// tombstone while the index is back-filled. g is the log that deleted it.
func IndexTombstone(id table.PartitionID, g replication.Generation, key []byte) []byte {
	k := binary.BigEndian.AppendUint64(append(prefixed(statePrefix, id, 9+len(key)), indexTombstoneKind), uint64(g))
	return append(k, key...)
}

// IndexTombstones bounds the list.
func IndexTombstones(id table.PartitionID) Span {
	return prefixSpan(append(prefixed(statePrefix, id, 1), indexTombstoneKind))
}

// IndexTombstoneEntry takes generation and entry key out of an IndexTombstone
// key; the entry key aliases it.
func IndexTombstoneEntry(key []byte) (replication.Generation, []byte, bool) {
	if len(key) < 18 || key[0] != statePrefix || key[9] != indexTombstoneKind {
		return 0, nil, false
	}
	return replication.Generation(binary.BigEndian.Uint64(key[10:])), key[18:], true
}

// IndexProgress holds how far an item partition has put its items into a global
// index that was added later.
func IndexProgress(id table.PartitionID, index table.ID) []byte {
	return binary.BigEndian.AppendUint64(append(prefixed(statePrefix, id, 9), indexProgressKind), uint64(index))
}

// printIndexed renders what follows the partition id in the keys above.
func printIndexed(rest []byte) (string, bool) {
	if len(rest) < 9 {
		return "", false
	}
	number := binary.BigEndian.Uint64(rest[1:])
	switch rest[0] {
	case indexSourceKind:
		return fmt.Sprintf("/indexed/%d%s", number, printTail(rest[9:])), true
	case indexTombstoneKind:
		return fmt.Sprintf("/forget/%d%s", number, printTail(rest[9:])), true
	case indexProgressKind:
		return fmt.Sprintf("/filled/%d%s", number, printTail(rest[9:])), true
	}
	return "", false
}

// IndexSources bounds how far the partition of a global index has applied any
// change log.
func IndexSources(id table.PartitionID) Span {
	return prefixSpan(append(prefixed(statePrefix, id, 1), indexSourceKind))
}

// IndexSourceGeneration takes the generation out of an IndexSource key.
func IndexSourceGeneration(key []byte) (replication.Generation, bool) {
	if len(key) != 18 || key[0] != statePrefix || key[9] != indexSourceKind {
		return 0, false
	}
	return replication.Generation(binary.BigEndian.Uint64(key[10:])), true
}

// IndexProgresses bounds how far the partition's items are in any global index.
func IndexProgresses(id table.PartitionID) Span {
	return prefixSpan(append(prefixed(statePrefix, id, 1), indexProgressKind))
}

// IndexProgressTable takes the index out of an IndexProgress key.
func IndexProgressTable(key []byte) (table.ID, bool) {
	if len(key) != 18 || key[0] != statePrefix || key[9] != indexProgressKind {
		return 0, false
	}
	return table.ID(binary.BigEndian.Uint64(key[10:])), true
}
