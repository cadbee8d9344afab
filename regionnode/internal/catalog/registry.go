package catalog

import (
	"context"

	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/ring"
)

// SetPeer implements Registry.
func (c *Catalog) SetPeer(ctx context.Context, p Peer) error {
	return c.change(ctx, func(t *txn) error {
		regions := []string{c.cfg.Region, p.Region}
		for r := range t.s.peers {
			if r != p.Region {
				regions = append(regions, r)
			}
		}
		if err := ring.CheckRegions(regions); err != nil {
			return apierr.Invalid("Peer region: %v.", err)
		}
		if held := t.s.peers[p.Region]; held != nil && same(held, &p) {
			return nil
		}
		return t.put(peerPrefix+p.Region, &p)
	})
}

// RemovePeer implements Registry.
func (c *Catalog) RemovePeer(ctx context.Context, region string) error {
	return c.change(ctx, func(t *txn) error {
		for name, row := range t.s.tables {
			if g := row.Descriptor.Global; g != nil && replica(g, region) != nil {
				return apierr.Newf(apierr.ResourceInUse, "Attempt to change a resource which is still in use: Region %s has a replica of table: %s", region, name)
			}
		}
		if t.s.peers[region] != nil {
			t.drop(peerPrefix + region)
		}
		return nil
	})
}

// Peers implements Registry.
func (c *Catalog) Peers(ctx context.Context) (out []Peer, err error) {
	err = c.confirmed(ctx, func(s *state) error {
		out = sorted(s.peers)
		return nil
	})
	return out, err
}

// PutAccessKey implements Registry.
func (c *Catalog) PutAccessKey(ctx context.Context, k AccessKey) error {
	if k.ID == "" || k.Secret == "" {
		return apierr.Invalid("An access key needs an id and a secret.")
	}
	return c.change(ctx, func(t *txn) error {
		if held := t.s.keys[k.ID]; held != nil && same(held, &k) {
			return nil
		}
		return t.put(accessPrefix+k.ID, &k)
	})
}

// DeleteAccessKey implements Registry.
func (c *Catalog) DeleteAccessKey(ctx context.Context, id string) error {
	return c.change(ctx, func(t *txn) error {
		if t.s.keys[id] != nil {
			t.drop(accessPrefix + id)
		}
		return nil
	})
}

// AccessKeys implements Registry.
func (c *Catalog) AccessKeys(ctx context.Context) (out []AccessKey, err error) {
	err = c.confirmed(ctx, func(s *state) error {
		out = sorted(s.keys)
		return nil
	})
	return out, err
}
