package partition

import (
	"encoding/binary"
	"hash/crc32"

	"antipode/regionnode/internal/keys"
	"antipode/regionnode/table"
)

// A snapshot travels as chunks, each answered before the next is sent:
//
//	format | CRC32C of what follows | kind | partition | sender | transfer | number | body
//
// Sender, transfer and number are of one transfer's chunks: those of another are
// refused, and so is one that is missing or comes twice.

// snapshotFormat is the first byte of a chunk and of an answer.
const snapshotFormat byte = 1

// The kinds of chunks. On the wire: never renumber.
const (
	beginChunk byte = iota + 1 // index, term and descriptor
	pairsChunk                 // keys, rising, and their values
	endChunk                   // number of pairs and SHA-256 of all of them
)

// The answers to chunks. On the wire: never renumber.
const (
	chunkTaken    byte = iota + 1 // go on; to the end chunk: installed, durably
	chunkBusy                     // not now: another is being received
	chunkNeedless                 // the replica has all that the snapshot has, durably
	chunkRefused                  // the transfer is broken, or for no replica here
)

// chunk is one part of a snapshot's transfer.
type chunk struct {
	kind      byte
	partition table.PartitionID
	// sender, and the sender's process life and count: no two transfers share them.
	sender      table.NodeID
	life, count uint64
	number      uint64
	body        []byte
}

func (c *chunk) sameTransfer(o *chunk) bool {
	return c.partition == o.partition && c.sender == o.sender && c.life == o.life && c.count == o.count
}

func (c *chunk) encode() []byte {
	b := make([]byte, 0, 5+1+8+8+8+8+8+len(c.body))
	b = append(b, snapshotFormat, 0, 0, 0, 0, c.kind)
	for _, v := range []uint64{uint64(c.partition), uint64(c.sender), c.life, c.count, c.number} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	b = append(b, c.body...)
	binary.BigEndian.PutUint32(b[1:], crc32.Checksum(b[5:], castagnoli))
	return b
}

// decodeChunk reads a chunk, whose body aliases b.
func decodeChunk(b []byte) (*chunk, error) {
	d := decoder{b: b}
	if d.byte() != snapshotFormat {
		return nil, errBroken
	}
	if sum := d.uint32(); d.bad || crc32.Checksum(d.b, castagnoli) != sum {
		return nil, errBroken
	}
	c := &chunk{
		kind: d.byte(), partition: table.PartitionID(d.uint64()), sender: table.NodeID(d.uint64()),
		life: d.uint64(), count: d.uint64(), number: d.uint64(),
	}
	c.body = d.b
	return c, d.err()
}

func appendPair(dst, key, value []byte) []byte { return appendBytes(appendBytes(dst, key), value) }

// snapshotSpans are all that a snapshot of a descriptor holds: what a replica
// has but raft's log and hard state.
func snapshotSpans(s *Spec) []keys.Span {
	var out []keys.Span
	for _, span := range keys.ReplicaSpans(s.ID) {
		if !span.Contains(keys.HardState(s.ID)) {
			out = append(out, span)
		}
	}
	return append(out, keys.DataSpans(s.Table, s.hashes())...)
}
