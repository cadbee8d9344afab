package table

import (
	"bytes"
	"fmt"

	"antipode/regionnode/item"
)

// Entries makes the entries of one secondary index from the items of its table.
// It is immutable.
type Entries struct {
	order KeySchema
	// keyed are the index's own key attributes; an item without one of them is
	// not in the index.
	keyed []keyedAttribute
	// projected are the attributes that an entry holds; nil for all.
	projected map[string]bool
}

type keyedAttribute struct {
	name string
	kind item.Kind
	max  int // bytes of an S or B
}

// Entry is what an index holds of one item.
type Entry struct {
	// Key orders the entry; its attributes are IndexKey's.
	Key []byte
	// Image is the projected item. It may share the item's memory.
	Image item.Encoded
}

// Entries reads an index of the table from its descriptor.
func (d *Descriptor) Entries(x *Index) *Entries {
	e := &Entries{order: d.IndexKey(x)}
	for n, names := range [2][]string{x.Key.Hash, x.Key.Range} {
		limit := MaxHashKeySize
		if n == 1 {
			limit = MaxRangeKeySize
		}
		for _, name := range names {
			e.keyed = append(e.keyed, keyedAttribute{name, kindOf(d.AttributeType(name)), limit})
		}
	}
	if x.Projection.Type == "ALL" {
		return e
	}
	e.projected = map[string]bool{}
	for _, name := range e.order.Names() {
		e.projected[name] = true
	}
	if x.Projection.Type == "INCLUDE" {
		for _, name := range x.Projection.NonKey {
			e.projected[name] = true
		}
	}
	return e
}

func kindOf(attributeType string) item.Kind {
	switch attributeType {
	case "N":
		return item.N
	case "B":
		return item.B
	}
	return item.S
}

// Of makes an item's entry; false when the item is not in the index: it lacks
// one of the index's key attributes, or has one that cannot be a key there. No
// item has no entry.
func (e *Entries) Of(image item.Encoded) (Entry, bool, error) {
	if len(image) == 0 {
		return Entry{}, false, nil
	}
	for _, a := range e.keyed {
		v, ok, err := image.Get(a.name)
		if err != nil {
			return Entry{}, false, fmt.Errorf("read index key attribute %s: %w", a.name, err)
		}
		if !ok || !a.takes(v) {
			return Entry{}, false, nil
		}
	}
	key, err := e.order.KeyOf(nil, image)
	if err != nil {
		return Entry{}, false, fmt.Errorf("make key of index entry: %w", err)
	}
	if e.projected == nil {
		return Entry{Key: key, Image: image}, true, nil
	}
	part, err := image.Pick(func(name string) bool { return e.projected[name] })
	if err != nil {
		return Entry{}, false, fmt.Errorf("project index entry: %w", err)
	}
	return Entry{Key: key, Image: part.Encode()}, true, nil
}

func (a *keyedAttribute) takes(v item.Value) bool {
	return v.Kind() == a.kind && (a.kind == item.N || v.Text() != "" && len(v.Text()) <= a.max)
}

// EntryChange is what one change of an item does to an index.
type EntryChange struct {
	// Old and New are the entries before and after; nil for none.
	Old, New *Entry
}

// Change compares the entries of two images of one item; either image may be
// empty for no item. An index that need not change is the zero EntryChange.
func (e *Entries) Change(old, new item.Encoded) (EntryChange, error) {
	if bytes.Equal(old, new) {
		return EntryChange{}, nil
	}
	before, had, err := e.Of(old)
	if err != nil {
		return EntryChange{}, err
	}
	after, has, err := e.Of(new)
	if err != nil {
		return EntryChange{}, err
	}
	if had && has && bytes.Equal(before.Key, after.Key) && bytes.Equal(before.Image, after.Image) {
		return EntryChange{}, nil
	}
	var c EntryChange
	if had {
		c.Old = &before
	}
	if has {
		c.New = &after
	}
	return c, nil
}

// Touches tells whether the index changes at all.
func (c *EntryChange) Touches() bool { return c.Old != nil || c.New != nil }

// Moves tells whether an entry goes and another comes under a different key.
func (c *EntryChange) Moves() bool {
	return c.Old != nil && c.New != nil && !bytes.Equal(c.Old.Key, c.New.Key)
}
