package partition

import (
	"encoding/binary"
	"hash/crc32"

	"antipode/regionnode"
	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/hlc"
)

// entryFormat is the first byte of a raft entry. A node that reads a format it
// does not know stops the partition rather than guess.
const entryFormat byte = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is what every entry begins with.
type header struct {
	Epoch regionnode.Epoch
	// Settings that the writes were evaluated under.
	Settings uint32
	// Term is the raft term of the leader that evaluated. An entry that raft
	// appended in another term is dropped (I3).
	Term uint64
	// Proposal counts the proposals of that leader in that term, so that it finds
	// whom to answer. With the term it is unique: no bytes are proposed twice.
	Proposal uint64
	// Clock is the leader's clock behind all versions of the entry.
	Clock hlc.Timestamp
	// Closed is the newest local stamp up to this entry (I13).
	Closed hlc.Timestamp
}

// headerLen is the length of format byte, checksum and header.
const headerLen = 1 + 4 + 4 + 4 + 4 + 8 + 8 + stampLen + stampLen

// appendHeader appends a header with room for the checksum that sealEntry fills
// in once the effects are behind it.
func appendHeader(dst []byte, h header) []byte {
	dst = append(dst, entryFormat, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, h.Epoch.Range)
	dst = binary.BigEndian.AppendUint32(dst, h.Epoch.Members)
	dst = binary.BigEndian.AppendUint32(dst, h.Settings)
	dst = binary.BigEndian.AppendUint64(dst, h.Term)
	dst = binary.BigEndian.AppendUint64(dst, h.Proposal)
	dst = appendTime(dst, h.Clock)
	return appendTime(dst, h.Closed)
}

func sealEntry(entry []byte) {
	binary.BigEndian.PutUint32(entry[1:], crc32.Checksum(entry[5:], castagnoli))
}

// decodeHeader checks an entry and splits its effects off, which alias it.
func decodeHeader(entry []byte) (header, []byte, error) {
	d := decoder{b: entry}
	if d.byte() != entryFormat {
		return header{}, nil, errBroken
	}
	sum := d.uint32()
	if d.bad || crc32.Checksum(d.b, castagnoli) != sum {
		return header{}, nil, errBroken
	}
	h := header{
		Epoch:    regionnode.Epoch{Range: d.uint32(), Members: d.uint32()},
		Settings: d.uint32(),
		Term:     d.uint64(),
		Proposal: d.uint64(),
		Clock:    d.time(),
		Closed:   d.time(),
	}
	return h, d.b, d.err()
}

// The kinds of effects. In logs on disk: never reorder.
const (
	writeEffect    byte = iota + 1 // one key's new value
	rawEffect                      // one raw pair's new value
	settingsEffect                 // descriptor and log settings in force
	positionEffect                 // a reader's durable position
	trimEffect                     // change records up to a sequence go
	truncateEffect                 // raft log entries up to an index go
	parkEffect                     // a record of another region is set aside
	unparkEffect                   // a parked record is done with
)

// indexEffect is one key of a local index that a write sets or removes.
type indexEffect struct {
	Index table.IndexID
	Key   []byte
	// Value in the index's form; nil removes the entry.
	Value []byte
	// Items and Bytes are changes of the index's counters.
	Items, Bytes int64
}

// write is a writeEffect.
type write struct {
	Cause replication.Cause
	// Transaction that wrote, with ByTransaction only.
	Transaction []byte
	Key         []byte
	// Value in the item span's form.
	Value []byte
	// Items and Bytes are changes of the partition's counters.
	Items, Bytes int64
	// Collection is how much of Key names the item collection, 0 when sizes of
	// collections are not kept; CollectionBytes is the change of its size.
	Collection      int
	CollectionBytes int64
	Indexes         []indexEffect
}

// append encodes w; stamp is where in the result the version's time lies.
func (w *write) append(dst []byte) (out []byte, stamp int) {
	dst = append(dst, writeEffect, byte(w.Cause))
	if w.Cause == replication.ByTransaction {
		dst = appendBytes(dst, w.Transaction)
	}
	dst = appendBytes(dst, w.Key)
	dst = binary.AppendUvarint(dst, uint64(len(w.Value)))
	stamp = len(dst) + stampOffset
	dst = append(dst, w.Value...)
	dst = binary.AppendVarint(dst, w.Items)
	dst = binary.AppendVarint(dst, w.Bytes)
	dst = binary.AppendUvarint(dst, uint64(w.Collection))
	dst = binary.AppendVarint(dst, w.CollectionBytes)
	dst = binary.AppendUvarint(dst, uint64(len(w.Indexes)))
	for i := range w.Indexes {
		x := &w.Indexes[i]
		dst = append(dst, byte(x.Index))
		dst = appendBytes(dst, x.Key)
		dst = appendBytes(dst, x.Value)
		dst = binary.AppendVarint(dst, x.Items)
		dst = binary.AppendVarint(dst, x.Bytes)
	}
	return dst, stamp
}

// decode reads what append wrote, without the kind. w's slices alias the input;
// Indexes is reused.
func (w *write) decode(d *decoder) error {
	w.Cause, w.Transaction = replication.Cause(d.byte()), nil
	if w.Cause == replication.ByTransaction {
		w.Transaction = d.bytes()
	}
	w.Key = d.bytes()
	w.Value = d.bytes()
	w.Items = d.varint()
	w.Bytes = d.varint()
	w.Collection = int(d.uvarint())
	w.CollectionBytes = d.varint()
	w.Indexes = w.Indexes[:0]
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		x := indexEffect{
			Index: table.IndexID(d.byte()), Key: d.bytes(), Value: d.bytes(),
			Items: d.varint(), Bytes: d.varint(),
		}
		if x.Index == 0 || x.Index > maxLocal {
			d.fail()
			break
		}
		w.Indexes = append(w.Indexes, x)
	}
	if w.Collection > len(w.Key) {
		d.fail()
	}
	return d.err()
}

func appendRaw(dst, key, value []byte, remove bool) []byte {
	dst = append(dst, rawEffect)
	dst = appendBytes(dst, key)
	if remove {
		return append(dst, 0)
	}
	return appendBytes(append(dst, 1), value)
}

func appendPosition(dst []byte, reader replication.Region, p replication.Position) []byte {
	dst = append(dst, positionEffect)
	dst = appendBytes(dst, []byte(reader))
	return appendPositionValue(dst, p)
}

func appendPositionValue(dst []byte, p replication.Position) []byte {
	dst = binary.AppendUvarint(dst, p.Incarnation)
	dst = binary.AppendUvarint(dst, uint64(p.Generation))
	return binary.AppendUvarint(dst, p.Sequence)
}

func (d *decoder) position() replication.Position {
	return replication.Position{
		Incarnation: d.uvarint(),
		Generation:  replication.Generation(d.uvarint()),
		Sequence:    d.uvarint(),
	}
}

func appendNumbered(dst []byte, kind byte, n ...uint64) []byte {
	dst = append(dst, kind)
	for _, v := range n {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

func appendKeyed(dst []byte, kind byte, parts ...[]byte) []byte {
	dst = append(dst, kind)
	for _, b := range parts {
		dst = appendBytes(dst, b)
	}
	return dst
}
