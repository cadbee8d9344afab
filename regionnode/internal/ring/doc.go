// Package ring holds the arithmetic of placement: which partition owns a hash,
// how a hash space is cut, which nodes get a partition's replicas, and how ids
// that are unique over all regions are made. It is pure: it knows no table, no
// catalog and no network, and takes plain integers.
package ring
