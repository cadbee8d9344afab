package keys

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// Print renders any key of the map for people; what the map does not hold is
// printed as quoted bytes. It never fails.
func Print(key []byte) string {
	if len(key) == 0 {
		return `""`
	}
	switch key[0] {
	case localPrefix:
		if id, ok := BrokenPartition(key); ok {
			return fmt.Sprintf("/local/broken/%d", id)
		}
		return "/local/" + strconv.Quote(string(key[1:]))
	case descriptorPrefix, raftPrefix, statePrefix, changePrefix:
		if len(key) >= 9 {
			return printPartition(key)
		}
	case dataPrefix:
		if len(key) >= DataPrefixLen {
			return printData(key)
		}
	}
	return strconv.Quote(string(key))
}

func printPartition(key []byte) string {
	id, rest := binary.BigEndian.Uint64(key[1:]), key[9:]
	at := fmt.Sprintf("/partition/%d", id)
	switch key[0] {
	case descriptorPrefix:
		return at + "/descriptor" + printTail(rest)
	case changePrefix:
		if len(rest) == 16 {
			return fmt.Sprintf("%s/change/%d/%d", at, binary.BigEndian.Uint64(rest), binary.BigEndian.Uint64(rest[8:]))
		}
		return at + "/change" + printTail(rest)
	case raftPrefix:
		return at + printRaft(key, rest)
	}
	return at + printState(key, rest)
}

func printRaft(key, rest []byte) string {
	if index, ok := LogEntryIndex(key); ok {
		return fmt.Sprintf("/raft/log/%d", index)
	}
	if len(rest) == 1 && rest[0] == hardStateKind {
		return "/raft/hard-state"
	}
	if len(rest) == 1 && rest[0] == logStartKind {
		return "/raft/log-start"
	}
	return "/raft" + printTail(rest)
}

func printState(key, rest []byte) string {
	if len(rest) == 1 && rest[0] == appliedKind {
		return "/applied"
	}
	if reader, ok := PositionReader(key); ok {
		return "/position/" + strconv.Quote(string(reader))
	}
	if v, record, ok := ParkedVersion(key); ok {
		return fmt.Sprintf("/parked/%d.%d@%q%s", v.Time.Wall, v.Time.Logical, string(v.Region), printTail(record))
	}
	if raw, ok := RawKey(key); ok {
		return "/raw" + printTail(raw)
	}
	if printed, ok := printIndexed(rest); ok {
		return printed
	}
	return "/state" + printTail(rest)
}

func printData(key []byte) string {
	at := fmt.Sprintf("/table/%d", binary.BigEndian.Uint64(key[1:]))
	switch index := key[9]; index {
	case 0:
		at += "/item"
	case byte(Checks):
		at += "/check"
	case byte(Marks):
		at += "/mark"
	case byte(Collections):
		at += "/collection"
	default:
		at += fmt.Sprintf("/index/%d", index)
	}
	rest := key[DataPrefixLen:]
	if len(rest) < 8 {
		return at + printTail(rest)
	}
	return fmt.Sprintf("%s/%016x%s", at, binary.BigEndian.Uint64(rest), printTail(rest[8:]))
}

func printTail(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return "/" + strconv.Quote(string(b))
}
