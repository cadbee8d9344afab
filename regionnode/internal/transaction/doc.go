// Package transaction coordinates transactions over the partitions of a region:
// it writes the ledger, prepares, decides, commits or cancels, reads many items
// as of one moment, and finishes what coordinators that died have left.
//
// It reaches partitions through regionnode.Participants and knows neither where
// they are nor how they store anything; what is decided when is package
// protocol's.
//
// The ledger is a table of the region (table.Ledger), one row for each
// transaction, so it is as durable as items, moves and splits like them, and
// spreads over as many partitions as its load asks for. A row is found by the
// hash of the client's request token, wherever the items are: a token that comes
// again with other items must be recognised too, which a row beside the items
// could not do. Rows hold keys, never values.
//
// A transaction that one partition can do costs less. Without a token it is one
// entry there, and has no row. With one it is two steps, the row and the entry;
// the entry leaves a receipt beside the items, by which the row is ended even if
// its coordinator dies. The row is not written in parallel with the entry: until
// it is there, the same token may come with other parameters, or to another
// coordinator, and both would be done. Nor is it written in parallel with the
// marks of a transaction of several partitions: whoever finds a mark without a
// row must cancel it, and could not tell that the row is on its way without
// trusting clocks.
package transaction
