package functions

import (
	"fmt"
	"io"
	"net/http"
	"sync"
)

// requestBody is a pooled buffer that holds one request's body.
type requestBody struct{ bytes []byte }

var bodies = sync.Pool{New: func() any { return &requestBody{bytes: make([]byte, 0, 8<<10)} }}

// maxPooledBody keeps one large batch from pinning its buffer for ever.
const maxPooledBody = 1 << 20

func takeBody() *requestBody {
	b := bodies.Get().(*requestBody)
	b.bytes = b.bytes[:0]
	return b
}

func (b *requestBody) free() {
	if cap(b.bytes) <= maxPooledBody {
		bodies.Put(b)
	}
}

// bodyTooLarge says that a body has more than limit bytes.
type bodyTooLarge struct{ limit int }

func (e *bodyTooLarge) Error() string { return fmt.Sprintf("body exceeds %d bytes", e.limit) }

// drainBytes is how much of a body that is refused is still taken in: a client
// reads no answer before it has sent everything, and sees a broken connection
// instead when nobody reads on.
const drainBytes = 64 << 20

func refuseLarge(r *http.Request, limit int) error {
	_, _ = io.CopyN(io.Discard, r.Body, drainBytes)
	return &bodyTooLarge{limit}
}

// read fills the buffer from the request, and refuses more than limit bytes.
func (b *requestBody) read(r *http.Request, limit int) error {
	if r.ContentLength > int64(limit) {
		return refuseLarge(r, limit)
	}
	if n := int(r.ContentLength); n > 0 && n < limit && n >= cap(b.bytes) {
		b.bytes = make([]byte, 0, n+1) // one more, so that the last read sees the end
	}
	for {
		if len(b.bytes) == cap(b.bytes) {
			b.bytes = append(b.bytes, 0)[:len(b.bytes)]
		}
		n, err := r.Body.Read(b.bytes[len(b.bytes):cap(b.bytes)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		if len(b.bytes) > limit {
			return refuseLarge(r, limit)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read body: %w", err)
		}
	}
}
