package link

import (
	"bytes"
	"fmt"

	"antipode/replication"
	"antipode/replication/hlc"
	"github.com/vmihailenco/msgpack/v5"
)

// A decoder reads msgpack values one after another; after an error it answers
// zeros and keeps err.
type decoder struct {
	in  []byte
	r   *bytes.Reader
	d   *msgpack.Decoder
	err error
}

func newDecoder(in []byte) *decoder {
	r := bytes.NewReader(in)
	return &decoder{in: in, r: r, d: msgpack.NewDecoder(r)}
}

// rest is the input not read yet: the library reads a bytes.Reader without
// buffering ahead.
func (d *decoder) rest() []byte { return d.in[len(d.in)-d.r.Len():] }

func value[T any](d *decoder, read func() (T, error)) (v T) {
	if d.err == nil {
		v, d.err = read()
	}
	return v
}

func (d *decoder) uint() uint64   { return value(d, d.d.DecodeUint64) }
func (d *decoder) int() int64     { return value(d, d.d.DecodeInt64) }
func (d *decoder) string() string { return value(d, d.d.DecodeString) }
func (d *decoder) bytes() []byte  { return value(d, d.d.DecodeBytes) }

// array reads the length of an array of at least known elements; each element
// is at least one byte.
func (d *decoder) array(what string, known int) int {
	n := value(d, d.d.DecodeArrayLen)
	if d.err == nil && (n < known || n > d.r.Len()) {
		d.err = fmt.Errorf("%s of %d elements, want %d", what, n, known)
	}
	if d.err != nil {
		return 0
	}
	return n
}

func (d *decoder) skip(n int) {
	for ; n > 0 && d.err == nil; n-- {
		d.err = d.d.Skip()
	}
}

func (d *decoder) source() SourceID { return SourceID{Group: d.string(), Partition: d.uint()} }

func (d *decoder) timestamp() hlc.Timestamp {
	b := d.bytes()
	return value(d, func() (hlc.Timestamp, error) { return hlc.Decode(b) })
}

func (d *decoder) position() (p replication.Position) {
	if d.err == nil {
		var rest []byte
		if p, rest, d.err = replication.DecodePosition(d.rest()); d.err == nil {
			d.r.Reset(rest)
			d.in = rest
		}
	}
	return p
}
