package rpc

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

// Structs are encoded as maps with the short keys of their tags, not as arrays:
// a decoder skips keys it does not know and keeps what is absent at zero, so
// that neighbours of different versions understand one another.

// encoder is a msgpack encoder onto a buffer of the pool.
type encoder struct {
	sink writeBuffer
	enc  *msgpack.Encoder
}

var encoders = sync.Pool{New: func() any { return &encoder{enc: msgpack.NewEncoder(nil)} }}

// encode puts v into a buffer of the pool.
func encode(v any) ([]byte, error) {
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	e.sink.b = buffer(1 << minBufferBits)
	e.enc.Reset(&e.sink)
	e.enc.UseCompactInts(true)
	err := e.enc.Encode(v)
	b := e.sink.b
	e.sink.b = nil
	if err != nil {
		release(b)
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return b, nil
}

// writeBuffer appends to a pooled buffer and trades it for a larger one when it
// is full.
type writeBuffer struct{ b []byte }

func (w *writeBuffer) Write(p []byte) (int, error) {
	w.grow(len(p))
	w.b = append(w.b, p...)
	return len(p), nil
}

func (w *writeBuffer) WriteByte(c byte) error {
	w.grow(1)
	w.b = append(w.b, c)
	return nil
}

func (w *writeBuffer) grow(n int) {
	if len(w.b)+n <= cap(w.b) {
		return
	}
	larger := append(buffer(max(2*cap(w.b), len(w.b)+n)), w.b...)
	release(w.b)
	w.b = larger
}

// decoder is a msgpack decoder from bytes.
type decoder struct {
	source bytes.Reader
	dec    *msgpack.Decoder
}

var decoders = sync.Pool{New: func() any { return &decoder{dec: msgpack.NewDecoder(nil)} }}

// decode fills v, which keeps no part of b.
func decode(b []byte, v any) error {
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	d.source.Reset(b)
	d.dec.Reset(&d.source)
	err := d.dec.Decode(v)
	d.source.Reset(nil)
	if err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	return nil
}
