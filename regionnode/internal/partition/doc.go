// Package partition is one raft group: a replica of one interval of a table's
// keys. On the leader it evaluates writes, stamps and proposes them; on every
// replica it applies what the log says, keeps local indexes and the change log,
// and answers reads. A Host runs all replicas of a node on few goroutines.
//
// It knows its key interval and its members, and no other partition: who is
// where, membership of the region and links to other regions are the business
// of others, who reach it through Host and Partition.
//
// A write on the leader takes the key's latch, reads, evaluates, and hands its
// effects to the propose buffer, which stamps it; the buffer becomes one raft
// entry, the append loop syncs it, apply writes it as one batch and answers.
// The latch is held until then, so what was read is still there.
//
// DESIGN.md says how a partition is split.
package partition
