// Package replication is what regions say to one another: the Record of a
// change, the Version that decides between two writes of one key, and the rule
// for that decision. Keys, images and contexts of values are opaque bytes here:
// the package knows no items, no storage and no membership.
package replication
