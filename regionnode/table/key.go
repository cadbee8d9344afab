package table

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"antipode/regionnode/item"
)

// Every full key starts with the hash of its partition key, so that a partition
// is a run of key bytes and a Scan goes in hash order. On disk and in partition
// maps: frozen.
//
//	key = hash64(ordered(hash attributes)) big-endian
//	      | ordered(hash attributes) | ordered(range attributes)
//
// where ordered is item.AppendOrdered, attribute by attribute, and hash64 is
// xxHash64 with seed 0.

// HashLen is the length of a key's hash.
const HashLen = 8

// KeyError says why an item has no key: an attribute is missing (Found is
// item.Invalid), or of a kind that cannot be a key. Whoever answers a client
// words it, since each operation has its own message.
type KeyError struct {
	Name  string
	Found item.Kind
}

func (e *KeyError) Error() string {
	if e.Found == item.Invalid {
		return "missing key attribute " + e.Name
	}
	return fmt.Sprintf("key attribute %s is a %v", e.Name, e.Found)
}

// Names are all key attribute names, hash first. The result must not be changed.
func (k KeySchema) Names() []string {
	if len(k.Range) == 0 {
		return k.Hash
	}
	return append(k.Hash[:len(k.Hash):len(k.Hash)], k.Range...)
}

// Has tells whether the attribute is part of the key.
func (k KeySchema) Has(name string) bool {
	for _, n := range k.Hash {
		if n == name {
			return true
		}
	}
	for _, n := range k.Range {
		if n == name {
			return true
		}
	}
	return false
}

// Key appends the full key of it. An attribute that is missing or no S, N or B
// is a *KeyError; defined types and lengths are the caller's to check.
func (k KeySchema) Key(dst []byte, it item.Item) ([]byte, error) {
	return k.key(dst, func(dst []byte, name string) ([]byte, item.Kind, error) {
		v, _ := it.Get(name)
		switch v.Kind() {
		case item.S, item.N, item.B:
			dst = item.AppendOrdered(dst, v)
		}
		return dst, v.Kind(), nil
	})
}

// KeyOf is Key of an encoded item, of which only the key attributes are read.
func (k KeySchema) KeyOf(dst []byte, e item.Encoded) ([]byte, error) {
	return k.key(dst, e.AppendOrdered)
}

// ordered appends the ordered form of a key attribute and tells its kind, as
// item.Encoded.AppendOrdered does.
type ordered func(dst []byte, name string) ([]byte, item.Kind, error)

func (k KeySchema) key(dst []byte, from ordered) ([]byte, error) {
	start := len(dst)
	out, err := appendAll(append(dst, make([]byte, HashLen)...), k.Hash, from)
	if err != nil {
		return dst, err
	}
	seal(out[start:])
	if out, err = appendAll(out, k.Range, from); err != nil {
		return dst, err
	}
	return out, nil
}

func appendAll(dst []byte, names []string, from ordered) ([]byte, error) {
	for _, name := range names {
		out, kind, err := from(dst, name)
		if err != nil {
			return dst, fmt.Errorf("read key attribute %s: %w", name, err)
		}
		if kind != item.S && kind != item.N && kind != item.B {
			return dst, &KeyError{Name: name, Found: kind}
		}
		dst = out
	}
	return dst, nil
}

// seal puts the hash of b[HashLen:] into its place.
func seal(b []byte) { binary.BigEndian.PutUint64(b, xxhash.Sum64(b[HashLen:])) }

// HashPrefix appends what all keys of one item collection start with: the hash
// and the ordered hash attributes, which must be S, N or B.
func HashPrefix(dst []byte, hashValues []item.Value) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, HashLen)...)
	for _, v := range hashValues {
		dst = item.AppendOrdered(dst, v)
	}
	seal(dst[start:])
	return dst
}

// Hash is a full key's hash, by which it belongs to a partition; 0 for less
// than HashLen bytes.
func Hash(key []byte) uint64 {
	if len(key) < HashLen {
		return 0
	}
	return binary.BigEndian.Uint64(key)
}

var errKey = errors.New("table: bad key")

// DecodeKey is the key attributes of a full key.
func DecodeKey(k KeySchema, key []byte) (item.Item, error) {
	if len(key) < HashLen {
		return nil, errKey
	}
	fields := make([]item.Field, 0, len(k.Hash)+len(k.Range))
	rest := key[HashLen:]
	for _, name := range k.Names() {
		v, after, err := item.DecodeOrdered(rest)
		if err != nil {
			return nil, fmt.Errorf("decode key attribute %s: %w", name, err)
		}
		fields = append(fields, item.Field{Name: name, Value: v})
		rest = after
	}
	if len(rest) != 0 {
		return nil, errKey
	}
	return item.Make(fields), nil
}

// HashPrefixLen is the length of the item collection's prefix of a full key.
func (k KeySchema) HashPrefixLen(key []byte) (int, error) {
	if len(key) < HashLen {
		return 0, errKey
	}
	rest := key[HashLen:]
	for _, name := range k.Hash {
		_, after, err := item.DecodeOrdered(rest)
		if err != nil {
			return 0, fmt.Errorf("decode key attribute %s: %w", name, err)
		}
		rest = after
	}
	return len(key) - len(rest), nil
}
