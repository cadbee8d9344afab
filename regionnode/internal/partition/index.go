package partition

import (
	"bytes"
	"fmt"

	"antipode/regionnode"
	"antipode/regionnode/item"
)

// indexChange is the difference that a write makes to one local index.
type indexChange struct {
	effects []indexEffect
	usage   regionnode.IndexUsage
	touched bool
}

// change compares an index's entries of the old and the new item; either is nil
// when there is none.
func (x *localIndex) change(old, new item.Item) (indexChange, error) {
	var c indexChange
	c.usage.Name = x.name
	before, beforeKey, err := x.keyed(old)
	if err != nil {
		return c, err
	}
	after, afterKey, err := x.keyed(new)
	if err != nil {
		return c, err
	}
	c.usage.OldSize, c.usage.NewSize = before.Size(), after.Size()
	moved := before != nil && (after == nil || !bytes.Equal(beforeKey, afterKey))
	same := before != nil && after != nil && !moved && before.Equal(after)
	if same || before == nil && after == nil {
		return c, nil
	}
	c.touched = true
	c.usage.Moved = moved && after != nil
	if moved {
		c.effects = append(c.effects, indexEffect{
			Index: x.id, Key: beforeKey, Items: -1, Bytes: -int64(c.usage.OldSize),
		})
	}
	if after != nil {
		e := indexEffect{Index: x.id, Key: afterKey, Value: appendIndexed(nil, after.Encode()), Bytes: int64(c.usage.NewSize)}
		if before == nil || moved {
			e.Items = 1
		} else {
			e.Bytes -= int64(c.usage.OldSize)
		}
		c.effects = append(c.effects, e)
	}
	return c, nil
}

func (x *localIndex) keyed(it item.Item) (item.Item, []byte, error) {
	if it == nil {
		return nil, nil, nil
	}
	entry := x.entry(it)
	if entry == nil {
		return nil, nil, nil
	}
	key, err := x.key.Key(nil, entry)
	if err != nil {
		return nil, nil, fmt.Errorf("key of index %s: %w", x.name, err)
	}
	return entry, key, nil
}

// indexes adds what a write does to the local indexes and to the size of its
// item collection.
func (e *evaluation) indexes(w *write, u *regionnode.Usage) error {
	locals := e.view.schema.locals
	if len(locals) == 0 {
		return nil
	}
	old, err := e.oldTree()
	if err != nil {
		return err
	}
	new, err := e.newTree()
	if err != nil {
		return err
	}
	delta := w.Bytes
	for i := range locals {
		c, err := locals[i].change(old, new)
		if err != nil {
			return err
		}
		w.Indexes = append(w.Indexes, c.effects...)
		for _, x := range c.effects {
			delta += x.Bytes
		}
		if c.touched {
			u.Indexes = append(u.Indexes, c.usage)
		}
	}
	if w.Collection, err = e.view.schema.key.HashPrefixLen(w.Key); err != nil {
		return fmt.Errorf("key of item collection: %w", err)
	}
	w.CollectionBytes = delta
	return nil
}
