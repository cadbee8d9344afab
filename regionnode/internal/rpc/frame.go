package rpc

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// The wire: after magic in each direction, frames of
//
//	length of the payload, 4 bytes | kind, 1 byte | call id, 8 bytes | payload
//
// all big-endian. The first frame in each direction is a hello; ids are the
// client's, rising, and 0 where a frame belongs to no call.
const headerSize = 4 + 1 + 8

// magic opens a connection in both directions, so that a stray HTTP client is
// recognised at once.
const magic = "antipode"

// frameKind says what a frame is; numbers are wire format.
type frameKind uint8

const (
	kindHello   frameKind = iota + 1
	kindRequest           // uvarint timeout in µs (0 none) | uvarint length of the method | method | body
	kindReply             // body
	kindError             // msgpack wireError
	kindRefuse            // text; the request was definitely not executed
	kindCancel            // the caller of the id gave up
	kindOneWay            // uvarint length of the method | method | body
	kindPing              // comes back as a pong with the same id, 0 when nobody waits for it
	kindPong
	kindGoAway // the server takes no more requests on this connection
)

type header struct {
	size uint32
	kind frameKind
	id   uint64
}

func appendHeader(b []byte, h header) []byte {
	b = binary.BigEndian.AppendUint32(b, h.size)
	b = append(b, byte(h.kind))
	return binary.BigEndian.AppendUint64(b, h.id)
}

func readHeader(r *bufio.Reader) (header, error) {
	b, err := r.Peek(headerSize)
	if err != nil {
		return header{}, err
	}
	h := header{
		size: binary.BigEndian.Uint32(b),
		kind: frameKind(b[4]),
		id:   binary.BigEndian.Uint64(b[5:]),
	}
	_, err = r.Discard(headerSize)
	return h, err
}

// readPayload reads a frame's payload into a buffer of the pool, for release.
func readPayload(r *bufio.Reader, h header, limit int) ([]byte, error) {
	if int64(h.size) > int64(limit) {
		return nil, fmt.Errorf("frame of %d bytes: more than %d", h.size, limit)
	}
	b := buffer(int(h.size))[:h.size]
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("read payload: %w", err)
	}
	return b, nil
}

// appendRequestHead appends what stands before a request's body.
func appendRequestHead(b []byte, timeoutMicros uint64, method string) []byte {
	b = binary.AppendUvarint(b, timeoutMicros)
	return appendMethod(b, method)
}

func appendMethod(b []byte, method string) []byte {
	b = binary.AppendUvarint(b, uint64(len(method)))
	return append(b, method...)
}

func cutMethod(b []byte) (method, body []byte, ok bool) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return nil, nil, false
	}
	return b[k : k+int(n)], b[k+int(n):], true
}

func cutRequest(b []byte) (timeoutMicros uint64, method, body []byte, ok bool) {
	timeoutMicros, k := binary.Uvarint(b)
	if k <= 0 {
		return 0, nil, nil, false
	}
	method, body, ok = cutMethod(b[k:])
	return timeoutMicros, method, body, ok
}
