package table

import "slices"

// Effective is the descriptor as its own region's users see it: with what the
// table replica there overrides of the settings that a global table has in
// common (AWS: table class, read capacity, the bound of on-demand reads). It is d
// itself when nothing is overridden.
func (d *Descriptor) Effective() *Descriptor {
	r := d.Replica(d.Region)
	if r == nil || r.TableClass == "" && r.ReadOverride == nil && r.OnDemandRead == nil && len(r.Indexes) == 0 {
		return d
	}
	next := *d
	if r.TableClass != "" {
		next.Class = r.TableClass
	}
	next.Throughput, next.OnDemand = override(d.Throughput, d.OnDemand, r.ReadOverride, r.OnDemandRead)
	next.Globals = slices.Clone(d.Globals)
	for _, o := range r.Indexes {
		if i := slices.IndexFunc(next.Globals, func(x Index) bool { return x.Name == o.Name }); i >= 0 {
			x := &next.Globals[i]
			x.Throughput, x.OnDemand = override(x.Throughput, x.OnDemand, o.ReadOverride, o.OnDemandRead)
		}
	}
	return &next
}

func override(t Throughput, demand *OnDemand, read, bound *int64) (Throughput, *OnDemand) {
	if read != nil {
		t.Read = *read
	}
	if bound == nil {
		return t, demand
	}
	next := OnDemand{MaxRead: *bound, MaxWrite: -1}
	if demand != nil {
		next.MaxWrite = demand.MaxWrite
	}
	return t, &next
}
