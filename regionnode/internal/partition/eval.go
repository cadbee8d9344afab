package partition

import (
	"fmt"
	"io"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
	"antipode/replication"
)

// evaluation is one write of one latched key, from what is stored to effects.
type evaluation struct {
	p    *Partition
	view *view
	key  []byte

	old    stored
	closer io.Closer // of old's bytes
	// new is the image after the write, nil to delete.
	new item.Encoded

	// transaction is the one that writes, with ByTransaction.
	transaction string

	// Trees of old and new, made when first asked for.
	oldItem, newItem item.Item
}

// load reads what is stored under the key. Call close when done.
func (e *evaluation) load() error {
	s := e.p.host.cfg.Store
	raw, closer, err := s.GetNew(keyOf(e.view, e.key))
	if err != nil || closer == nil {
		return err
	}
	e.closer = closer
	if e.old, err = decodeStored(raw); err != nil {
		return fmt.Errorf("stored value: %w", err)
	}
	return nil
}

func (e *evaluation) close() {
	if e.closer != nil {
		_ = e.closer.Close() // only gives memory back
		e.closer = nil
	}
}

func (e *evaluation) oldTree() (item.Item, error) {
	if e.oldItem == nil && e.old.live() {
		it, err := e.old.Item.Decode()
		if err != nil {
			return nil, err
		}
		e.oldItem = it
	}
	return e.oldItem, nil
}

func (e *evaluation) newTree() (item.Item, error) {
	if e.newItem == nil && len(e.new) > 0 {
		it, err := e.new.Decode()
		if err != nil {
			return nil, err
		}
		e.newItem = it
	}
	return e.newItem, nil
}

// condition refuses a write whose condition does not hold.
func (e *evaluation) condition(w *regionnode.Write) error {
	if w.Condition == nil {
		return nil
	}
	old, err := e.oldTree()
	if err != nil {
		return err
	}
	ok, err := w.Condition.Eval(old)
	if err != nil || ok {
		return err
	}
	var image []byte
	if w.ReturnOnFailure && e.old.live() {
		image = append(image, e.old.Item...)
	}
	return apierr.ConditionFailed(image)
}

// evaluate runs one client write up to its effects. A nil proposal means that
// nothing has to be written.
func (e *evaluation) evaluate(w *regionnode.Write) (*proposal, *regionnode.WriteResponse, error) {
	if err := e.condition(w); err != nil {
		return nil, nil, err
	}
	resp := &regionnode.WriteResponse{}
	var err error
	switch w.Op {
	case regionnode.PutOp:
		err = e.put(w, resp)
	case regionnode.UpdateOp:
		err = e.update(w, resp)
	case regionnode.DeleteOp:
		err = e.delete(w, resp)
	case regionnode.CheckOp:
		return nil, resp, nil
	default:
		err = apierr.Internal()
	}
	if err != nil {
		return nil, nil, err
	}
	resp.Usage.OldSize, resp.Usage.NewSize = e.old.Item.Size(), e.new.Size()
	if !e.old.live() && len(e.new) == 0 && !e.view.spec.Log.tombstones() {
		// Deleted what was not there, and nobody must hear of it.
		return nil, resp, e.unchangedCollection(&resp.Usage)
	}
	prop, err := e.local(resp)
	return prop, resp, err
}

// local makes the proposal of a write of this region.
func (e *evaluation) local(resp *regionnode.WriteResponse) (*proposal, error) {
	cause := replication.ByUser
	if string(e.old.Item) == string(e.new) {
		cause = replication.Unchanged
	}
	return e.stamped(cause, &resp.Usage)
}

// stamped makes the proposal of a write of this region that happened by cause.
func (e *evaluation) stamped(cause replication.Cause, u *regionnode.Usage) (*proposal, error) {
	cfg := &e.p.host.cfg
	// The stamp, given when the write enters the log, must exceed the stored
	// version (I4).
	if err := cfg.Clock.Observe(e.old.Version.Time); err != nil {
		return nil, err
	}
	var seen replication.Context
	if e.view.spec.Log.On {
		seen = seenBy(e.old.Context, e.old.Version)
	}
	return e.propose(cause, replication.Version{Region: cfg.Region}, seen, u)
}

// propose turns the evaluated image into effects.
func (e *evaluation) propose(cause replication.Cause, v replication.Version, seen replication.Context, u *regionnode.Usage) (*proposal, error) {
	w := write{
		Cause: cause, Transaction: []byte(e.transaction), Key: e.key,
		Value: appendStored(make([]byte, 0, len(e.new)+96), v, seen, e.new),
		Bytes: int64(e.new.Size() - e.old.Item.Size()),
	}
	switch {
	case len(e.new) > 0 && !e.old.live():
		w.Items = 1
	case len(e.new) == 0 && e.old.live():
		w.Items = -1
	}
	if err := e.indexes(&w, u); err != nil {
		return nil, err
	}
	if cause == replication.ByUser {
		if err := e.globalUsage(u); err != nil {
			return nil, err
		}
	}
	if err := e.collectionFits(&w); err != nil && cause != replication.ByReplica && cause != replication.ByTransaction {
		return nil, err
	}
	prop := &proposal{view: e.view, done: make(chan error, 1), sized: w.Collection > 0}
	prop.effects, prop.stamp = w.append(make([]byte, 0, len(w.Value)+len(w.Key)+32))
	if v.Time.Wall != 0 {
		prop.stamp = noStamp
	}
	return prop, nil
}

// collectionFits refuses to let an item collection grow beyond its bound.
func (e *evaluation) collectionFits(w *write) error {
	if w.Collection == 0 || w.CollectionBytes <= 0 {
		return nil
	}
	size, err := collectionSize(e.p.host.cfg.Store, e.view.spec.Table, w.Key[:w.Collection])
	if err != nil {
		return err
	}
	if size+w.CollectionBytes > e.p.host.cfg.MaxCollectionBytes {
		return apierr.New(apierr.ItemCollectionSizeLimitExceeded, "Collection size exceeded.")
	}
	return nil
}

// unchangedCollection fills in the size of the item collection when the write
// leaves it as it is.
func (e *evaluation) unchangedCollection(u *regionnode.Usage) error {
	if len(e.view.schema.locals) == 0 {
		return nil
	}
	n, err := e.view.schema.key.HashPrefixLen(e.key)
	if err == nil {
		u.Collection, err = collectionSize(e.p.host.cfg.Store, e.view.spec.Table, e.key[:n])
	}
	return err
}

// seenBy is what a write that replaces a value has seen: all that the value had
// seen, and the value.
func seenBy(c replication.Context, v replication.Version) replication.Context {
	if v.IsZero() {
		return nil
	}
	out := make(replication.Context, 0, len(c)+1)
	added := false
	for _, entry := range c {
		switch {
		case entry.Region == v.Region:
			entry.Time = latest(entry.Time, v.Time)
			added = true
		case entry.Region > v.Region && !added:
			out = append(out, replication.ContextEntry{Region: v.Region, Time: v.Time})
			added = true
		}
		out = append(out, entry)
	}
	if !added {
		out = append(out, replication.ContextEntry{Region: v.Region, Time: v.Time})
	}
	return out
}

// fits refuses an image that an index cannot hold or that is too large.
func (e *evaluation) fits(it item.Item) error {
	if it.Size() > table.MaxItemSize {
		return apierr.Invalid("Item size to update has exceeded the maximum allowed size")
	}
	for _, x := range e.view.schema.indexed {
		v, ok := it.Get(x.name)
		if !ok {
			continue
		}
		if err := x.accepts(v); err != nil {
			return err
		}
	}
	return nil
}

// accepts refuses an updated value that cannot key the index.
func (x *indexedAttribute) accepts(v item.Value) error {
	if v.Kind() != x.kind {
		return apierr.Invalid("The update expression attempted to update the secondary index key to unsupported type")
	}
	limit := table.MaxRangeKeySize
	if x.hash {
		limit = table.MaxHashKeySize
	}
	switch n := len(v.Text()); {
	case x.kind == item.N:
	case n == 0:
		return apierr.Invalid("One or more parameter values are not valid. "+
			"The update expression attempted to update a secondary index key to a value that is not supported. "+
			"The AttributeValue for a key attribute cannot contain an empty %s value.", textName(x.kind))
	case n > limit:
		return apierr.Invalid("One or more parameter values were invalid: "+
			"Size of %s key exceeds the maximum size limit of %d bytes", keyName(x.hash), limit)
	}
	return nil
}

func textName(k item.Kind) string {
	if k == item.B {
		return "binary"
	}
	return "string"
}

func keyName(hash bool) string {
	if hash {
		return "hash"
	}
	return "range"
}
