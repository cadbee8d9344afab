package partition

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	pb "go.etcd.io/raft/v3/raftpb"

	"antipode/regionnode/internal/keys"
	"antipode/regionnode/internal/store"
	"antipode/regionnode/table"
	"antipode/replication"
)

// applier carries one entry out: everything it does is a function of the entry
// and of the state before it (I3), and goes into one batch (I2).
type applier struct {
	store *store.Store
	log   *store.RaftLog
	id    table.PartitionID
	batch *pebble.Batch
	view  *view
	state appliedState

	// spec is the new descriptor, nil when the entry changes none.
	spec *Spec
	// change is what raft is to be told of its members, nil for nothing.
	change *pb.ConfChangeV2
	// current are the readers' positions before the entry; positions the ones
	// after it, nil when it changes none.
	current, positions map[replication.Region]replication.Position
	// collections are sizes as of this entry, by table key prefix.
	collections map[string]int64
	// sizes of the collections of the entry's writes, in order.
	sizes []int64
	raw   bool
	// moved is the right child of a split, nil when the entry is none. unwanted:
	// this node was removed from it already.
	moved    *Spec
	unwanted bool
	// past is what the node remembers of a partition's replicas here.
	past  func(table.PartitionID) (replicaPast, error)
	tally *tally
	// transactions are the marks and checks before the entry, and marked what the
	// entry changes of them.
	transactions *transactions
	marked       []markChange
	// scrubs begin behind the entry.
	scrubs []scrubRequest
	// truncated is the raft log's new start, 0 when it stays.
	truncated, truncatedTerm uint64

	write write
	key   []byte
}

// apply carries out one committed entry and answers who waits for it.
func (p *Partition) apply(e *pb.Entry) error {
	data, err := payload(e)
	if err != nil {
		return err
	}
	a := applier{store: p.host.cfg.Store, log: p.storage.log, id: p.id, view: p.view(), state: p.state, current: p.applied.positions, transactions: &p.transactions, tally: p.tally}
	a.batch = a.store.NewBatch()
	a.state.Index, a.state.Term = e.GetIndex(), e.GetTerm()
	var h header
	dropped := false
	if len(data) > 0 {
		var effects []byte
		if h, effects, err = decodeHeader(data); err != nil {
			return fmt.Errorf("decode: %w", err)
		}
		if err := p.host.cfg.Clock.Observe(h.Clock); err != nil {
			return err
		}
		// Drops are decided by the log alone, so that all members decide alike.
		spec := a.view.spec
		dropped = h.Term != e.GetTerm() || h.Epoch != spec.Epoch || h.Settings != spec.Settings
		if !dropped {
			if len(effects) > 0 && effects[0] == splitEffect {
				p.host.births.Lock()
				defer p.host.births.Unlock()
			}
			a.past = p.host.past
			a.state.Clock = latest(a.state.Clock, h.Clock)
			a.state.Closed = latest(a.state.Closed, h.Closed)
			if err := a.run(effects); err != nil {
				return err
			}
		}
	}
	if err := p.reconfigure(e, &a, dropped); err != nil {
		return err
	}
	if err := a.finish(); err != nil {
		return err
	}
	if err := p.show(&a); err != nil {
		return err
	}
	if len(data) > 0 {
		p.answer(h, &a, dropped)
	} else {
		p.answerRefused(e.GetTerm())
	}
	p.becomeReady(e.GetTerm())
	return nil
}

// finish adds what every entry writes and makes the batch visible.
func (a *applier) finish() error {
	if err := a.finishCollections(); err != nil {
		return err
	}
	if err := a.forgetChecks(); err != nil {
		return err
	}
	if err := a.batch.Set(keys.Applied(a.id), a.state.append(nil), nil); err != nil {
		return err
	}
	return a.store.Apply(a.batch)
}

// finishCollections writes each size once. Keys are distinct, so their order
// does not matter to the state.
func (a *applier) finishCollections() error {
	for prefix, size := range a.collections {
		key := keys.Data(a.view.spec.Table, keys.Collections, []byte(prefix))
		if size == 0 {
			if err := a.batch.Delete(key, nil); err != nil {
				return err
			}
			continue
		}
		if err := a.batch.Set(key, binary.AppendVarint(nil, size), nil); err != nil {
			return err
		}
	}
	return nil
}

// show makes the entry's outcome visible in memory, after the batch is.
func (p *Partition) show(a *applier) error {
	if a.truncated > 0 {
		p.storage.log.Truncated(a.truncated, a.truncatedTerm)
		p.truncating = false
	}
	for i := range a.scrubs {
		p.beginScrub(a.scrubs[i])
	}
	p.showMarks(a)
	p.publish(a)
	if a.change != nil {
		p.reconfigured()
	}
	if a.spec != nil && a.spec.Epoch.Range != a.view.spec.Epoch.Range {
		p.dropOutdated()
	}
	if a.moved != nil {
		return p.showSplit(a.moved, a.unwanted)
	}
	return nil
}

// answer tells the writers of the entry, if they wait here.
func (p *Partition) answer(h header, a *applier, dropped bool) {
	if len(p.flights) == 0 || p.flights[0].term != h.Term || p.flights[0].proposal != h.Proposal {
		return
	}
	f := p.flights[0]
	p.flights = p.flights[1:]
	p.openGate(&h)
	if dropped {
		p.truncating = false
		f.finish(p, errNotApplied)
		return
	}
	sizes := a.sizes
	for _, w := range f.writes {
		if w.sized {
			w.collection, sizes = sizes[0], sizes[1:]
		}
	}
	f.finish(p, nil)
}

// answerRefused tells who wanted a change of members that raft has put an empty
// entry in its place.
func (p *Partition) answerRefused(term uint64) {
	if len(p.flights) > 0 && p.flights[0].term == term && p.flights[0].writes[0].members {
		p.flights[0].finish(p, errNotApplied)
		p.flights = p.flights[1:]
	}
}

// becomeReady lets the leader evaluate once an entry of its own term is applied:
// everything its predecessors may have acknowledged is then applied too (I3).
func (p *Partition) becomeReady(term uint64) {
	r := p.role.Load()
	if !r.leading || r.ready || r.term != term {
		return
	}
	p.beginTerm()
	next := *r
	next.ready = true
	p.setRole(next)
}

// run carries out the effects of an entry in order.
func (a *applier) run(effects []byte) error {
	d := &decoder{b: effects}
	for len(d.b) > 0 {
		kind := d.byte()
		err := a.one(kind, d)
		if err == nil {
			err = d.err()
		}
		if err != nil {
			return fmt.Errorf("effect of kind %d: %w", kind, err)
		}
	}
	return d.err()
}

func (a *applier) one(kind byte, d *decoder) error {
	switch kind {
	case writeEffect:
		return a.put(d)
	case rawEffect:
		return a.putRaw(d)
	case settingsEffect:
		return a.putSettings(d)
	case positionEffect:
		return a.putPosition(d)
	case trimEffect:
		return a.trim(d)
	case truncateEffect:
		return a.truncate(d)
	case parkEffect:
		return a.park(d)
	case unparkEffect:
		return a.unpark(d)
	case markEffect:
		return a.mark(d)
	case resolveEffect:
		return a.resolve(d)
	case entryEffect:
		return a.putEntry(d)
	case sourceEffect:
		return a.putSource(d)
	case forgetEffect:
		return a.forget(d)
	case filledEffect:
		return a.putFilled(d)
	case scrubEffect:
		return a.scrub(d)
	case splitEffect:
		return a.split(d)
	case fenceEffect:
		return a.fence(d)
	case membersEffect:
		return a.putMembers(d)
	case leaveEffect:
		return a.putLeave()
	case preferEffect:
		return a.putPrefer(d)
	}
	return errors.New("unknown")
}

// dataKey is a key in the applier's one buffer, valid until the next.
func (a *applier) dataKey(index table.IndexID, key []byte) []byte {
	a.key = keys.AppendData(a.key[:0], a.view.spec.Table, index, key)
	return a.key
}

// put carries out a writeEffect: value, index entries, counters, change record.
func (a *applier) put(d *decoder) error {
	w := &a.write
	if err := w.decode(d); err != nil {
		return err
	}
	if a.view.spec.Log.On {
		if err := a.record(w); err != nil {
			return err
		}
	}
	if err := a.putValue(w); err != nil {
		return err
	}
	a.state.Counts[0].Items += w.Items
	a.state.Counts[0].Bytes += w.Bytes
	a.tally.note(0, w.Key, w.Items, w.Bytes)
	for i := range w.Indexes {
		if err := a.putIndex(&w.Indexes[i]); err != nil {
			return err
		}
	}
	if w.Collection > 0 {
		return a.putCollection(w)
	}
	return nil
}

func (a *applier) putValue(w *write) error {
	key := a.dataKey(0, w.Key)
	if len(w.Value) < stampOffset {
		return errBroken
	}
	// A delete from elsewhere keeps its version, whatever the settings: what it
	// beat may still arrive.
	if w.Value[1]&tombstoneFlag != 0 && w.Cause != replication.ByReplica && !a.view.spec.Log.tombstones() {
		d := decoder{b: w.Value[stampOffset:]}
		a.state.Deleted = latest(a.state.Deleted, d.time())
		return a.batch.Delete(key, nil)
	}
	return a.batch.Set(key, w.Value, nil)
}

func (a *applier) putIndex(x *indexEffect) error {
	key, count := a.dataKey(x.Index, x.Key), &a.state.Counts[x.Index]
	count.Bytes += x.Bytes
	count.Items += x.Items
	a.tally.note(x.Index, x.Key, x.Items, x.Bytes)
	if len(x.Value) == 0 {
		return a.batch.Delete(key, nil)
	}
	return a.batch.Set(key, x.Value, nil)
}

// putCollection folds a change of size into the item collection's.
func (a *applier) putCollection(w *write) error {
	prefix := w.Key[:w.Collection]
	size, ok := a.collections[string(prefix)]
	if !ok {
		var err error
		if size, err = collectionSize(a.store, a.view.spec.Table, prefix); err != nil {
			return err
		}
		if a.collections == nil {
			a.collections = make(map[string]int64)
		}
	}
	size += w.CollectionBytes
	a.collections[string(prefix)] = size
	a.sizes = append(a.sizes, size)
	return nil
}

// collectionSize reads an item collection's size in DynamoDB's bytes, with its
// local index entries.
func collectionSize(s *store.Store, t table.ID, prefix []byte) (int64, error) {
	v, closer, err := s.Get(keys.Data(t, keys.Collections, prefix))
	if err != nil || closer == nil {
		return 0, err
	}
	defer closer.Close()
	d := decoder{b: v}
	return d.varint(), d.err()
}

func (a *applier) putRaw(d *decoder) error {
	key, present := d.bytes(), d.byte()
	a.raw = true
	if present == 0 {
		return a.batch.Delete(keys.Raw(a.id, key), nil)
	}
	return a.batch.Set(keys.Raw(a.id, key), d.bytes(), nil)
}

// truncate removes raft log entries that every member has.
func (a *applier) truncate(d *decoder) error {
	index, term := d.uvarint(), d.uvarint()
	if d.bad || index >= a.state.Index {
		return errBroken
	}
	a.truncated, a.truncatedTerm = index, term
	return a.log.Truncate(a.batch, index, term)
}
