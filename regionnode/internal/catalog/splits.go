package catalog

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
	"antipode/replication"
)

// SplitIntent is a split that has been decided on. The partition does it, once,
// under these ids; the intent ends when the catalog knows the outcome.
type SplitIntent struct {
	// Right is the id of the new partition, which gets the hashes from At on; the
	// partition itself keeps those before. 0 lets the partition choose.
	Right table.PartitionID `msgpack:"r"`
	At    uint64            `msgpack:"a,omitempty"`
	// ByLoad has the partition choose by requests, else it chooses by bytes.
	ByLoad bool `msgpack:"l,omitempty"`
	// The log generations that begin with the split.
	LeftGeneration  replication.Generation `msgpack:"g"`
	RightGeneration replication.Generation `msgpack:"h"`
}

// SplitWork names a partition with an intent, and its table.
type SplitWork struct {
	Table     string
	Partition table.PartitionID
}

// SplitOrder asks for a split.
type SplitOrder struct {
	Table string `msgpack:"t"`
	// Partition of the table or of one of its global indexes; 0 for the largest of
	// the table's own.
	Partition table.PartitionID `msgpack:"p,omitempty"`
	At        uint64            `msgpack:"a,omitempty"`
	ByLoad    bool              `msgpack:"l,omitempty"`
}

const (
	// MaxSplits bounds how many splits a region makes at one time: each may read
	// half a partition.
	MaxSplits = 4
	// MaxPartitions bounds the partitions of a table, and of each of its global
	// indexes.
	MaxPartitions = 4096
)

// splitWork lists the intents, in order of partition.
func (s *state) splitWork() []SplitWork {
	var out []SplitWork
	for id, base := range s.splitting {
		if name, ok := s.names[base]; ok {
			out = append(out, SplitWork{name, id})
		}
	}
	slices.SortFunc(out, func(a, b SplitWork) int { return cmp.Compare(a.Partition, b.Partition) })
	return out
}

// BeginSplit decides on a split and answers with the partition's row. What
// speaks against it now is ResourceInUse, what always will ValidationException.
func (c *Catalog) BeginSplit(ctx context.Context, o *SplitOrder) (*Partition, error) {
	var made Partition
	err := c.change(ctx, func(t *txn) error {
		row, err := t.table(o.Table)
		if err != nil {
			return err
		}
		p, err := c.toSplit(t.s, row.Descriptor, o)
		if err != nil {
			return err
		}
		if err := c.oldNodes(t.s, 2); err != nil {
			return err
		}
		if reason := t.s.keepsWhole(row, p); reason != "" {
			return apierr.Newf(apierr.ResourceInUse, "Partition %d of table %s cannot be split now: %s", p.ID, o.Table, reason)
		}
		if err := splittable(p, o.At); err != nil {
			return err
		}
		if len(t.s.partitions[p.Table]) >= MaxPartitions {
			return apierr.Invalid("Table %s has %d partitions already.", o.Table, MaxPartitions)
		}
		made = *p
		made.Split = &SplitIntent{
			Right: table.PartitionID(t.id()), At: o.At, ByLoad: o.ByLoad,
			LeftGeneration: replication.Generation(t.id()), RightGeneration: replication.Generation(t.id()),
		}
		return t.put(idKey(partitionPrefix, uint64(p.ID)), &made)
	})
	if err != nil {
		return nil, err
	}
	return &made, nil
}

// toSplit finds the partition that an order is for.
func (c *Catalog) toSplit(s *state, d *table.Descriptor, o *SplitOrder) (*Partition, error) {
	if o.Partition != 0 {
		if p := s.byBase[d.ID][o.Partition]; p != nil && !p.Dropped {
			return p, nil
		}
		return nil, apierr.Invalid("Table %s has no partition %d.", d.Name, o.Partition)
	}
	if o.At != 0 {
		list := s.partitions[d.ID]
		for i := len(list) - 1; i >= 0; i-- {
			if list[i].Start <= o.At {
				return list[i], nil
			}
		}
	}
	return c.counts.largest(s.partitions[d.ID])
}

// splittable refuses a split that leaves one side without a hash.
func splittable(p *Partition, at uint64) error {
	switch {
	case p.End-p.Start == 1:
		return apierr.Invalid("Partition %d holds a single hash.", p.ID)
	case at != 0 && (at <= p.Start || p.End != 0 && at >= p.End):
		return apierr.Invalid("Partition %d cannot be split at %016x: it begins at %016x and ends before %016x.", p.ID, at, p.Start, p.End)
	}
	return nil
}

// keepsWhole says why a partition must not be split now, "" if it may: whoever
// works on the partitions of a table finds them as they were.
func (s *state) keepsWhole(row *tableRow, p *Partition) string {
	d := row.Descriptor
	switch {
	case d.Status != table.Active:
		return "the table is " + string(d.Status)
	case row.Pushed < d.Generation:
		return "its partitions are being told of a change"
	case row.Job != 0:
		return "its replicas are being changed"
	case slices.ContainsFunc(d.Globals, func(x table.Index) bool { return x.Status != table.Active }):
		return "a global index is being made or removed"
	case d.Global != nil && slices.ContainsFunc(d.Global.Replicas, func(r table.Replica) bool { return r.Status != table.Active }):
		return "a table replica is being made or removed"
	case p.Split != nil:
		return "it is being split already"
	case p.Move != nil:
		return "its members are being changed"
	case !p.Created || len(p.Missing) > 0:
		return "it does not have all its replicas yet"
	case len(s.splitting) >= MaxSplits:
		return fmt.Sprintf("%d partitions of the region are being split already", MaxSplits)
	}
	return ""
}

// FinishSplit records that the split was done which p's row intends: the
// partition ends at a hash, where a new one begins. It changes nothing if the
// row intends that no more, or is to go.
func (c *Catalog) FinishSplit(ctx context.Context, p *Partition, at uint64) error {
	done := false
	err := c.change(ctx, func(t *txn) error {
		row := t.intending(p)
		if done = row != nil; !done {
			return nil
		}
		if err := splittable(row, at); at == 0 || err != nil {
			return fmt.Errorf("partition %d was split at %016x, outside of its range", p.ID, at)
		}
		left, right := *row, *row
		left.Split, left.End = nil, at
		left.Epoch.Range++
		left.Generation = p.Split.LeftGeneration
		right.Split, right.ID, right.Start = nil, p.Split.Right, at
		right.Epoch = left.Epoch
		right.Generation = p.Split.RightGeneration
		if err := t.put(idKey(partitionPrefix, uint64(left.ID)), &left); err != nil {
			return err
		}
		return t.put(idKey(partitionPrefix, uint64(right.ID)), &right)
	})
	if done && err == nil {
		c.splits.done(p.ID)
	}
	return err
}

// AbandonSplit records that the split was not done and, as the partition has
// moved its epoch on, never will be. It changes nothing if the row intends it no
// more, or is to go.
func (c *Catalog) AbandonSplit(ctx context.Context, p *Partition, why Refusal) error {
	abandoned := false
	err := c.change(ctx, func(t *txn) error {
		row := t.intending(p)
		if abandoned = row != nil; !abandoned {
			return nil
		}
		next := *row
		next.Split = nil
		next.Epoch.Range++
		return t.put(idKey(partitionPrefix, uint64(next.ID)), &next)
	})
	if abandoned && err == nil {
		grow := c.counts.bytes(p.ID)
		if p.Split.ByLoad {
			grow = 0 // other requests may come without other bytes
		}
		c.splits.refuse(p.ID, why, c.cfg.Clock(), grow)
	}
	return err
}

// intending is p's row if that still wants the split that p wants.
func (t *txn) intending(p *Partition) *Partition {
	row := t.s.byBase[p.Base][p.ID]
	if row == nil || row.Dropped || row.Split == nil || row.Split.Right != p.Split.Right {
		return nil
	}
	return row
}
