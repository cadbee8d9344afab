package functions

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// errEncoding refuses a body that its Content-Encoding does not fit. DynamoDB
// calls that a fault of its own.
var errEncoding = errors.New("body is not in its content encoding")

// decoded is a request's body without its Content-Encoding, which the signature
// covers.
func decoded(r *http.Request, body []byte, limit int) ([]byte, error) {
	switch r.Header.Get("Content-Encoding") {
	case "":
		return body, nil
	case "gzip":
		return gunzip(body, limit)
	case "deflate":
		z, err := zlib.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, errEncoding
		}
		return inflate(nil, z, limit)
	}
	return nil, errEncoding
}

// gunzip reads all gzip members; what follows the last is ignored.
func gunzip(body []byte, limit int) (plain []byte, err error) {
	src := bufio.NewReader(bytes.NewReader(body))
	z, err := gzip.NewReader(src)
	if err != nil {
		return nil, errEncoding
	}
	for err == nil {
		z.Multistream(false)
		if plain, err = inflate(plain, z, limit); err != nil {
			return nil, err
		}
		err = z.Reset(src)
	}
	return plain, nil
}

// inflate appends what z reads, which may be no more than limit bytes in all: a
// small body can stand for a huge one.
func inflate(plain []byte, z io.Reader, limit int) ([]byte, error) {
	w := bytes.NewBuffer(plain)
	n, err := w.ReadFrom(io.LimitReader(z, int64(limit-len(plain)+1)))
	if err != nil || len(plain)+int(n) > limit {
		return nil, errEncoding
	}
	return w.Bytes(), nil
}

// compressFrom is the size from which on answers are compressed for those who
// ask for it.
const compressFrom = 4096

// compressor makes one encoding.
type compressor struct {
	name string
	pool sync.Pool
}

type resetter interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// compressors are the encodings of answers, the preferred one first.
var compressors = [...]*compressor{
	{name: "gzip", pool: sync.Pool{New: func() any {
		z, _ := gzip.NewWriterLevel(nil, flate.BestSpeed) // the level is one
		return z
	}}},
	{name: "deflate", pool: sync.Pool{New: func() any {
		z, _ := zlib.NewWriterLevel(nil, flate.BestSpeed)
		return z
	}}},
}

func (c *compressor) compress(body []byte) []byte {
	z := c.pool.Get().(resetter)
	defer c.pool.Put(z)
	var out bytes.Buffer
	z.Reset(&out)
	_, _ = z.Write(body) // a Buffer takes everything
	_ = z.Close()
	return out.Bytes()
}

// accepted is the encoding that a client likes best, nil for none. The header is
// read as DynamoDB reads it: quality values are clamped, broken ones are one,
// identity does not count, and the first of equals wins.
func accepted(header string) *compressor {
	var best *compressor
	var quality float64
	named := map[string]bool{}
	rest := -1.0 // of what is not named
	for _, part := range strings.Split(header, ",") {
		name, params, _ := strings.Cut(part, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		q := qualityOf(params)
		if name == "*" {
			rest = max(rest, q)
			continue
		}
		for _, c := range compressors {
			if c.name == name {
				named[name] = true
				if q > quality {
					best, quality = c, q
				}
			}
		}
	}
	for _, c := range compressors {
		if !named[c.name] && rest > quality {
			return c
		}
	}
	return best
}

// qualityOf reads what follows the first "q="; without one it is 1.
func qualityOf(params string) float64 {
	_, value, found := strings.Cut(params, "q=")
	if !found {
		return 1
	}
	value, _, _ = strings.Cut(value, ";")
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil {
		return 1
	}
	return min(max(q, 0), 1)
}
