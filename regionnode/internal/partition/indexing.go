package partition

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"sync"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/keys"
	"antipode/regionnode/table"
	"antipode/replication"
)

// globalIndex is a global index of the partition's table.
type globalIndex struct {
	name    string
	table   table.ID
	reader  replication.Region
	adding  bool // back-filled at present
	entries *table.Entries
}

func globalIndexes(d *table.Descriptor) []globalIndex {
	var out []globalIndex
	for i := range d.Globals {
		x := &d.Globals[i]
		out = append(out, globalIndex{
			name: x.Name, table: x.Table, reader: indexReader(x.Table), adding: x.Backfilling, entries: d.Entries(x),
		})
	}
	return out
}

// indexReader names a global index among the readers of a change log. No region
// has such a name.
func indexReader(index table.ID) replication.Region {
	return replication.Region("#" + strconv.FormatUint(uint64(index), 16))
}

// indexed are the global indexes of the items that the partition holds.
func (s *Spec) indexed() []table.Index {
	if s.Descriptor == nil || s.Descriptor.ID != s.Table {
		return nil
	}
	return s.Descriptor.Globals
}

// readers are all who need the change log: peers and global indexes.
func (s *Spec) readers() []replication.Region {
	globals := s.indexed()
	if len(globals) == 0 {
		return s.Log.Peers
	}
	out := append(make([]replication.Region, 0, len(s.Log.Peers)+len(globals)), s.Log.Peers...)
	for i := range globals {
		out = append(out, indexReader(globals[i].Table))
	}
	return out
}

func (s *Spec) reads(reader replication.Region) bool {
	for _, r := range s.readers() {
		if r == reader {
			return true
		}
	}
	return false
}

// globalUsage adds what a client's write costs in global indexes.
func (e *evaluation) globalUsage(u *regionnode.Usage) error {
	globals := e.view.schema.globals
	for i := range globals {
		c, err := globals[i].entries.Change(e.old.Item, e.new)
		if err != nil {
			return fmt.Errorf("entries of index %s: %w", globals[i].name, err)
		}
		if !c.Touches() {
			continue
		}
		x := regionnode.IndexUsage{Name: globals[i].name, Moved: c.Moves()}
		if c.Old != nil {
			x.OldSize = c.Old.Image.Size()
		}
		if c.New != nil {
			x.NewSize = c.New.Image.Size()
		}
		u.Indexes = append(u.Indexes, x)
	}
	return nil
}

// IndexPosition is how far a global index durably has this partition's changes;
// false before it has begun.
func (p *Partition) IndexPosition(index table.ID) (replication.Position, bool) {
	p.applied.mu.Lock()
	defer p.applied.mu.Unlock()
	pos, ok := p.applied.positions[indexReader(index)]
	return pos, ok
}

// SetIndexPosition is SetPosition for a global index.
func (p *Partition) SetIndexPosition(ctx context.Context, index table.ID, pos replication.Position) error {
	return p.SetPosition(ctx, indexReader(index), pos)
}

// IndexFilled tells how far a global index that was added later has this
// partition's items: those up to the key after, or all.
func (p *Partition) IndexFilled(index table.ID) (after []byte, all bool, err error) {
	raw, err := p.host.cfg.Store.GetCopy(keys.IndexProgress(p.id, index))
	if err != nil || len(raw) == 0 {
		return nil, false, err
	}
	return raw[1:], raw[0] == 1, nil
}

// filledLatch orders the progress of back-fills.
const filledLatch = "filled"

// SetIndexFilled makes the progress of a back-fill durable.
func (p *Partition) SetIndexFilled(ctx context.Context, index table.ID, after []byte, all bool) error {
	return p.exclusive(ctx, filledLatch, func(v *view) ([]byte, error) {
		if !v.spec.reads(indexReader(index)) {
			return nil, ErrNoReader
		}
		done := byte(0)
		if all {
			done = 1
		}
		effects := binary.AppendUvarint([]byte{filledEffect}, uint64(index))
		return appendBytes(effects, append([]byte{done}, after...)), nil
	})
}

// putFilled carries out a filledEffect.
func (a *applier) putFilled(d *decoder) error {
	index, value := table.ID(d.uvarint()), d.bytes()
	if d.bad {
		return errBroken
	}
	return a.batch.Set(keys.IndexProgress(a.id, index), value, nil)
}

// forgetIndexes drops what is kept for global indexes that the next settings do
// not have.
func (a *applier) forgetIndexes(next *Spec) error {
	for _, x := range a.view.spec.indexed() {
		if next.reads(indexReader(x.Table)) {
			continue
		}
		if err := a.batch.Delete(keys.IndexProgress(a.id, x.Table), nil); err != nil {
			return err
		}
	}
	return nil
}

// ScanItems reads items of this replica in key order, with their versions: what
// a global index is back-filled from. Pages hold at most maxRecords items of
// about maxBytes, at least one if there is one; last is where the next page
// begins, nil behind the last.
func (p *Partition) ScanItems(ctx context.Context, after []byte, maxRecords, maxBytes int) (recs []replication.Record, last []byte, err error) {
	spec := p.view().spec
	it, err := p.host.cfg.Store.Iterate(spec.itemsAfter(after))
	if err != nil {
		return nil, nil, err
	}
	defer it.Close()
	size := 0
	for ok := it.First(); ok; ok = it.Next() {
		if len(recs) > 0 && (len(recs) == maxRecords || size >= maxBytes) {
			return recs, recs[len(recs)-1].Key, ctx.Err()
		}
		s, err := decodeStored(bytes.Clone(it.Value()))
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", keys.Print(it.Key()), err)
		}
		if !s.live() {
			continue
		}
		key, _ := keys.DataKey(it.Key())
		recs = append(recs, replication.Record{Key: bytes.Clone(key), Version: s.Version, New: s.Item})
		size += len(it.Value())
	}
	return recs, nil, it.Error()
}

// indexing is how far the followers of this replica's global indexes are. What
// they report is ahead of their durable positions.
type indexing struct {
	mu      sync.Mutex
	through map[table.ID]uint64
	// moved is closed at the next report; nil while nobody waits.
	moved chan struct{}
	// aged is whether the oldest change that an index lacks was too old at checked,
	// in Unix nanoseconds.
	aged    bool
	checked int64
}

// NoteIndexed reports that a global index durably has all changes up to
// sequence.
func (p *Partition) NoteIndexed(index table.ID, sequence uint64) {
	x := &p.indexing
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.through == nil {
		x.through = make(map[table.ID]uint64)
	}
	x.through[index] = max(x.through[index], sequence)
	if x.moved != nil {
		close(x.moved)
		x.moved = nil
	}
}

const (
	// indexPatience is how long a write waits for indexes that are behind.
	indexPatience = time.Second
	// ageInterval is how long a look at the age of what indexes lack is good for.
	ageInterval = 100 * time.Millisecond
)

// awaitIndexes holds a write back while a global index is too far behind, so
// that no index falls behind for ever. Replicas that do not lead let it pass:
// they refuse it themselves.
func (p *Partition) awaitIndexes(ctx context.Context) error {
	v := p.view()
	if len(v.schema.globals) == 0 || !p.role.Load().ready {
		return nil
	}
	behind, moved, err := p.behind(v)
	if err != nil || !behind {
		return err
	}
	patience := time.NewTimer(indexPatience)
	defer patience.Stop()
	for behind && err == nil {
		select {
		case <-moved:
		case <-patience.C:
			return overloaded(v.spec.Descriptor)
		case <-ctx.Done():
			return fmt.Errorf("wait for global indexes: %w", ctx.Err())
		}
		behind, moved, err = p.behind(v)
	}
	return err
}

// overloaded is DynamoDB's refusal of writes that outrun an index.
func overloaded(d *table.Descriptor) error {
	if d.BillingMode == "PAY_PER_REQUEST" {
		return apierr.New(apierr.Throttling, "Throughput exceeds the current capacity for one or more global secondary indexes. "+
			"DynamoDB is automatically scaling your index so please try again shortly.")
	}
	return apierr.New(apierr.ProvisionedThroughputExceeded, "The level of configured provisioned throughput for one or more "+
		"global secondary indexes of the table was exceeded. Consider increasing your provisioning level for the "+
		"under-provisioned global secondary indexes with the UpdateTable API")
}

// behind tells whether an index lacks too many changes, or one that is too old,
// and when to ask again.
func (p *Partition) behind(v *view) (bool, <-chan struct{}, error) {
	x := &p.indexing
	x.mu.Lock()
	defer x.mu.Unlock()
	through, end := p.indexedThrough(v)
	now := p.host.cfg.Clock.Physical()
	switch {
	case through >= end:
		x.aged = false
		return false, nil, nil
	case end-through > p.host.cfg.MaxIndexRecords:
	case now-x.checked < int64(ageInterval):
		if !x.aged {
			return false, nil, nil
		}
	default:
		at, err := p.changedAt(v.spec.generationOf(through+1), through+1)
		if err != nil {
			return false, nil, err
		}
		x.checked, x.aged = now, at > 0 && now-at*int64(time.Millisecond) > int64(p.host.cfg.MaxIndexAge)
		if !x.aged {
			return false, nil, nil
		}
	}
	return true, x.next(), nil
}

// next is closed at the next report; x.mu is held.
func (x *indexing) next() <-chan struct{} {
	if x.moved == nil {
		x.moved = make(chan struct{})
	}
	return x.moved
}

// linger gives global indexes their moment to take in what was written; see
// Config.IndexGrace.
func (p *Partition) linger(ctx context.Context) {
	v := p.view()
	if p.host.cfg.IndexGrace <= 0 || len(v.schema.globals) == 0 {
		return
	}
	x := &p.indexing
	x.mu.Lock()
	through, end := p.indexedThrough(v)
	moved := x.next()
	x.mu.Unlock()
	if through >= end {
		return
	}
	grace := time.NewTimer(p.host.cfg.IndexGrace)
	defer grace.Stop()
	for through < end {
		select {
		case <-moved:
		case <-grace.C:
			return
		case <-ctx.Done():
			return
		}
		x.mu.Lock()
		through, _ = p.indexedThrough(v)
		moved = x.next()
		x.mu.Unlock()
	}
}

// indexedThrough is the last sequence that all global indexes have, and the last
// of the log; x.mu is held.
func (p *Partition) indexedThrough(v *view) (through, end uint64) {
	p.applied.mu.Lock()
	defer p.applied.mu.Unlock()
	through, end = p.applied.state.Sequence, p.applied.state.Sequence
	for i := range v.schema.globals {
		g := &v.schema.globals[i]
		pos, begun := p.applied.positions[g.reader]
		if !begun && g.adding {
			continue // begins at the log's end, whenever that is
		}
		through = min(through, max(pos.Sequence, p.indexing.through[g.table], p.applied.state.Trimmed))
	}
	return through, end
}

// changedAt is when a change was made, in Unix milliseconds; 0 if the log does
// not have it.
func (p *Partition) changedAt(g replication.Generation, sequence uint64) (int64, error) {
	raw, closer, err := p.host.cfg.Store.Get(keys.Change(p.id, g, sequence))
	if err != nil || closer == nil {
		return 0, err
	}
	defer closer.Close()
	return changeTime(raw)
}
