package item

import "fmt"

// AppendEncoded appends the value's compact form, with the version first.
func (v Value) AppendEncoded(dst []byte) []byte {
	return appendValue(append(dst, encodedVersion), v)
}

// MarshalBinary is AppendEncoded, for msgpack.
func (v Value) MarshalBinary() ([]byte, error) { return v.AppendEncoded(nil), nil }

// UnmarshalBinary reads what MarshalBinary wrote; it copies b.
func (v *Value) UnmarshalBinary(b []byte) error {
	r := reader{rest: string(b)}
	if r.rest == "" || r.rest[0] != encodedVersion {
		return fmt.Errorf("decode value: %w", errEncoded)
	}
	r.rest = r.rest[1:]
	value, err := r.value(0)
	if err == nil && r.rest != "" {
		err = errEncoded
	}
	if err != nil {
		return fmt.Errorf("decode value: %w", err)
	}
	*v = value
	return nil
}

// MarshalBinary is the item's Encoded form, for msgpack.
func (it Item) MarshalBinary() ([]byte, error) { return it.AppendEncoded(nil), nil }

// UnmarshalBinary reads what MarshalBinary wrote; it copies b.
func (it *Item) UnmarshalBinary(b []byte) error {
	decoded, err := Encoded(b).Decode()
	if err != nil {
		return err
	}
	*it = decoded
	return nil
}

// MarshalBinary is the number's compact form, for msgpack.
func (n Number) MarshalBinary() ([]byte, error) { return appendNumber(nil, n)[1:], nil }

// UnmarshalBinary reads what MarshalBinary wrote.
func (n *Number) UnmarshalBinary(b []byte) error {
	decoded, err := decodeNumber(string(b))
	if err != nil {
		return fmt.Errorf("decode number: %w", err)
	}
	*n = decoded
	return nil
}
