package link

import (
	"antipode/replication"
	"antipode/replication/hlc"
)

type flightState uint8

const (
	sending flightState = iota
	failed
	acknowledged
)

// A flight is one batch that is not yet part of the acknowledged prefix.
type flight struct {
	batch *Batch
	// end and closed are what the log's prefix reaches with this batch: end may
	// lie after the batch's own, over records that are not shipped.
	end    replication.Position
	closed hlc.Timestamp
	bytes  int
	oldest int64 // wall time of the oldest record's commit, ns
	state  flightState
}

// A window is what a link has in flight, in log order. It holds the rule that
// the position moves over the contiguous prefix only (I7).
type window struct {
	flights []*flight
	bytes   int
}

func (w *window) push(f *flight) {
	w.flights = append(w.flights, f)
	w.bytes += f.bytes
}

// extend moves the last flight's end over records that need no shipping; false
// when nothing is in flight.
func (w *window) extend(end replication.Position, closed hlc.Timestamp) bool {
	if len(w.flights) == 0 {
		return false
	}
	last := w.flights[len(w.flights)-1]
	last.end = end
	last.closed = later(last.closed, closed)
	return true
}

// pop removes the acknowledged prefix and answers with where it ends; false when
// the first flight is not acknowledged.
func (w *window) pop() (end replication.Position, closed hlc.Timestamp, moved bool) {
	for len(w.flights) > 0 && w.flights[0].state == acknowledged {
		f := w.flights[0]
		w.flights[0] = nil
		w.flights = w.flights[1:]
		w.bytes -= f.bytes
		end, closed, moved = f.end, later(closed, f.closed), true
	}
	return end, closed, moved
}

// oldest is the earliest commit that is not acknowledged; false when all are.
func (w *window) oldest() (ns int64, ok bool) {
	for _, f := range w.flights {
		if f.state != acknowledged && (!ok || f.oldest < ns) {
			ns, ok = f.oldest, true
		}
	}
	return ns, ok
}

// pending counts batches that are not acknowledged.
func (w *window) pending() (batches, bytes int) {
	for _, f := range w.flights {
		if f.state != acknowledged {
			batches++
			bytes += f.bytes
		}
	}
	return batches, bytes
}

func later(a, b hlc.Timestamp) hlc.Timestamp {
	if a.Less(b) {
		return b
	}
	return a
}
