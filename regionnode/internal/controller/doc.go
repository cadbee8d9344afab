// Package controller is what the leader of a region's catalog does: it makes the
// region as the catalog says that it should be. It puts partitions on nodes,
// hands them their descriptors and log settings, splits them, takes deleted
// tables apart, and carries a global table's replicas through their lives.
//
// It keeps no state of its own. Everything that it must remember is a row or a
// job of the catalog, changed by compare-and-set, and every call it makes to a
// node or to a region may be made again; so a new leader goes on where the last
// one stopped, at any point. It knows nothing of items, raft or Pebble.
package controller
