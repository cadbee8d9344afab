package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"antipode/replication"
	"github.com/vmihailenco/msgpack/v5"
)

// ErrChecksum and ErrFormat refuse what arrived: damaged on the way, or written
// by a release that this one cannot read.
var (
	ErrChecksum = errors.New("batch checksum does not match")
	ErrFormat   = errors.New("batch format is unknown")
)

// A batch's frame is a msgpack array of format, CRC32C of the body and the body
// as bytes, in codes of fixed width. Readers ignore elements that follow in the
// frame and in the body.
const (
	batchFormat = 1
	frameHeader = 12
	bodyFields  = 12
	ackFields   = 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Append adds b's encoded form to dst.
func (b *Batch) Append(dst []byte) []byte {
	size := 256 + 64*len(b.Marks)
	for i := range b.Records {
		size += replication.RecordSize(&b.Records[i]) + 16
	}
	start := len(dst)
	dst = slices.Grow(dst, size)
	dst = append(dst, 0x93, batchFormat, 0xce, 0, 0, 0, 0, 0xc6, 0, 0, 0, 0)
	buf := bytes.NewBuffer(dst)
	e := msgpack.NewEncoder(buf)
	// A bytes.Buffer takes every write, so none of these can fail.
	_ = errors.Join(
		e.EncodeArrayLen(bodyFields),
		e.EncodeUint(uint64(b.Kind)),
		e.EncodeUint(b.Session),
		e.EncodeUint(b.Sequence),
		e.EncodeString(string(b.From)),
		e.EncodeString(string(b.To)),
		e.EncodeString(b.Source.Group),
		e.EncodeUint(b.Source.Partition),
		raw(buf, replication.AppendPosition(nil, b.Start)),
		raw(buf, replication.AppendPosition(nil, b.End)),
		e.EncodeBytes(b.Closed.Append(nil)),
		e.EncodeArrayLen(len(b.Marks)))
	for _, m := range b.Marks {
		_ = errors.Join(
			e.EncodeArrayLen(3),
			e.EncodeString(m.Source.Group),
			e.EncodeUint(m.Source.Partition),
			e.EncodeBytes(m.Closed.Append(nil)))
	}
	_ = raw(buf, replication.AppendRecords(buf.AvailableBuffer(), b.Records))
	dst = buf.Bytes()
	body := dst[start+frameHeader:]
	binary.BigEndian.PutUint32(dst[start+3:], crc32.Checksum(body, castagnoli))
	binary.BigEndian.PutUint32(dst[start+8:], uint32(len(body)))
	return dst
}

func raw(buf *bytes.Buffer, b []byte) error {
	_, err := buf.Write(b)
	return err
}

// DecodeBatch reads what Append wrote and checks it: errors are ErrChecksum,
// ErrFormat or tell what is malformed. The batch shares memory with frame.
func DecodeBatch(frame []byte) (*Batch, error) {
	if len(frame) < frameHeader || frame[0]&0xf0 != 0x90 || frame[2] != 0xce || frame[7] != 0xc6 {
		return nil, fmt.Errorf("%w: no frame", ErrFormat)
	}
	if frame[1] != batchFormat {
		return nil, fmt.Errorf("%w: %d", ErrFormat, frame[1])
	}
	body := frame[frameHeader:]
	n := binary.BigEndian.Uint32(frame[8:])
	if uint64(n) > uint64(len(body)) {
		return nil, fmt.Errorf("%w: %d bytes of %d", ErrChecksum, len(body), n)
	}
	body = body[:n:n]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(frame[3:]) {
		return nil, ErrChecksum
	}
	d := newDecoder(body)
	b := &Batch{}
	d.array("batch", bodyFields)
	b.Kind = Kind(d.uint())
	b.Session = d.uint()
	b.Sequence = d.uint()
	b.From = replication.Region(d.string())
	b.To = replication.Region(d.string())
	b.Source = d.source()
	b.Start = d.position()
	b.End = d.position()
	b.Closed = d.timestamp()
	for range d.array("marks", 0) {
		extra := d.array("mark", 3) - 3
		m := Mark{Source: d.source(), Closed: d.timestamp()}
		d.skip(extra)
		if d.err != nil {
			break
		}
		b.Marks = append(b.Marks, m)
	}
	if d.err == nil {
		b.Records, _, d.err = replication.DecodeRecords(d.rest())
	}
	if d.err != nil {
		return nil, fmt.Errorf("decode batch: %w", d.err)
	}
	return b, nil
}

// Append adds a's encoded form to dst.
func (a *Ack) Append(dst []byte) []byte {
	buf := bytes.NewBuffer(dst)
	e := msgpack.NewEncoder(buf)
	_ = errors.Join(
		e.EncodeArrayLen(ackFields),
		e.EncodeUint(a.Session),
		e.EncodeUint(a.Sequence),
		e.EncodeUint(uint64(a.Status)),
		e.EncodeString(a.Message),
		e.EncodeUint(uint64(a.Rejected)))
	return buf.Bytes()
}

// DecodeAck reads what Append wrote.
func DecodeAck(b []byte) (*Ack, error) {
	d := newDecoder(b)
	d.array("acknowledgement", ackFields)
	a := &Ack{
		Session: d.uint(), Sequence: d.uint(), Status: Status(d.uint()),
		Message: d.string(), Rejected: uint32(d.uint()),
	}
	if d.err != nil {
		return nil, fmt.Errorf("decode acknowledgement: %w", d.err)
	}
	return a, nil
}

const letterFields = 6

// Append adds l's encoded form to dst, for storing.
func (l *DeadLetter) Append(dst []byte) []byte {
	buf := bytes.NewBuffer(dst)
	e := msgpack.NewEncoder(buf)
	_ = errors.Join(
		e.EncodeArrayLen(letterFields),
		e.EncodeString(string(l.From)),
		e.EncodeString(l.Source.Group),
		e.EncodeUint(l.Source.Partition),
		e.EncodeString(l.Reason),
		e.EncodeInt(l.Time.UnixNano()),
		e.EncodeBytes(replication.AppendRecord(nil, &l.Record)))
	return buf.Bytes()
}

// DecodeDeadLetter reads what Append wrote.
func DecodeDeadLetter(b []byte) (DeadLetter, error) {
	d := newDecoder(b)
	d.array("dead letter", letterFields)
	l := DeadLetter{From: replication.Region(d.string()), Source: d.source(), Reason: d.string()}
	l.Time = time.Unix(0, d.int()).UTC()
	rec := d.bytes()
	if d.err == nil {
		l.Record, _, d.err = replication.DecodeRecord(rec)
	}
	if d.err != nil {
		return DeadLetter{}, fmt.Errorf("decode dead letter: %w", d.err)
	}
	return l, nil
}
