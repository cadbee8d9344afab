// Package cluster runs several regions of antipode on one machine: as
// goroutines of one process, or every node and every region's functions as a
// process of its own. It chooses ports, starts things in order, says where they
// are, and stops them. It knows no operation and no data format.
package cluster
