package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const sha256Size = sha256.Size

// canonical builds what is signed, in a buffer that is used again.
type canonical struct {
	buf   []byte
	names []string
	body  []byte
	hash  [2 * sha256Size]byte // of body, in hexadecimal
}

var canonicals = sync.Pool{New: func() any { return &canonical{buf: make([]byte, 0, 1024)} }}

func newCanonical(body []byte) *canonical {
	c := canonicals.Get().(*canonical)
	c.body = body
	sum := sha256.Sum256(body)
	hex.Encode(c.hash[:], sum[:])
	return c
}

func (c *canonical) free() {
	c.body = nil
	clear(c.names)
	canonicals.Put(c)
}

// stringToSign is what the signature covers, for one name of the host. It is
// valid until the next call.
func (c *canonical) stringToSign(r *http.Request, host string, a authorization, s scope) []byte {
	c.request(r, host, a)
	sum := sha256.Sum256(c.buf)
	c.buf = append(append(append(c.buf[:0], algorithm+"\n"...), a.date...), '\n')
	c.buf = append(append(c.buf, s.date...), '/')
	c.buf = append(append(c.buf, s.region...), '/')
	c.buf = append(append(c.buf, s.service...), "/"+terminator+"\n"...)
	c.buf = hex.AppendEncode(c.buf, sum[:])
	return c.buf
}

// request builds the canonical request.
func (c *canonical) request(r *http.Request, host string, a authorization) {
	c.buf = append(append(c.buf[:0], r.Method...), '\n')
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	c.buf = append(appendEscaped(c.buf, path, true), '\n')
	if r.URL.RawQuery != "" {
		c.query(r, a.query)
	}
	c.buf = append(c.buf, '\n')
	c.headers(r, host, a.signed)
	c.buf = append(c.buf, c.hash[:]...)
}

// query appends the parameters sorted by name, then by value. A signature among
// them is not signed.
func (c *canonical) query(r *http.Request, signature bool) {
	values := r.URL.Query()
	if signature {
		values.Del(querySignature)
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	first := true
	for _, name := range names {
		slices.Sort(values[name])
		for _, value := range values[name] {
			if !first {
				c.buf = append(c.buf, '&')
			}
			first = false
			c.buf = append(appendEscaped(c.buf, name, false), '=')
			c.buf = appendEscaped(c.buf, value, false)
		}
	}
}

// headers appends the signed headers, an empty line and the list of their names.
func (c *canonical) headers(r *http.Request, host, signed string) {
	c.names = c.names[:0]
	for rest := signed; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, ";")
		c.names = append(c.names, strings.ToLower(name))
	}
	slices.Sort(c.names)
	for _, name := range c.names {
		c.buf = append(append(c.buf, name...), ':')
		c.header(r, host, name)
		c.buf = append(c.buf, '\n')
	}
	c.buf = append(c.buf, '\n')
	for i, name := range c.names {
		if i > 0 {
			c.buf = append(c.buf, ';')
		}
		c.buf = append(c.buf, name...)
	}
	c.buf = append(c.buf, '\n')
}

// header appends one header's values. Servers keep the host apart, and some the
// content length.
func (c *canonical) header(r *http.Request, host, name string) {
	if name == "host" {
		c.buf = appendCollapsed(c.buf, host)
		return
	}
	values := r.Header[textproto.CanonicalMIMEHeaderKey(name)]
	if values == nil && name == "content-length" {
		c.buf = strconv.AppendInt(c.buf, int64(len(c.body)), 10)
		return
	}
	for i, value := range values {
		if i > 0 {
			c.buf = append(c.buf, ',')
		}
		c.buf = appendCollapsed(c.buf, value)
	}
}

// appendCollapsed appends s without spaces around it, and with runs of spaces
// inside made one.
func appendCollapsed(dst []byte, s string) []byte {
	s = strings.Trim(s, " \t")
	if !strings.Contains(s, "  ") {
		return append(dst, s...)
	}
	for i := 0; i < len(s); i++ {
		if s[i] != ' ' || s[i-1] != ' ' { // s[0] is no space
			dst = append(dst, s[i])
		}
	}
	return dst
}

const upperHex = "0123456789ABCDEF"

// appendEscaped appends s with everything but unreserved characters (and the
// slashes of a path) as %XX.
func appendEscaped(dst []byte, s string, path bool) []byte {
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case b|0x20 >= 'a' && b|0x20 <= 'z', b >= '0' && b <= '9', b == '-', b == '.', b == '_', b == '~', path && b == '/':
			dst = append(dst, b)
		default:
			dst = append(dst, '%', upperHex[b>>4], upperHex[b&15])
		}
	}
	return dst
}
