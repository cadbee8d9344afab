package item

// AppendJSON appends the item in DynamoDB JSON, straight from the compact form.
// It trusts the bytes as far as Validate would; of broken ones it writes what
// it can read, closed properly.
func (e Encoded) AppendJSON(dst []byte) []byte {
	r := reader{rest: view(e)}
	if _, err := r.header(); err != nil {
		return append(dst, '{', '}')
	}
	return r.fieldsJSON(dst, 0)
}

func (r *reader) fieldsJSON(dst []byte, depth int) []byte {
	dst = append(dst, '{')
	n, err := r.count()
	if depth > maxEncodedDepth {
		n = 0
	}
	for i := 0; err == nil && i < n; i++ {
		var name string
		if name, err = r.text(); err != nil {
			break
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendJSONString(dst, name), ':')
		dst, err = r.valueJSON(dst, depth+1)
	}
	return append(dst, '}')
}

func (r *reader) valueJSON(dst []byte, depth int) ([]byte, error) {
	k, isTrue, err := r.kind()
	if err != nil || k == Invalid {
		return append(dst, '{', '}'), err
	}
	var s string
	if k != BOOL && k != NULL {
		if s, err = r.text(); err != nil {
			return append(dst, '{', '}'), err
		}
	}
	dst = appendOpen(dst, k)
	switch k {
	case BOOL:
		dst = appendJSONBool(dst, isTrue)
	case NULL:
		dst = append(dst, "true"...)
	case M:
		inner := reader{rest: s}
		dst = inner.fieldsJSON(dst, depth)
	case L, SS, NS, BS:
		inner := reader{rest: s}
		dst = inner.elemsJSON(dst, k, depth)
	default:
		dst = appendScalarJSON(dst, k, s)
	}
	return append(dst, '}'), nil
}

func (r *reader) elemsJSON(dst []byte, k Kind, depth int) []byte {
	dst = append(dst, '[')
	n, err := r.count()
	if depth > maxEncodedDepth {
		n = 0
	}
	for i := 0; err == nil && i < n; i++ {
		if r.rest == "" {
			break
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		if k == L {
			dst, err = r.valueJSON(dst, depth+1)
			continue
		}
		var s string
		if s, err = r.text(); err != nil {
			s = ""
		}
		dst = appendScalarJSON(dst, elemKind(k), s)
	}
	return append(dst, ']')
}

// elemKind is the kind of a set's elements.
func elemKind(set Kind) Kind { return set - SS + S }

// appendScalarJSON appends the content of an S, N or B from its payload.
func appendScalarJSON(dst []byte, k Kind, payload string) []byte {
	switch k {
	case N:
		n, _ := decodeNumber(payload)
		return appendJSONNumber(dst, n)
	case B:
		return appendJSONBase64(dst, payload)
	}
	return appendJSONString(dst, payload)
}
