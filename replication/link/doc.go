// Package link ships a partition's change log to a peer region and applies what
// arrives from one. It knows no items, no storage, no network and no
// membership: a Source reads the log, a Transport carries batches, a Sink
// stores records; node implements all three.
//
// One way of one link:
//
//	Source → sender (one for each source and peer) → Transport → Receiver → Sink
//
// Invariants:
//   - Only records that the own region originated are shipped (I5): not those
//     applied from a peer, nor any whose version names another region. The
//     receiver refuses others too, except from a snapshot.
//   - A link's position moves only over records that the peer has durably (I7),
//     and only over the contiguous prefix of what was acknowledged: many batches
//     are in flight, their acknowledgements come in any order.
//   - A batch may arrive twice, late and out of order, at any node of the peer:
//     the Receiver keeps no state, the Sink's merge makes it harmless (I5).
//   - A closed time is sent only once everything up to it has been acknowledged,
//     so the receiver may believe it on sight, whatever else is lost or late.
//   - A record that can never be applied goes to DeadLetters, durably, before its
//     batch is acknowledged; it does not hold up the rest.
//   - A source or peer that answers "resynchronise" stops the link, visibly; it
//     is never skipped over.
//
// A sender waits on events (the log changed, an acknowledgement, a control); it
// polls nothing. An idle link costs its goroutine and, once an interval, a mark
// in one message that all links to the peer share.
package link
