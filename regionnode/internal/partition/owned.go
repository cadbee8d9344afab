package partition

import (
	"slices"

	"antipode/regionnode/internal/keys"
)

// waiting tells the descriptor of an empty replica, which knows neither its
// range nor who votes.
func (s *Spec) waiting() bool { return len(s.Members) == 0 }

// ownSpans are the data spans of a descriptor's range that no other replica of
// this node holds.
func (h *Host) ownSpans(spec *Spec) []keys.Span { return h.ownSpansBut(spec, nil) }

// ownSpansBut leaves out another range of the same partition too.
func (h *Host) ownSpansBut(spec, but *Spec) []keys.Span {
	if spec.waiting() {
		return nil
	}
	rest := []interval{intervalOf(spec.hashes())}
	if but != nil {
		rest = subtract(rest, intervalOf(but.hashes()))
	}
	for _, other := range h.neighbours(spec) {
		rest = subtract(rest, intervalOf(other.hashes()))
	}
	var spans []keys.Span
	for _, i := range rest {
		spans = append(spans, keys.DataSpans(spec.Table, i.hashes())...)
	}
	slices.SortFunc(spans, func(a, b keys.Span) int { return slices.Compare(a.Start, b.Start) })
	return spans
}

// neighbours are the descriptors of this node's other replicas of the table.
func (h *Host) neighbours(spec *Spec) []*Spec {
	var out []*Spec
	for _, s := range h.Held() {
		if s.ID != spec.ID && s.Table == spec.Table && !s.waiting() {
			out = append(out, s)
		}
	}
	return out
}

// overlapped is a replica of this node that holds a part of a descriptor's
// range, nil for none.
func (h *Host) overlapped(spec *Spec) *Spec {
	for _, other := range h.neighbours(spec) {
		a, b := intervalOf(spec.hashes()), intervalOf(other.hashes())
		if a.first <= b.last && b.first <= a.last {
			return other
		}
	}
	return nil
}

// Overlaps tells whether another replica of this node holds a part of a range.
func (h *Host) Overlaps(spec *Spec) bool { return h.overlapped(spec) != nil }

// interval of hashes, both ends included: so the end of the space needs no name.
type interval struct{ first, last uint64 }

func intervalOf(h keys.Hashes) interval { return interval{h.Start, h.End - 1} }

func (i interval) hashes() keys.Hashes { return keys.Hashes{Start: i.first, End: i.last + 1} }

// subtract leaves of some intervals what is not in hole.
func subtract(from []interval, hole interval) []interval {
	var out []interval
	for _, i := range from {
		if hole.last < i.first || i.last < hole.first {
			out = append(out, i)
			continue
		}
		if i.first < hole.first {
			out = append(out, interval{i.first, hole.first - 1})
		}
		if hole.last < i.last {
			out = append(out, interval{hole.last + 1, i.last})
		}
	}
	return out
}
