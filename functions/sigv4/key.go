package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"strings"
	"sync"
)

// maxSigningKeys bounds the cache of derived keys; one is needed for each
// access key, day and region.
const maxSigningKeys = 4096

// signingKeys caches derived keys. The zero value is ready.
type signingKeys struct {
	mu   sync.RWMutex
	keys map[keyID]*signingKey
}

type keyID struct{ accessKey, date, region, service string }

// signingKey is a key derived from secret. Its MACs are keyed once and used
// again, which saves hashing the key for each request.
type signingKey struct {
	secret string
	key    []byte
	macs   sync.Pool
}

// mac is a MAC on loan.
type mac struct {
	hash.Hash
	from *signingKey
}

func (m mac) free() { m.from.macs.Put(m.Hash) }

// sign appends the MAC of text to dst.
func (m mac) sign(dst, text []byte) []byte {
	m.Reset()
	m.Write(text)
	return m.Sum(dst)
}

// mac returns a MAC keyed for the scope. A secret that was changed makes a new
// key.
func (k *signingKeys) mac(s scope, secret string) mac {
	id := keyID{s.accessKey, s.date, s.region, s.service}
	k.mu.RLock()
	key := k.keys[id]
	k.mu.RUnlock()
	if key == nil || key.secret != secret {
		key = k.derive(id, secret)
	}
	if h, ok := key.macs.Get().(hash.Hash); ok {
		return mac{h, key}
	}
	return mac{hmac.New(sha256.New, key.key), key}
}

func (k *signingKeys) derive(id keyID, secret string) *signingKey {
	step := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	b := step([]byte("AWS4"+secret), id.date)
	for _, text := range []string{id.region, id.service, terminator} {
		b = step(b, text)
	}
	key := &signingKey{secret: secret, key: b}
	// The parts are slices of a request's header, which must not stay for long.
	id = keyID{strings.Clone(id.accessKey), strings.Clone(id.date), strings.Clone(id.region), strings.Clone(id.service)}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil || len(k.keys) >= maxSigningKeys {
		// Old days' keys fall away with the rest; what is in use comes back at once.
		k.keys = make(map[keyID]*signingKey)
	}
	k.keys[id] = key
	return key
}
