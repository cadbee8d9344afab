package jsonscan

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// String takes a string. Strings without escapes share one copy of the input.
// A lone surrogate escape becomes U+FFFD; bytes that are no UTF-8 and bare
// control characters are errors.
func (s *Scanner) String() (string, error) {
	start, end, plain, err := s.span()
	if err != nil {
		return "", err
	}
	if !plain {
		return string(s.unescape(make([]byte, 0, end-start), start, end)), nil
	}
	if s.text == "" {
		s.text = string(s.data)
	}
	return s.text[start:end], nil
}

// Bytes takes a string as String does and returns it without a copy where it
// has no escapes: the result is part of the input, or of scratch.
func (s *Scanner) Bytes(scratch []byte) ([]byte, error) {
	start, end, plain, err := s.span()
	if err != nil {
		return nil, err
	}
	if plain {
		return s.data[start:end], nil
	}
	return s.unescape(scratch[:0], start, end), nil
}

// PlainPrefix is the length of the part of b before its first quote, backslash,
// control character or non-ASCII byte: what stands for itself in a JSON string
// both ways.
func PlainPrefix(b []byte) int {
	const (
		ones = 0x0101010101010101
		tops = 0x80 * ones
	)
	i := 0
	for ; len(b)-i >= 8; i += 8 {
		// A byte's top bit ends up set if the byte is below ' ', equal to one of
		// the two, or not ASCII. A borrow may flag a byte above a flagged one,
		// which the loop below sorts out.
		w := binary.LittleEndian.Uint64(b[i:])
		if (w|(w-' '*ones)|((w^'"'*ones)-ones)|((w^'\\'*ones)-ones))&tops != 0 {
			break
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			break
		}
	}
	return i
}

// span takes a string: the bounds of its content, and whether that is the text
// itself, without escapes. Escapes are checked here, so that unescape need not
// fail on what Skip lets pass.
func (s *Scanner) span() (start, end int, plain bool, err error) {
	if s.Peek() != String {
		return 0, 0, false, s.unexpected(String.String())
	}
	d := s.data
	start, plain = s.pos+1, true
	for i := start; ; {
		if i += PlainPrefix(d[i:]); i == len(d) {
			s.pos = i
			return 0, 0, false, s.fail("unexpected end of input")
		}
		if d[i] == '"' {
			s.pos = i + 1
			s.fresh = false
			return start, i, plain, nil
		}
		n, reason := 0, "control character in a string"
		switch {
		case d[i] == '\\':
			plain = false
			n, reason = escapeLen(d[i:]), "bad escape"
		case d[i] >= utf8.RuneSelf:
			n, reason = runeLen(d[i:]), "invalid UTF-8"
		}
		if n == 0 {
			s.pos = i
			return 0, 0, false, s.fail(reason)
		}
		i += n
	}
}

// runeLen is the length of the character that b starts with, 0 for a bad one.
func runeLen(b []byte) int {
	r, n := utf8.DecodeRune(b)
	if r == utf8.RuneError && n == 1 {
		return 0
	}
	return n
}

// escapeLen is the length of the escape that b starts with, 0 for a bad one.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(b); ok {
			return 6
		}
	}
	return 0
}

// hex4 reads the digits of a \uXXXX.
func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unescape appends the content in [start, end), which span has checked.
func (s *Scanner) unescape(dst []byte, start, end int) []byte {
	b := s.data[start:end]
	for i := 0; i < len(b); {
		if b[i] != '\\' {
			n := bytes.IndexByte(b[i:], '\\')
			if n < 0 {
				n = len(b) - i
			}
			dst = append(dst, b[i:i+n]...)
			i += n
			continue
		}
		if c := escapes[b[i+1]]; c != 0 {
			dst = append(dst, c)
			i += 2
			continue
		}
		r, _ := hex4(b[i:])
		i += 6
		if utf16.IsSurrogate(r) {
			low, ok := hex4(b[i:])
			if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
				r = pair
				i += 6
			} else {
				r = utf8.RuneError
			}
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}
