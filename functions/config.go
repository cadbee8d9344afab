package functions

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"antipode/functions/sigv4"
	"antipode/regionnode"
	"antipode/regionnode/table"
)

// Backend is one region as the edge needs it. client.Client is one.
type Backend interface {
	regionnode.Service
	// Descriptor answers with a table's descriptor, from a cache that may be a
	// moment old, or with ResourceNotFound (apierr.NotFound).
	Descriptor(ctx context.Context, name string) (*table.Descriptor, error)
}

// Config is what a Handler is made of. The zero value of every field but
// Regions has a meaning.
type Config struct {
	// Regions are the regions that this edge serves, by AWS region name.
	Regions map[string]Backend
	// Region, when set, is the region of every request, whichever one the
	// signature names: a region's own port, or its function. It must be a key
	// of Regions. When empty, the region in the signature's scope is served.
	Region string
	// Credentials finds the credential of an access key. With nil, signatures are
	// parsed for their region but not verified.
	Credentials sigv4.KeyStore
	// Hosts are names that clients may have signed for besides the Host received,
	// when a proxy in front rewrites it.
	Hosts []string
	// Account is the 12-digit account that new tables and ARNs belong to;
	// unless their signer's credential names another; "000000000000" when empty.
	Account string
	// MaxRequestBytes bounds a request's body; 0 means 16 MB, DynamoDB's bound.
	MaxRequestBytes int
	// MaxResponseBytes bounds an encoded answer; 0 means no bound beyond
	// DynamoDB's own (1 MB of items a page, 16 MB a batch).
	MaxResponseBytes int
	// AllowOrigin, when set, is sent as Access-Control-Allow-Origin, and
	// preflight requests are answered, for SDKs that run in browsers.
	AllowOrigin string
	// Partitions is the number of partitions of a new table; 0 leaves the choice
	// to the region.
	Partitions int
	// Logger hears of faults that are ours; nil discards.
	Logger *slog.Logger
	// Random makes request ids; nil means math/rand/v2's Uint64.
	Random func() uint64
	// Now is the clock of signatures and of the Date header; nil means time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.Account == "" {
		c.Account = "000000000000"
	}
	if c.MaxRequestBytes <= 0 {
		c.MaxRequestBytes = 16 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Uint64
	}
	return c
}

// StaticCredentials are credentials that never change: secrets by access key.
func StaticCredentials(secrets map[string]string) sigv4.KeyStore {
	keys := make(sigv4.Keys, len(secrets))
	for key, secret := range secrets {
		keys[key] = sigv4.Credential{Secret: secret}
	}
	return keys
}
