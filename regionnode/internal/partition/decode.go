package partition

import (
	"encoding/binary"
	"errors"

	"antipode/replication"
	"antipode/replication/hlc"
)

// errBroken is what every decoder of this package answers to bytes it did not
// write.
var errBroken = errors.New("broken encoding")

// decoder reads the parts of this package's encodings one after the other. The
// first fault empties it and makes all that follows zero; slices alias its
// input.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) fail() { d.b, d.bad = nil, true }

// err is errBroken after a fault.
func (d *decoder) err() error {
	if d.bad {
		return errBroken
	}
	return nil
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	out := d.b[:n:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// bytes reads a length and that many bytes.
func (d *decoder) bytes() []byte { return d.take(d.uvarint()) }

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) time() hlc.Timestamp {
	return hlc.Timestamp{Wall: int64(d.uint64()), Logical: d.uint32()}
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// stampLen is the length of an encoded time, which is fixed so that a stamp can
// be put into finished effects.
const stampLen = 12

func appendTime(dst []byte, t hlc.Timestamp) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.Wall))
	return binary.BigEndian.AppendUint32(dst, t.Logical)
}

func putTime(dst []byte, t hlc.Timestamp) {
	binary.BigEndian.PutUint64(dst, uint64(t.Wall))
	binary.BigEndian.PutUint32(dst[8:], t.Logical)
}

func appendContext(dst []byte, c replication.Context) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(c)))
	for _, e := range c {
		dst = binary.AppendUvarint(dst, uint64(len(e.Region)))
		dst = append(dst, e.Region...)
		dst = appendTime(dst, e.Time)
	}
	return dst
}

func (d *decoder) context() replication.Context {
	n := d.uvarint()
	if n == 0 {
		return nil
	}
	// An entry takes at least a length and a time.
	if n > uint64(len(d.b))/(1+stampLen) {
		d.fail()
		return nil
	}
	c := make(replication.Context, n)
	for i := range c {
		c[i] = replication.ContextEntry{Region: replication.Region(d.bytes()), Time: d.time()}
	}
	return c
}
