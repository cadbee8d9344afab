package item

import (
	"encoding/base64"
	"unicode/utf8"
	"unsafe"

	"antipode/regionnode/item/jsonscan"
)

// String is the item in DynamoDB JSON, for messages and tests.
func (it Item) String() string { return string(it.AppendJSON(nil)) }

// String is the value in DynamoDB JSON, for messages and tests.
func (v Value) String() string { return string(v.AppendJSON(nil)) }

// AppendJSON appends the item in DynamoDB JSON: {"a":{"S":"x"},…}.
func (it Item) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	for i, f := range it {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendJSONString(dst, f.Name), ':')
		dst = f.Value.AppendJSON(dst)
	}
	return append(dst, '}')
}

// AppendJSON appends the value in DynamoDB JSON: {"S":"x"}; {} for no value.
func (v Value) AppendJSON(dst []byte) []byte {
	if v.kind == Invalid {
		return append(dst, '{', '}')
	}
	dst = appendOpen(dst, v.kind)
	switch v.kind {
	case S:
		dst = appendJSONString(dst, v.Text())
	case B:
		dst = appendJSONBase64(dst, v.Text())
	case N:
		dst = appendJSONNumber(dst, v.Number())
	case BOOL:
		dst = appendJSONBool(dst, v.flag)
	case NULL:
		dst = append(dst, "true"...)
	case M:
		dst = v.Fields().AppendJSON(dst)
	default:
		dst = append(dst, '[')
		for i, e := range v.Elems() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSONElem(dst, v.kind, e)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func appendJSONElem(dst []byte, k Kind, e Value) []byte {
	switch k {
	case SS:
		return appendJSONString(dst, e.Text())
	case NS:
		return appendJSONNumber(dst, e.Number())
	case BS:
		return appendJSONBase64(dst, e.Text())
	}
	return e.AppendJSON(dst)
}

// appendOpen appends {"S": and so on.
func appendOpen(dst []byte, k Kind) []byte {
	dst = append(dst, '{', '"')
	dst = append(dst, kindNames[k]...)
	return append(dst, '"', ':')
}

func appendJSONNumber(dst []byte, n Number) []byte {
	return append(n.Append(append(dst, '"')), '"')
}

func appendJSONBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, "true"...)
	}
	return append(dst, "false"...)
}

func appendJSONBase64(dst []byte, s string) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, unsafe.Slice(unsafe.StringData(s), len(s)))
	return append(dst, '"')
}

const hexDigits = "0123456789abcdef"

// appendJSONString quotes s. What is no UTF-8 becomes U+FFFD: the result is
// always valid JSON.
func appendJSONString(dst []byte, s string) []byte {
	b := unsafe.Slice(unsafe.StringData(s), len(s))
	dst = append(dst, '"')
	for {
		n := jsonscan.PlainPrefix(b)
		dst = append(dst, b[:n]...)
		if b = b[n:]; len(b) == 0 {
			return append(dst, '"')
		}
		if b[0] < utf8.RuneSelf {
			dst = appendJSONEscape(dst, b[0])
			b = b[1:]
			continue
		}
		r, n := utf8.DecodeRune(b)
		dst = utf8.AppendRune(dst, r)
		b = b[n:]
	}
}

func appendJSONEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
