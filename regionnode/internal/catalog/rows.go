package catalog

import (
	"fmt"
	"strings"

	"github.com/vmihailenco/msgpack/v5"

	"antipode/regionnode"
	"antipode/regionnode/table"
	"antipode/replication"
)

// The catalog's keys: a prefix for the kind of row, then what names it. Ids are
// 16 hex digits, so that keys sort as ids do. On disk: never change.
const (
	headKey         = "head"
	tablePrefix     = "t/" // name
	partitionPrefix = "p/" // id
	nodePrefix      = "n/" // id
	peerPrefix      = "r/" // region
	accessPrefix    = "k/" // access key id
	jobPrefix       = "j/" // id
)

// rowVersion is the first byte of every value; msgpack follows. A reader refuses
// versions that it does not know. On disk: never change what a number means.
const rowVersion = 1

// head is the row that every change rewrites. Equal heads are equal catalogs.
type head struct {
	// Generation counts the catalog's changes, from 1.
	Generation uint64 `msgpack:"g"`
	// Next is the next counter to give out in ids.
	Next uint64 `msgpack:"n"`
}

// tableRow is a table's row.
type tableRow struct {
	Descriptor *table.Descriptor `msgpack:"d"`
	// Pushed is the newest descriptor generation that all partitions have.
	Pushed uint64 `msgpack:"p,omitempty"`
	// Job holds the table in its status until it is done; 0 for none.
	Job uint64 `msgpack:"j,omitempty"`
	// Sources are the table replicas that were back-filled from here.
	Sources []source `msgpack:"s,omitempty"`
}

// source remembers when a table replica was back-filled from this region.
type source struct {
	Region string `msgpack:"r"`
	At     int64  `msgpack:"a"` // Unix ms
}

// Partition is one partition's row: where the catalog wants it, and how far that
// has come.
type Partition struct {
	ID table.PartitionID `msgpack:"i"`
	// Base is the table, Table the id in the keys: Base, or a global index's.
	Base  table.ID `msgpack:"b"`
	Table table.ID `msgpack:"t"`
	Index string   `msgpack:"x,omitempty"`
	// The hash interval [Start, End); End 0 is the end of the space.
	Start uint64           `msgpack:"s"`
	End   uint64           `msgpack:"e"`
	Epoch regionnode.Epoch `msgpack:"p"`
	// Generation is the log generation that the partition began with, or that its
	// last split opened.
	Generation replication.Generation `msgpack:"g"`
	Replicas   []table.NodeID         `msgpack:"r"`
	// Created is set once a majority of the replicas exists; Dropped once none is
	// wanted.
	Created bool `msgpack:"c,omitempty"`
	Dropped bool `msgpack:"d,omitempty"`
	// Missing are the Replicas that could not be made with the others, and Born is
	// what those began with, so that the missing ones can begin alike.
	Missing []table.NodeID    `msgpack:"m,omitempty"`
	Born    *table.Descriptor `msgpack:"o,omitempty"`
	// Split is a split that has been decided on and is neither done nor given up.
	Split *SplitIntent `msgpack:"l,omitempty"`
	// Move is the change of members that is under way, nil for none.
	Move *Move `msgpack:"mv,omitempty"`
}

func idKey(prefix string, id uint64) string { return fmt.Sprintf("%s%016x", prefix, id) }

func encodeRow(row any) ([]byte, error) {
	b, err := msgpack.Marshal(row)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", row, err)
	}
	return append([]byte{rowVersion}, b...), nil
}

func decodeRow(value []byte, row any) error {
	if len(value) == 0 || value[0] != rowVersion {
		return fmt.Errorf("decode %T: unknown version in % .8x", row, value)
	}
	if err := msgpack.Unmarshal(value[1:], row); err != nil {
		return fmt.Errorf("decode %T: %w", row, err)
	}
	return nil
}

// kindOf splits a key into its prefix and the rest.
func kindOf(key string) (prefix, rest string) {
	if i := strings.IndexByte(key, '/'); i >= 0 {
		return key[:i+1], key[i+1:]
	}
	return key, ""
}
