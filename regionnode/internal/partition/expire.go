package partition

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/internal/keys"
	"antipode/regionnode/item"
	"antipode/replication"
)

// ttlHorizon is how long ago an item may have expired: an older time is taken
// for a mistake and left alone, as in DynamoDB.
const ttlHorizon = 5 * 365 * 24 * time.Hour

// expiry is when items of a table expire.
type expiry struct {
	attribute string
	// Items expire whose time lies between oldest and now, both included.
	now, oldest item.Number
}

// expiryOf reads the time-to-live setting in force; false when there is none.
func expiryOf(v *view, now time.Time) (expiry, bool) {
	d := v.spec.Descriptor
	if d == nil || d.ID != v.spec.Table || d.TTL == nil || d.TTL.Status != "ENABLED" {
		return expiry{}, false
	}
	return expiry{
		attribute: d.TTL.Attribute,
		now:       item.NumberFromInt64(now.Unix()),
		oldest:    item.NumberFromInt64(now.Add(-ttlHorizon).Unix()),
	}, true
}

// of tells whether an item has expired, and otherwise at which Unix second it
// will; math.MaxInt64 for never.
func (x *expiry) of(image item.Encoded) (expired bool, at int64, err error) {
	v, ok, err := image.Get(x.attribute)
	if err != nil || !ok || v.Kind() != item.N {
		return false, math.MaxInt64, err
	}
	n := v.Number()
	if n.Compare(x.now) > 0 {
		return false, secondsUp(n), nil
	}
	return n.Compare(x.oldest) >= 0, math.MaxInt64, nil
}

// secondsUp is the first whole second at or after a time in the future.
func secondsUp(n item.Number) int64 {
	if at, whole := n.Int64(); whole {
		return at
	}
	f, err := strconv.ParseFloat(n.String(), 64)
	if err != nil || f >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(math.Ceil(f))
}

// Expires tells whether this replica leads a partition whose items expire, and
// how many entries it has applied: with the same number nothing has changed.
func (p *Partition) Expires() (applied uint64, ok bool) {
	if _, ok := expiryOf(p.view(), time.Time{}); !ok || !p.role.Load().ready {
		return 0, false
	}
	p.applied.mu.Lock()
	defer p.applied.mu.Unlock()
	return p.applied.state.Index, true
}

// Expired is what ScanExpired found.
type Expired struct {
	// Keys of items that have expired, in key order.
	Keys [][]byte
	// Last is the key to go on behind, nil when the scan came to the end.
	Last []byte
	// Next is the Unix second at which the next of the other items seen expires;
	// math.MaxInt64 for never.
	Next int64
	// Bytes that were read.
	Bytes int
}

// ScanExpired looks at items behind after, about maxBytes of them, for those
// whose time has come. Nothing is decided by it: see Expire.
func (p *Partition) ScanExpired(ctx context.Context, after []byte, now time.Time, maxBytes int) (*Expired, error) {
	v := p.view()
	out := &Expired{Next: math.MaxInt64}
	x, on := expiryOf(v, now)
	if !on {
		return out, nil
	}
	it, err := p.host.cfg.Store.Iterate(v.spec.itemsAfter(after))
	if err != nil {
		return nil, err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		key, _ := keys.DataKey(it.Key())
		image, err := storedItem(it.Value())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", keys.Print(it.Key()), err)
		}
		out.Bytes += len(it.Key()) + len(it.Value())
		if len(image) > 0 {
			expired, at, err := x.of(image)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", keys.Print(it.Key()), err)
			}
			if expired {
				out.Keys = append(out.Keys, bytes.Clone(key))
			}
			out.Next = min(out.Next, at)
		}
		if out.Bytes >= maxBytes {
			out.Last = bytes.Clone(key)
			return out, ctx.Err()
		}
	}
	return out, it.Error()
}

// Expire deletes those of the keys, given in key order, whose items have expired
// by the setting and the values in force when each is looked at, and returns how
// many that were. After an error some of them may be deleted.
func (p *Partition) Expire(ctx context.Context, keys [][]byte, now time.Time) (int, error) {
	var props []*proposal
	for _, key := range keys {
		if err := p.latches.acquire(ctx, string(key)); err != nil {
			p.discard(props)
			return 0, err
		}
		prop, err := p.evaluateExpiry(ctx, key, now)
		if err != nil {
			p.latches.release(string(key))
			p.discard(props)
			return 0, err
		}
		if prop == nil {
			p.latches.release(string(key))
			continue
		}
		prop.latched = []string{string(key)}
		props = append(props, prop)
	}
	if len(props) == 0 {
		return 0, nil
	}
	if err := p.submit(props...); err != nil {
		return 0, err
	}
	deleted, errs := 0, []error(nil)
	for _, prop := range props {
		if err := prop.await(ctx); err != nil {
			errs = append(errs, err)
			continue
		}
		deleted++
	}
	return deleted, errors.Join(errs...)
}

// evaluateExpiry evaluates the deletion of one item whose key is latched; nil
// when the item has not expired, or not any more.
func (p *Partition) evaluateExpiry(ctx context.Context, key []byte, now time.Time) (*proposal, error) {
	r, err := p.leading(ctx)
	if err != nil {
		return nil, err
	}
	v := p.view()
	x, on := expiryOf(v, now)
	if !on || v.schema.leaving || !v.spec.hashes().Contains(key) || p.marked(key) != nil {
		return nil, nil
	}
	e := evaluation{p: p, view: v, key: key}
	defer e.close()
	if err := e.load(); err != nil || !e.old.live() {
		return nil, err
	}
	expired, _, err := x.of(e.old.Item)
	if err != nil || !expired {
		return nil, err
	}
	prop, err := e.stamped(replication.ByTTL, new(regionnode.Usage))
	if err != nil {
		return nil, err
	}
	prop.term = r.term
	return prop, nil
}
