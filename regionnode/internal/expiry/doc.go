// Package expiry deletes items whose time to live has passed, on the node that
// leads their partition. It knows when to look and how fast, not how items are
// stored: a Partition reads and deletes.
//
// It scans, at a bounded rate, rather than keep an index by expiry time: an index
// would add a key, and often the deletion of an older one, to every write of a
// table that expires, and a back-fill when the setting is switched on; the scan
// costs writes nothing. What a scan has seen tells when the next item expires, so
// a partition that nobody writes to is left alone until then. DESIGN.md has the
// figures.
package expiry
