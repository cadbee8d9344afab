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
package transaction
