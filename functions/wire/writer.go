package wire

import (
	"encoding/base64"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"antipode/regionnode/item"
)

// Writer appends one JSON document. It puts commas where they belong, but does
// not check that objects and arrays are closed. The zero Writer is ready to use;
// NewWriter takes one from a pool.
type Writer struct{ buf []byte }

var writers = sync.Pool{New: func() any { return &Writer{buf: make([]byte, 0, 4096)} }}

// maxPooled keeps a single 16 MB answer from staying in the pool.
const maxPooled = 256 << 10

// NewWriter returns an empty Writer; give it back with Free.
func NewWriter() *Writer {
	w := writers.Get().(*Writer)
	w.buf = w.buf[:0]
	return w
}

// Free returns the Writer to the pool. Bytes is invalid from then on.
func (w *Writer) Free() {
	if cap(w.buf) <= maxPooled {
		writers.Put(w)
	}
}

// Bytes is what has been written; it aliases the Writer.
func (w *Writer) Bytes() []byte { return w.buf }

// Len is the number of bytes written, for callers that bound an answer's size.
func (w *Writer) Len() int { return len(w.buf) }

// Grow makes room for n more bytes at once, for callers that know about how much
// is to come.
func (w *Writer) Grow(n int) { w.buf = slices.Grow(w.buf, n) }

// Truncate drops what was written after the first n bytes: for an element that
// turned out not to fit.
func (w *Writer) Truncate(n int) { w.buf = w.buf[:n] }

// separate writes the comma between siblings: the last byte tells whether a
// value begins a container or follows its name.
func (w *Writer) separate() {
	if n := len(w.buf); n > 0 {
		switch w.buf[n-1] {
		case '{', '[', ':':
		default:
			w.buf = append(w.buf, ',')
		}
	}
}

// BeginObject writes {.
func (w *Writer) BeginObject() *Writer {
	w.separate()
	w.buf = append(w.buf, '{')
	return w
}

// EndObject writes }.
func (w *Writer) EndObject() *Writer {
	w.buf = append(w.buf, '}')
	return w
}

// BeginArray writes [.
func (w *Writer) BeginArray() *Writer {
	w.separate()
	w.buf = append(w.buf, '[')
	return w
}

// EndArray writes ].
func (w *Writer) EndArray() *Writer {
	w.buf = append(w.buf, ']')
	return w
}

// Name writes a member's name; a value must follow.
func (w *Writer) Name(name string) *Writer {
	w.separate()
	w.buf = AppendString(w.buf, name)
	w.buf = append(w.buf, ':')
	return w
}

// String writes a string value.
func (w *Writer) String(s string) *Writer {
	w.separate()
	w.buf = AppendString(w.buf, s)
	return w
}

// Int writes an integer.
func (w *Writer) Int(n int64) *Writer {
	w.separate()
	w.buf = strconv.AppendInt(w.buf, n, 10)
	return w
}

// Float writes a number as DynamoDB writes its doubles (capacity units): always
// with a fraction, 1 as 1.0. It must be finite.
func (w *Writer) Float(f float64) *Writer {
	w.separate()
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		w.buf = strconv.AppendFloat(w.buf, f, 'f', 1, 64)
	} else {
		w.buf = strconv.AppendFloat(w.buf, f, 'g', -1, 64)
	}
	return w
}

// Bool writes true or false.
func (w *Writer) Bool(b bool) *Writer {
	w.separate()
	w.buf = strconv.AppendBool(w.buf, b)
	return w
}

// Time writes a timestamp as DynamoDB does: seconds since the epoch with
// milliseconds as a fraction, trailing zeros dropped.
func (w *Writer) Time(t time.Time) *Writer {
	w.separate()
	ms := t.UnixMilli()
	w.buf = strconv.AppendFloat(w.buf, float64(ms)/1e3, 'f', -1, 64)
	return w
}

// Blob writes bytes as base64.
func (w *Writer) Blob(b []byte) *Writer {
	w.separate()
	w.buf = append(w.buf, '"')
	w.buf = base64.StdEncoding.AppendEncode(w.buf, b)
	w.buf = append(w.buf, '"')
	return w
}

// Raw writes a finished JSON value.
func (w *Writer) Raw(json []byte) *Writer {
	w.separate()
	w.buf = append(w.buf, json...)
	return w
}

// Value writes an attribute value as DynamoDB JSON.
func (w *Writer) Value(v item.Value) *Writer {
	w.separate()
	w.buf = v.AppendJSON(w.buf)
	return w
}

// Item writes a stored item as DynamoDB JSON, without decoding it into a tree.
func (w *Writer) Item(e item.Encoded) *Writer {
	w.separate()
	w.buf = e.AppendJSON(w.buf)
	return w
}

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD; only
// what JSON demands is escaped.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
			dst = append(append(dst, s[start:i]...), "\ufffd"...)
			i++
			start = i
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}
