package partition

import (
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// schema is what evaluation needs of a table's descriptor, made once for each
// descriptor.
type schema struct {
	key    table.KeySchema
	locals []localIndex
	// indexed are the attributes that key an index, local or global, with the
	// kind they must have.
	indexed []indexedAttribute
	globals []globalIndex
	// leaving: the table, or this region's replica of it, is being deleted. It
	// takes no writes of its own any more, so that its log comes to an end that
	// the other regions can reach.
	leaving bool
}

// localIndex is a local secondary index.
type localIndex struct {
	id   table.IndexID
	name string
	// key orders the entries; attribute is what an item must have to be in it.
	key       table.KeySchema
	attribute string
	kind      item.Kind
	// projected are the attributes an entry holds; nil for all.
	projected map[string]bool
}

type indexedAttribute struct {
	name  string
	kind  item.Kind
	hash  bool // the index's hash attribute, which may be longer
	index string
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

// newSchema reads a descriptor; nil makes an empty schema.
func newSchema(d *table.Descriptor) *schema {
	if d == nil {
		return &schema{}
	}
	s := &schema{key: d.Key}
	for i := range d.Locals {
		x := &d.Locals[i]
		s.index(d, x)
		attribute := x.Key.Range[0]
		s.locals = append(s.locals, localIndex{
			id: x.Local, name: x.Name, key: d.IndexKey(x), attribute: attribute,
			kind: kindOf(d.AttributeType(attribute)), projected: projected(d, x),
		})
	}
	for i := range d.Globals {
		s.index(d, &d.Globals[i])
	}
	s.globals = globalIndexes(d)
	s.leaving = leaving(d)
	return s
}

func leaving(d *table.Descriptor) bool {
	own := d.Replica(d.Region)
	return d.Status == table.Deleting || own != nil && own.Status == table.Deleting
}

// index notes an index's key attributes that the table's key has not.
func (s *schema) index(d *table.Descriptor, x *table.Index) {
	for _, name := range x.Key.Names() {
		if !d.Key.Has(name) {
			s.indexed = append(s.indexed, indexedAttribute{
				name: name, kind: kindOf(d.AttributeType(name)), hash: table.KeySchema{Hash: x.Key.Hash}.Has(name), index: x.Name,
			})
		}
	}
}

func projected(d *table.Descriptor, x *table.Index) map[string]bool {
	if x.Projection.Type == "ALL" {
		return nil
	}
	names := make(map[string]bool)
	for _, n := range d.IndexKey(x).Names() {
		names[n] = true
	}
	if x.Projection.Type == "INCLUDE" {
		for _, n := range x.Projection.NonKey {
			names[n] = true
		}
	}
	return names
}

// entry is what the index holds of an item: nil when the item is not in it.
func (x *localIndex) entry(it item.Item) item.Item {
	if v, ok := it.Get(x.attribute); !ok || v.Kind() != x.kind {
		return nil
	}
	if x.projected == nil {
		return it
	}
	out := make(item.Item, 0, len(x.projected))
	for _, f := range it {
		if x.projected[f.Name] {
			out = append(out, f)
		}
	}
	return out
}
