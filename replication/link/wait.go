package link

import (
	"context"
	"time"
)

// wait blocks until something happened and takes it in; false when the link is
// to end.
func (s *sender) wait(ctx context.Context) bool {
	var back <-chan struct{}
	if !s.retryAt.IsZero() && !s.ctl.Pause {
		back = s.peer.back()
	}
	select {
	case <-ctx.Done():
		return false
	case r := <-s.results:
		if err := s.settle(ctx, r); err != nil {
			s.halt(err)
			return false
		}
	case r := <-s.stored:
		s.onStored(r)
	case <-s.changed:
		s.changed = nil
	case <-s.ctlChange:
		s.control()
		s.hasten(0)
		s.resend(ctx)
	case <-back:
		s.hasten(s.cfg.RetryMin)
	case <-s.nextAlarm():
		// ship sets dueAt anew when it gets to it: not while the window is full.
		s.alarm, s.dueAt = nil, time.Time{}
	}
	if now := s.cfg.Clock.Now(); !s.retryAt.IsZero() && !s.ctl.Pause && !now.Before(s.retryAt) {
		s.retry(ctx)
	}
	return true
}

// hasten makes the next attempt come within d, spread by chance.
func (s *sender) hasten(d time.Duration) {
	if s.retryAt.IsZero() {
		return
	}
	at := s.cfg.Clock.Now().Add(time.Duration(s.cfg.Rand() * float64(d)))
	if at.Before(s.retryAt) {
		s.retryAt = at
	}
}

// nextAlarm fires at the earliest time that run waits for, or before. It makes a
// timer only when none fires early enough.
func (s *sender) nextAlarm() <-chan time.Time {
	var at time.Time
	want := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	if !s.retryAt.IsZero() && !s.ctl.Pause {
		want(s.retryAt)
	}
	if !s.dueAt.IsZero() {
		want(s.dueAt)
	}
	if !s.storing && s.acked != s.durable {
		want(s.storeAt)
	}
	if !at.IsZero() && (s.alarm == nil || at.Before(s.alarmAt)) {
		s.alarm, s.alarmAt = s.cfg.Clock.After(max(at.Sub(s.cfg.Clock.Now()), 0)), at
	}
	return s.alarm
}
