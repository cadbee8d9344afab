// Package hlc is a hybrid logical clock: it reads like wall time, never repeats
// a reading, and orders what happened after what was seen. It knows no storage,
// no network and no regions; physical time and the durable bound come in
// through Config.
//
// Channels that a timestamp crosses, and where the clock must observe it:
//   - a stored version, before the leader stamps a write that replaces it (I4):
//     Observe. The version is durable here already, so it is never refused.
//   - a record or closed time from another region: Update. More than MaxOffset
//     ahead is refused with *OffsetError and changes nothing (I12).
//   - a raft entry's header, when another node becomes leader: Update or Observe,
//     so that the new leader stamps above all that the old one stamped.
//   - a transaction's timestamp chosen by a coordinator on another node: Update.
//
// Invariants:
//   - Now is greater than every earlier Now of this Clock and than everything
//     observed before it, over restarts too when a durable bound is configured:
//     no reading's Wall exceeds the bound that PersistBound made durable before,
//     and a new Clock starts above Config.Bound.
//   - A refused Update leaves the clock as it was.
//   - Wall is never negative; the zero Timestamp is before all readings.
//
// Hazards:
//   - When the durable bound cannot be raised in time, Now does not block: it
//     stands still on the bound and counts logically, and Err tells why. Such a
//     clock falls behind wall time and would lose every conflict; whoever owns
//     it should give up its leaderships when Err persists.
//   - After a restart the clock may start BoundAhead before physical time.
//     BoundAhead counts against the offset that peers tolerate (Fast).
//   - A physical clock that jumps forward is stamped from at once; only the
//     comparison with other nodes (Fast) finds that out.
package hlc
