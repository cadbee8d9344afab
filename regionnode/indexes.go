package regionnode

import (
	"antipode/regionnode/item"
	"antipode/replication"
)

// IndexBatch tells one partition of a global index what it holds of one
// partition of the table. Applying a batch twice, or late, changes nothing.
type IndexBatch struct {
	// Target is the index's partition; Table is the index's table id.
	Target Target `msgpack:"t"`
	// Source is the change log that the changes come from, Term that of the
	// leadership it was read under.
	Source replication.Generation `msgpack:"s"`
	Term   uint64                 `msgpack:"e"`
	// Through is the last sequence that the batch covers. Everything before the
	// batch is in the index already. 0 for a page of a back-fill: items as they
	// are now, which lose against anything newer.
	Through uint64 `msgpack:"q,omitempty"`
	// Changes are sorted by Key, each key once.
	Changes []IndexChange `msgpack:"c"`
}

// IndexChange sets or removes one entry.
type IndexChange struct {
	// Sequence of the change in the source's log; 0 in a back-fill.
	Sequence uint64 `msgpack:"q,omitempty"`
	Key      []byte `msgpack:"k"`
	// Version of the item that the entry is made from, or that has it no more.
	Version replication.Version `msgpack:"v"`
	// Image is the entry; empty removes it.
	Image item.Encoded `msgpack:"i,omitempty"`
}
