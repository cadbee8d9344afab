package index

import (
	"bytes"
	"fmt"
	"slices"

	"antipode/regionnode"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
	"antipode/replication"
)

// derive is what changes, in order, do to an index. Of several changes of one
// entry the last is left: nobody can tell that the others were skipped.
func derive(entries *table.Entries, recs []replication.Record) ([]regionnode.IndexChange, error) {
	d := derivation{at: make(map[string]int, len(recs))}
	for i := range recs {
		r := &recs[i]
		c, err := entries.Change(item.Encoded(r.Old), item.Encoded(r.New))
		if err != nil {
			return nil, fmt.Errorf("change %d: %w", r.Sequence, err)
		}
		if c.Old != nil && (c.New == nil || c.Moves()) {
			d.add(regionnode.IndexChange{Sequence: r.Sequence, Key: c.Old.Key, Version: r.Version})
		}
		if c.New != nil {
			d.add(regionnode.IndexChange{Sequence: r.Sequence, Key: c.New.Key, Version: r.Version, Image: c.New.Image})
		}
	}
	return d.sorted(), nil
}

// current are the entries of items as a back-fill reads them.
func current(entries *table.Entries, recs []replication.Record) ([]regionnode.IndexChange, error) {
	d := derivation{at: make(map[string]int, len(recs))}
	for i := range recs {
		entry, ok, err := entries.Of(item.Encoded(recs[i].New))
		if err != nil {
			return nil, fmt.Errorf("item %x: %w", recs[i].Key, err)
		}
		if ok {
			d.add(regionnode.IndexChange{Key: entry.Key, Version: recs[i].Version, Image: entry.Image})
		}
	}
	return d.sorted(), nil
}

type derivation struct {
	changes []regionnode.IndexChange
	at      map[string]int // index in changes by key
}

func (d *derivation) add(c regionnode.IndexChange) {
	if i, ok := d.at[string(c.Key)]; ok {
		d.changes[i] = c
		return
	}
	d.at[string(c.Key)] = len(d.changes)
	d.changes = append(d.changes, c)
}

func (d *derivation) sorted() []regionnode.IndexChange {
	slices.SortFunc(d.changes, func(a, b regionnode.IndexChange) int { return bytes.Compare(a.Key, b.Key) })
	return d.changes
}
