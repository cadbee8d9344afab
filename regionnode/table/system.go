package table

import "strings"

// systemPrefix begins the names of tables that the region keeps for itself. No
// client can name one: it is no character of a table's name.
const systemPrefix = ":"

// Ledger is the name of the region's table of transactions under way and of
// request tokens. It is a table like others, so it has as many partitions as its
// load asks for.
const Ledger = systemPrefix + "transactions"

// IsSystem tells a name that no client may use or see.
func IsSystem(name string) bool { return strings.HasPrefix(name, systemPrefix) }
