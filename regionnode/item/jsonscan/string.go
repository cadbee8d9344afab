package jsonscan

import (
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

const (
	stopNone   = iota
	stopByte   // a quote, a backslash or a control character
	stopNotASC // the first byte of a longer character
)

var stops = func() (t [256]uint8) {
	for i := range t {
		switch {
		case i < ' ' || i == '"' || i == '\\':
			t[i] = stopByte
		case i >= utf8.RuneSelf:
			t[i] = stopNotASC
		}
	}
	return t
}()

// span takes a string: the bounds of its content, and whether that is the text
// itself, without escapes. Escapes are checked here, so that unescape need not
// fail on what Skip lets pass.
func (s *Scanner) span() (start, end int, plain bool, err error) {
	if s.Peek() != String {
		return 0, 0, false, s.unexpected(String.String())
	}
	d := s.data
	start, plain = s.pos+1, true
	for i := start; i < len(d); {
		switch stops[d[i]] {
		case stopNone:
			i++
			continue
		case stopNotASC:
			r, n := utf8.DecodeRune(d[i:])
			if r == utf8.RuneError && n == 1 {
				s.pos = i
				return 0, 0, false, s.fail("invalid UTF-8")
			}
			i += n
			continue
		}
		switch d[i] {
		case '"':
			s.pos = i + 1
			s.fresh = false
			return start, i, plain, nil
		case '\\':
			plain = false
			n := escapeLen(d[i:])
			if n == 0 {
				s.pos = i
				return 0, 0, false, s.fail("bad escape")
			}
			i += n
		default:
			s.pos = i
			return 0, 0, false, s.fail("control character in a string")
		}
	}
	s.pos = len(d)
	return 0, 0, false, s.fail("unexpected end of input")
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
			dst = append(dst, b[i])
			i++
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
