package rpc

import (
	"bytes"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"
)

// Structs are encoded as maps with the short keys of their tags, not as arrays:
// a decoder skips keys it does not know and keeps what is absent at zero, so
// that neighbours of different versions understand one another.

// encode appends v to a buffer of the pool.
func encode(v any) ([]byte, error) {
	sink := writeBuffer{buffer(1 << minBufferBits)}
	enc := msgpack.GetEncoder()
	enc.Reset(&sink)
	enc.UseCompactInts(true)
	err := enc.Encode(v)
	enc.Reset(nil)
	msgpack.PutEncoder(enc)
	if err != nil {
		release(sink.b)
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return sink.b, nil
}

// writeBuffer appends to a pooled buffer and trades it for a larger one when it
// is full.
type writeBuffer struct{ b []byte }

func (w *writeBuffer) Write(p []byte) (int, error) {
	if len(w.b)+len(p) > cap(w.b) {
		larger := append(buffer(max(2*cap(w.b), len(w.b)+len(p))), w.b...)
		release(w.b)
		w.b = larger
	}
	w.b = append(w.b, p...)
	return len(p), nil
}

func (w *writeBuffer) WriteByte(c byte) error {
	_, err := w.Write([]byte{c})
	return err
}

// decode fills v, which keeps no part of b.
func decode(b []byte, v any) error {
	r := bytes.NewReader(b)
	dec := msgpack.GetDecoder()
	dec.Reset(r)
	err := dec.Decode(v)
	dec.Reset(nil)
	msgpack.PutDecoder(dec)
	if err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	return nil
}
