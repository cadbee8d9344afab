package replicationtest

import (
	"fmt"
	"slices"

	"antipode/replication"
)

// A note is what an op does to the ledger of its record's key, or of key.
type note struct {
	key     string
	keep    []replication.Entry
	settled []replication.Version
}

// amend is the ledger's part of apply; mu is held.
func (p *part) amend(n *note) {
	l := slices.DeleteFunc(p.ledger[n.key], func(e replication.Entry) bool {
		return slices.Contains(n.settled, e.Loser) || slices.ContainsFunc(n.keep, func(k replication.Entry) bool { return k.Loser == e.Loser })
	})
	if p.ledger[n.key] = append(l, n.keep...); len(p.ledger[n.key]) == 0 {
		delete(p.ledger, n.key)
	}
}

func (c cell) fact() replication.Value {
	return replication.Value{Version: c.version, Context: c.context, Delete: c.deleted}
}

func fact(r *replication.Record) replication.Value {
	return replication.Value{Version: r.Version, Context: r.Context, Delete: r.Delete}
}

// take is the op that a record of another region makes where held is, nil for
// none; mu is held.
func (s *store) take(i int, held cell, r replication.Record) *op {
	p, key := s.parts[i], string(r.Key)
	n := &note{key: key}
	o := op{part: i, note: n}
	for _, e := range p.ledger[key] {
		if e.Settled(r.Context) {
			n.settled = append(n.settled, e.Loser)
		}
	}
	if r.Cause == replication.Lost {
		if s.bug != ForgetVerdicts {
			n.keep = append(n.keep, r.Entry())
		}
		return &o
	}
	out := replication.Decide(s.region, held.fact(), fact(&r))
	if s.bug == IgnoreVersions && r.Version != held.version {
		out.Replace = true
	}
	switch {
	case s.bug == BlindVerdicts:
		out.Lost = out.Replace && held.version.Region == s.region
	case s.bug == VerdictElsewhere:
		out.Lost = out.Replace && held.version.Region != s.region && replication.Conflicts(fact(&r), held.fact())
	}
	if out.Replace {
		r.Cause = replication.ByReplica
		o.record = &r
	}
	if out.Lost {
		stamp := replication.Version{Time: s.clock.Now(), Region: s.region}
		o.verdict = held.fact().Verdict(r.Key, held.image(), fact(&r), stamp)
		n.keep = append(n.keep, o.verdict.Entry())
	}
	if out.Discarded && p.ledger[key].Provisional(fact(&r)) {
		n.keep = append(n.keep, replication.Entry{
			Verdict: replication.Verdict{Loser: r.Version, Winner: held.version, WinnerDelete: held.deleted},
			Context: r.Context, Delete: r.Delete, Image: r.New, Provisional: true,
		})
	}
	if o.record == nil && len(n.keep)+len(n.settled) == 0 {
		return nil
	}
	return &o
}

func (c cell) image() []byte {
	if c.deleted {
		return nil
	}
	return []byte(c.value)
}

// An ancestry knows what every write truly replaced, whatever contexts say.
type ancestry map[string]map[replication.Version]replication.Version

// sees tells whether the write v of key replaced old, or something that did.
func (a ancestry) sees(key string, v, old replication.Version) bool {
	for ; !v.IsZero(); v = a[key][v] {
		if v == old {
			return true
		}
	}
	return false
}

// lostWrites replays every region's journal: a write is lost when at its origin
// it is replaced by one that had not seen it. It uses nothing of the rule.
func (sim *simulation) lostWrites() map[string]replication.Entry {
	family, want := ancestry{}, map[string]replication.Entry{}
	type replaced struct {
		origin      replication.Region
		loser, next *replication.Record
	}
	var all []replaced
	for _, name := range sim.names {
		held := map[string]*replication.Record{}
		for _, o := range sim.regions[name].journal() {
			if o.record == nil {
				continue
			}
			key := string(o.record.Key)
			if family[key] == nil {
				family[key] = map[replication.Version]replication.Version{}
			}
			if old := held[key]; old != nil {
				if o.record.Version.Region == name {
					family[key][o.record.Version] = old.Version
				} else if old.Version.Region == name {
					all = append(all, replaced{name, old, o.record})
				}
			}
			held[key] = o.record
		}
	}
	for _, r := range all {
		key := string(r.loser.Key)
		if r.loser.Delete && r.next.Delete || family.sees(key, r.next.Version, r.loser.Version) {
			continue
		}
		e := replication.Entry{
			Verdict: replication.Verdict{Loser: r.loser.Version, Winner: r.next.Version, WinnerDelete: r.next.Delete},
			Context: r.loser.Context, Delete: r.loser.Delete, Image: r.loser.New,
		}
		want[entryName(key, &e)] = e
	}
	return want
}

func entryName(key string, e *replication.Entry) string {
	return fmt.Sprintf("%q %v by %v deleted=%v,%v image %q provisional=%v", key, e.Loser, e.Winner, e.Delete, e.WinnerDelete, e.Image, e.Provisional)
}

// checkLedgers compares every region's ledger with the writes that were lost,
// entry by entry.
func (sim *simulation) checkLedgers() (lost int, err error) {
	want := sim.lostWrites()
	for _, name := range sim.names {
		got := map[string]bool{}
		for _, p := range sim.regions[name].restored().parts {
			for key, l := range p.ledger {
				for i := range l {
					if l[i].Conflict() {
						got[entryName(key, &l[i])] = true
					}
				}
			}
		}
		for e := range want {
			if !got[e] {
				return 0, fmt.Errorf("ledger of %s lacks %s", name, e)
			}
		}
		for e := range got {
			if _, ok := want[e]; !ok {
				return 0, fmt.Errorf("ledger of %s has %s, which was not lost", name, e)
			}
		}
	}
	return len(want), nil
}
