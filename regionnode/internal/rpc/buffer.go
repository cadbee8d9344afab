package rpc

import (
	"math/bits"
	"sync"
	"unsafe"
)

// Buffers are pooled in powers of two from 512 bytes to 64 KiB; larger ones are
// rare enough for the collector.
const (
	minBufferBits = 9
	maxBufferBits = 16
)

// buffers holds pointers to the first byte, because a slice in an interface
// would be an allocation of its own; each pool's buffers have its one capacity.
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
	size := 1 << (class + minBufferBits)
	if first, ok := buffers[class].Get().(*byte); ok {
		return unsafe.Slice(first, size)[:0]
	}
	return make([]byte, 0, size)
}

// release gives a buffer back; the caller holds no part of it any more. Buffers
// of other origin or capacity are left to the collector.
func release(b []byte) {
	size := cap(b)
	if size < 1<<minBufferBits || size > 1<<maxBufferBits || size&(size-1) != 0 {
		return
	}
	buffers[bits.Len(uint(size))-1-minBufferBits].Put(unsafe.SliceData(b))
}
