package rpc

import (
	"math/bits"
	"sync"
)

// Buffers are pooled in powers of two from 512 bytes to 64 KiB; larger ones are
// rare enough for the collector.
const (
	minBufferBits = 9
	maxBufferBits = 16
)

var buffers [maxBufferBits - minBufferBits + 1]sync.Pool

// buffer returns an empty buffer with room for n bytes.
func buffer(n int) []byte {
	if n > 1<<maxBufferBits {
		return make([]byte, 0, n)
	}
	class := 0
	if n > 1<<minBufferBits {
		class = bits.Len(uint(n-1)) - minBufferBits
	}
	if b, ok := buffers[class].Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 0, 1<<(class+minBufferBits))
}

// release gives a buffer back; the caller holds no part of it any more.
func release(b []byte) {
	if cap(b) < 1<<minBufferBits || cap(b) > 1<<maxBufferBits {
		return
	}
	b = b[:0]
	buffers[bits.Len(uint(cap(b)))-1-minBufferBits].Put(&b)
}
