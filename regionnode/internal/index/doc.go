// Package index keeps global secondary indexes. For each item partition that its
// node leads, and each global index of the partition's table, a follower reads
// the partition's change log in order, derives from each change the entry that
// goes and the entry that comes, and sends them in batches to the partitions of
// the index that own them. Its durable position moves only behind what the index
// has durably (I7), and a batch may come twice or late: the index's partition
// keeps, with the entries, how far it has applied each log.
//
// An index that is added to a table with items is back-filled beside the log:
// the position is fixed first, then the items are read, and what was read loses
// against what the log says, by version.
//
// It knows neither storage nor raft nor connections: partitions, the way to
// other nodes and the region's catalog reach it as interfaces.
package index
