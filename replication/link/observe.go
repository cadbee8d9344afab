package link

import (
	"time"

	"antipode/replication/hlc"
)

// mark is the closed time to tell the peer, and whether it is news.
func (s *sender) mark() (hlc.Timestamp, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known || s.st.State == Halted || s.ctl.Pause || s.ctl.Drop {
		return hlc.Timestamp{}, false
	}
	s.watermark()
	return s.confirmed, s.told.Less(s.confirmed)
}

// watermark raises confirmed to the source's own closed time when the peer has
// the whole log; mu is held.
func (s *sender) watermark() hlc.Timestamp {
	if end, closed := s.src.Head(); s.known && end == s.acked {
		s.confirmed = later(s.confirmed, closed)
	}
	return s.confirmed
}

// marked notes that the peer knows closed.
func (s *sender) marked(closed hlc.Timestamp) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = later(s.told, closed)
}

// stats is the link now.
func (s *sender) stats() Stats {
	now := s.cfg.Clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.st
	st.Control, st.Acknowledged, st.Durable = s.ctl, s.acked, s.watermark()
	switch {
	case st.State == Halted:
	case !s.known:
		return st
	case s.ctl.Pause:
		st.State = Paused
	case s.failing:
		st.State = Retrying
	default:
		st.State = Streaming
	}
	st.InFlight, st.InFlightBytes = s.win.pending()
	head, _ := s.src.Head()
	// Sequences go on over the generations of a log.
	st.Pending = head.Sequence - min(s.acked.Sequence, head.Sequence)
	oldest, ok := s.win.oldest()
	if !ok && s.held != nil {
		oldest, ok = s.held.Records[0].Version.Time.Wall, true
	}
	if !ok && head != s.acked && !st.Durable.IsZero() {
		// Not read yet: something that committed after the watermark.
		oldest, ok = st.Durable.Wall, true
	}
	if ok {
		st.Lag = max(time.Duration(now.UnixNano()-oldest), 0)
	}
	return st
}
