// Package catalog is what a region knows of itself: its tables and their
// partitions, its nodes, its peer regions, access keys and running jobs. The
// state lives in one system partition (KV) that raft keeps on the region's first
// nodes; the replica on the leader answers and changes it, everybody else
// reaches the leader through Client.
//
// Every change is one compare-and-set of all the rows that it touches and of the
// row that counts changes (I11). So the leader's copy in memory is exactly the
// state whenever that one row is as the copy has it, and a read costs one strong
// read of one small row.
//
// The package decides what the state may become. It does not know how partitions
// come to be on nodes (package controller), nor what is in them.
package catalog
