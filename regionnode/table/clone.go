package table

import "slices"

// Clone is a deep copy, for making the next generation.
func (d *Descriptor) Clone() *Descriptor {
	c := *d
	c.Attributes = slices.Clone(d.Attributes)
	c.Key = d.Key.Clone()
	c.Locals = cloneEach(d.Locals, Index.Clone)
	c.Globals = cloneEach(d.Globals, Index.Clone)
	c.OnDemand = clonePtr(d.OnDemand)
	c.Warm = clonePtr(d.Warm)
	c.Encryption = clonePtr(d.Encryption)
	c.Stream = clonePtr(d.Stream)
	c.Past = slices.Clone(d.Past)
	c.TTL = clonePtr(d.TTL)
	c.Tags = slices.Clone(d.Tags)
	c.Global = clonePtr(d.Global)
	if c.Global != nil {
		c.Global.Replicas = cloneEach(d.Global.Replicas, Replica.Clone)
	}
	return &c
}

// Clone is a deep copy.
func (k KeySchema) Clone() KeySchema {
	return KeySchema{Hash: slices.Clone(k.Hash), Range: slices.Clone(k.Range)}
}

// Clone is a deep copy.
func (x Index) Clone() Index {
	x.Key = x.Key.Clone()
	x.Projection.NonKey = slices.Clone(x.Projection.NonKey)
	x.OnDemand = clonePtr(x.OnDemand)
	x.Warm = clonePtr(x.Warm)
	return x
}

// Clone is a deep copy.
func (r Replica) Clone() Replica {
	r.ReadOverride = clonePtr(r.ReadOverride)
	r.OnDemandRead = clonePtr(r.OnDemandRead)
	r.Warm = clonePtr(r.Warm)
	r.Indexes = cloneEach(r.Indexes, func(x ReplicaIndex) ReplicaIndex {
		x.ReadOverride = clonePtr(x.ReadOverride)
		x.OnDemandRead = clonePtr(x.OnDemandRead)
		return x
	})
	return r
}

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

func cloneEach[T any](s []T, clone func(T) T) []T {
	if s == nil {
		return nil
	}
	out := make([]T, len(s))
	for i := range s {
		out[i] = clone(s[i])
	}
	return out
}
