package table

import (
	"fmt"
	"slices"
)

// Index finds a local or global index by name; nil if there is none. It must
// not be changed.
func (d *Descriptor) Index(name string) *Index {
	for i := range d.Locals {
		if d.Locals[i].Name == name {
			return &d.Locals[i]
		}
	}
	for i := range d.Globals {
		if d.Globals[i].Name == name {
			return &d.Globals[i]
		}
	}
	return nil
}

// AttributeType is the defined type of a key attribute, "S", "N" or "B"; "" for
// any other attribute.
func (d *Descriptor) AttributeType(name string) string {
	for i := range d.Attributes {
		if d.Attributes[i].Name == name {
			return d.Attributes[i].Type
		}
	}
	return ""
}

// IsLocal tells a local index from a global one.
func (x *Index) IsLocal() bool { return x.Local != 0 }

// ARN is the table's Amazon resource name.
func (d *Descriptor) ARN() string { return ARN(d.Region, d.Account, d.Name) }

// ARN is the resource name of a table.
func ARN(region, account, name string) string {
	return fmt.Sprintf("arn:%s:dynamodb:%s:%s:table/%s", awsPartition(region), region, account, name)
}

// awsPartition is the second part of the names of a region's resources.
func awsPartition(region string) string {
	switch {
	case len(region) > 3 && region[:3] == "cn-":
		return "aws-cn"
	case len(region) > 7 && region[:7] == "us-gov-":
		return "aws-us-gov"
	}
	return "aws"
}

// StreamARN is the resource name of the table's newest stream; "" if it never
// had one.
func (d *Descriptor) StreamARN() string {
	if d.Stream == nil || d.Stream.Label == "" {
		return ""
	}
	return d.ARN() + "/stream/" + d.Stream.Label
}

// IndexARN is the resource name of an index of the table.
func (d *Descriptor) IndexARN(name string) string { return d.ARN() + "/index/" + name }

// Replica is the table replica in a region; nil if there is none.
func (d *Descriptor) Replica(region string) *Replica {
	if d.Global == nil {
		return nil
	}
	for i := range d.Global.Replicas {
		if d.Global.Replicas[i].Region == region {
			return &d.Global.Replicas[i]
		}
	}
	return nil
}

// IndexKey is what orders an index's entries: the index's key attributes, then
// those of the table's key that are not among them, as range attributes, so
// that each item has its own entry.
func (d *Descriptor) IndexKey(x *Index) KeySchema {
	k := KeySchema{Hash: slices.Clone(x.Key.Hash), Range: slices.Clone(x.Key.Range)}
	for _, name := range d.Key.Names() {
		if !k.Has(name) {
			k.Range = append(k.Range, name)
		}
	}
	return k
}
