package replicationtest

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"antipode/replication"
	"antipode/replication/hlc"
	"antipode/replication/link"
)

// checkOrigin is I5 on the wire.
func (sim *simulation) checkOrigin(from replication.Region, b *link.Batch) {
	for i := range b.Records {
		if r := &b.Records[i]; r.Version.Region != from || r.Cause == replication.ByReplica || r.Old != nil {
			sim.fail(fmt.Errorf("%s ships a record of %s (cause %d, %d bytes of old image)", from, r.Version.Region, r.Cause, len(r.Old)))
		}
	}
}

// withForeign is b with a record that from applied from elsewhere: the bug
// ShipForeign.
func (sim *simulation) withForeign(from replication.Region, b *link.Batch) *link.Batch {
	out := *b
	for _, log := range sim.regions[from].durable().logs {
		for _, gen := range log {
			for _, e := range gen {
				if e.rec.Version.Region != from && out.Kind == link.Log {
					e.rec.Old = nil
					out.Records = append(out.Records[:len(b.Records):len(b.Records)], e.rec)
				}
			}
		}
	}
	return &out
}

// disk is what a region would hold after a crash now.
type disk struct {
	cells  map[string]cell
	ledger map[string]replication.Ledger
	floor  hlc.Timestamp
	logs   [][][]entry
}

// journal is what the region's disk holds now.
func (r *region) journal() []op {
	r.mu.Lock()
	journal := r.disk
	l := r.life
	r.mu.Unlock()
	if l != nil {
		l.store.mu.Lock()
		journal = l.store.journal[:l.store.synced:l.store.synced]
		l.store.mu.Unlock()
	}
	return journal
}

// restored is a store as it would be after a crash now.
func (r *region) restored() *store { return newStore(r.name, r.parts, r.journal(), nil, nil, NoBug) }

func (r *region) durable() disk {
	s := r.restored()
	d := disk{cells: map[string]cell{}, ledger: map[string]replication.Ledger{}, floor: s.floor}
	for _, p := range s.parts {
		d.logs = append(d.logs, p.log)
		for k, c := range p.cells {
			d.cells[k] = c
		}
		maps.Copy(d.ledger, p.ledger)
	}
	return d
}

// has tells whether nothing more is to be done here about r: its key holds the
// same or a greater version, or did so when its tombstone was dropped.
func (d disk) has(r *replication.Record) bool {
	if r.Cause == replication.Lost {
		return slices.ContainsFunc(d.ledger[string(r.Key)], func(e replication.Entry) bool {
			return !e.Provisional && e.Loser == r.Verdict.Loser
		})
	}
	c, ok := d.cells[string(r.Key)]
	if !ok {
		return !d.floor.Less(r.Version.Time)
	}
	return c.version.Compare(r.Version) >= 0
}

// checkLinks is I7: what a link's position or its watermark covers, or a peer was
// told to be closed, the peer has on its disk.
func (sim *simulation) checkLinks() {
	// What was acknowledged first, what is on the disks after.
	stats, disks := map[replication.Region][]link.Stats{}, map[replication.Region]disk{}
	inbound := map[replication.Region]marks{}
	for name, r := range sim.regions {
		if l := r.current(); l != nil {
			stats[name] = l.group.Stats()
			inbound[name] = l.marks()
		}
	}
	for name, r := range sim.regions {
		disks[name] = r.durable()
	}
	for name := range stats {
		from := disks[name]
		for _, st := range stats[name] {
			to := disks[st.Peer]
			for g, gen := range from.logs[st.Source.Partition] {
				for _, e := range gen {
					if e.rec.Version.Region != name {
						continue
					}
					at := replication.Position{Generation: replication.Generation(g + 1), Sequence: e.rec.Sequence}
					closed := inbound[st.Peer][name][st.Source.Partition]
					covered := before(at, st.Acknowledged)
					durable := !st.Durable.Less(e.rec.Version.Time)
					told := !closed.Less(e.rec.Version.Time)
					if (covered || durable || told) && !to.has(&e.rec) {
						sim.fail(fmt.Errorf("%s lacks %q %v of %s: position %v covers it: %v, watermark %v: %v, closed time %v: %v",
							st.Peer, e.rec.Key, e.rec.Version, name, st.Acknowledged, covered, st.Durable, durable, closed, told))
						return
					}
				}
			}
		}
	}
}

func before(at, p replication.Position) bool {
	if at.Generation != p.Generation {
		return at.Generation < p.Generation
	}
	return at.Sequence <= p.Sequence
}

// checkConverged compares every region with the greatest version of each key in
// the logs of the regions that originated them.
func (sim *simulation) checkConverged() error {
	want := map[string]replication.Record{}
	disks := map[replication.Region]disk{}
	for _, name := range sim.names {
		disks[name] = sim.regions[name].durable()
		for _, log := range disks[name].logs {
			for _, gen := range log {
				for _, e := range gen {
					if e.rec.Cause != replication.Lost && e.rec.Version.Region == name && e.rec.Version.Compare(want[string(e.rec.Key)].Version) > 0 {
						want[string(e.rec.Key)] = e.rec
					}
				}
			}
		}
	}
	var errs []error
	for key, v := range sim.acked {
		if want[key].Version.Compare(v) < 0 {
			errs = append(errs, fmt.Errorf("acknowledged write %v of %q is in no log", v, key))
		}
	}
	for _, name := range sim.names {
		for key, w := range want {
			c, ok := disks[name].cells[key]
			switch {
			case w.Delete && (!ok || c.deleted && c.version == w.Version):
			case !ok:
				errs = append(errs, fmt.Errorf("%s lacks %q %v", name, key, w.Version))
			case c.version != w.Version || c.deleted != w.Delete || c.value != string(w.New):
				errs = append(errs, fmt.Errorf("%s holds %q %v %q deleted=%v, want %v %q deleted=%v",
					name, key, c.version, c.value, c.deleted, w.Version, w.New, w.Delete))
			}
		}
		for key := range disks[name].cells {
			if _, ok := want[key]; !ok {
				errs = append(errs, fmt.Errorf("%s holds %q, which nobody wrote", name, key))
			}
		}
	}
	return errors.Join(errs...)
}
