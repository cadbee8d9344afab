// Package keys is the whole keyspace of a node's one Pebble, in one place: the
// map below, a constructor for every key, and a printer for any of them. It
// knows what a key is made of, never what its value holds.
//
// Keys compare as bytes. Integers are big-endian and of fixed width, so byte
// order is numeric order. The map, in key order:
//
//	01 | name                                          node-local facts (Identity, ClockBound, NodeEpoch, Broken, SyncedGroups, …)
//	01 | replica/ | partition                          what the node remembers of its replicas of a partition
//	02 | partition                                     partition descriptor: range, epoch, members, settings
//	03 | partition | 01                                raft hard state
//	03 | partition | 02                                raft log start (index and term before the first entry)
//	03 | partition | 03 | index                        raft log entry
//	04 | partition | 01                                applied state: index, closed time, counters, log bounds
//	04 | partition | 02 | reader                       position of a change log's reader
//	04 | partition | 03 | wall | logical | region 00 | key   parked record of another region
//	04 | partition | 04 | raw key                      key-value pairs of system partitions
//	04 | partition | 05 | generation                   how far a global index's partition has applied a change log
//	04 | partition | 06 | generation | key…            entry that a back-fill deleted, to be forgotten
//	04 | partition | 07 | table                        how far the partition's items are in a global index
//	05 | partition | generation | sequence             change record
//	06 | table | 00 | hash | key…                      item
//	06 | table | 01…05 | hash | key…                   local index entry
//	06 | table | fd | hash | key…                      time of the last check of an item by a transaction
//	06 | table | fe | hash | key…                      mark of a transaction that has prepared the key
//	06 | table | fe | hash | ff | row | time           receipt of a transaction done in one step
//	06 | table | ff | hash | partition key             size of an item collection
//
// 01 to 05 belong to one node or to one replica on it. 06 is what replicas of a
// partition agree on key by key: a partition holds one interval of hashes in
// each index span of its table (ItemSpan), so a split moves no key.
//
// Everything on disk depends on this map and on Comparer: neither may change
// once data exists.
package keys
