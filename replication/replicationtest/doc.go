// Package replicationtest runs many regions in one process on a test's own
// clock, network and disks: real hlc clocks, real link groups and receivers,
// and small in-memory stores with the rules that a node's storage keeps. It
// knows no items, partitions of a node or Pebble.
//
// Simulate must run inside a testing/synctest bubble, which is where its time
// comes from. A seed fixes every choice: what is written where, each fault, each
// delay. (Goroutines that are ready at the same instant may still run in either
// order.)
//
// What is checked, all the time or at the end:
//   - a record leaves only the region that originated it (I5);
//   - what a link's position or watermark covers is durable at the peer (I7);
//   - after everything is healed the regions hold the same, and for every key
//     exactly the greatest version that any region made durable, so no
//     acknowledged write is lost and nothing that was deleted comes back, though
//     tombstones are dropped meanwhile (I6);
//   - every region's ledger of conflicts holds exactly the writes that were lost,
//     entry by entry, with nothing provisional left. Which those are is computed
//     from the regions' journals alone: a write is lost when at its origin it is
//     replaced by one that does not descend from it;
//   - nothing went to the dead letters.
//
// Options.Bug breaks a rule on purpose, to prove that the checks notice.
package replicationtest
