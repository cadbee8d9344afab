package link

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"antipode/replication"
	"antipode/replication/hlc"
)

// A sender ships one source to one peer. One goroutine, run, decides; each
// attempt and each durable move of the position runs in a goroutine of its own
// and reports back. What Stats and heartbeats read is guarded by mu, which run
// holds while it changes anything.
type sender struct {
	cfg     *Config
	id      SourceID
	src     Source
	peer    *peer
	session uint64
	cancel  context.CancelFunc
	done    chan struct{}
	// work counts the goroutines that run started.
	work    sync.WaitGroup
	results chan result
	stored  chan stored

	// Only run uses these.
	sequence  uint64
	changed   <-chan struct{} // set while caught up: the log has more when it closes
	ctlChange <-chan struct{}
	storing   bool
	storeAt   time.Time
	probe     *flight // the one attempt that ends a back-off, while under way
	readFails bool
	attempts  int
	retryAt   time.Time
	dueAt     time.Time // when the held page's first record has aged Control.Delay
	alarm     <-chan time.Time
	alarmAt   time.Time

	mu        sync.Mutex
	st        Stats
	ctl       Control
	known     bool // position and all that follows are set
	next      replication.Position
	acked     replication.Position
	durable   replication.Position // acked, as the source has stored it
	win       window
	held      *Page // read but not shipped; own records only
	failing   bool  // since the last failure nothing succeeded
	confirmed hlc.Timestamp
	told      hlc.Timestamp // the greatest closed time the peer acknowledged
}

type result struct {
	f   *flight
	ack *Ack
	err error
}

type stored struct {
	p   replication.Position
	err error
}

func newSender(cfg *Config, spec LinkSpec, p *peer, session uint64) *sender {
	s := &sender{
		cfg: cfg, id: spec.Source.ID(), src: spec.Source, peer: p, session: session,
		done: make(chan struct{}), results: make(chan result, cfg.Window), stored: make(chan stored, 1),
	}
	s.st.Source, s.st.Peer = s.id, p.region
	return s
}

func (s *sender) run(ctx context.Context) {
	defer close(s.done)
	defer s.work.Wait()
	if !s.begin(ctx) {
		return
	}
	for {
		if err := s.fill(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			if errors.Is(err, ErrResynchronise) {
				s.halt(err)
				return
			}
			s.readFails = true
			s.fail(nil, err)
		}
		s.store(ctx)
		if !s.wait(ctx) {
			return
		}
	}
}

// begin waits until the source knows where the link stands.
func (s *sender) begin(ctx context.Context) bool {
	s.control()
	for pause := s.cfg.RetryMin; ; pause = min(2*pause, s.cfg.RetryMax) {
		if p, ok := s.src.Position(s.peer.region); ok {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.known, s.next, s.acked, s.durable = true, p, p, p
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-s.cfg.Clock.After(pause):
		}
	}
}

// fill reads and ships until the link is caught up, full or held back.
func (s *sender) fill(ctx context.Context) error {
	for s.changed == nil && !s.failing && s.retryAt.IsZero() && s.room() {
		if s.held == nil {
			if err := s.read(ctx); err != nil {
				return fmt.Errorf("read the log: %w", err)
			}
			continue
		}
		if !s.ship(ctx) {
			return nil
		}
	}
	return nil
}

func (s *sender) room() bool {
	return len(s.win.flights) < s.cfg.Window && s.win.bytes < s.cfg.WindowBytes
}

// read takes one page of the log and keeps the region's own records of it (I5).
func (s *sender) read(ctx context.Context) error {
	page, err := s.src.Read(ctx, s.next, s.cfg.BatchRecords, s.cfg.BatchBytes)
	if err != nil {
		return err
	}
	own := page.Records
	for i := range page.Records {
		if !s.owns(&page.Records[i]) {
			own = append([]replication.Record(nil), page.Records[:i]...)
			for _, rec := range page.Records[i:] {
				if s.owns(&rec) {
					own = append(own, rec)
				}
			}
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readFails {
		s.readFails = false
		s.succeed()
	}
	s.st.Skipped += uint64(len(page.Records) - len(own))
	page.Records = own
	if len(own) > 0 {
		s.held = &page
		return nil
	}
	if page.End == s.next {
		s.changed = s.src.Changed(s.next)
	}
	s.pass(page.End, page.Closed)
	return nil
}

func (s *sender) owns(r *replication.Record) bool {
	return r.Version.Region == s.cfg.Region && r.Cause != replication.ByReplica
}

// pass moves over a stretch of the log that needs no shipping; mu is held.
func (s *sender) pass(end replication.Position, closed hlc.Timestamp) {
	s.next = end
	if !s.win.extend(end, closed) {
		s.acked = end
		s.confirmed = later(s.confirmed, closed)
	}
}

// ship sends what is held, or as much as is old enough; false when it must wait.
func (s *sender) ship(ctx context.Context) bool {
	s.dueAt = time.Time{}
	if s.ctl.Pause {
		return false
	}
	n := len(s.held.Records)
	if s.ctl.Delay > 0 {
		now := s.cfg.Clock.Now()
		for i := range s.held.Records {
			if due := s.held.Records[i].Version.Time.Time().Add(s.ctl.Delay); due.After(now) {
				n, s.dueAt = i, due
				break
			}
		}
	}
	if n == 0 {
		return false
	}
	s.mu.Lock()
	f := s.cut(n)
	s.win.push(f)
	s.mu.Unlock()
	s.launch(ctx, f)
	return true
}

// cut makes a flight of the first n records held; mu is held.
func (s *sender) cut(n int) *flight {
	end, closed, recs := s.held.End, s.held.Closed, s.held.Records
	if n < len(recs) {
		end.Sequence, closed = recs[n-1].Sequence, hlc.Timestamp{}
		s.held = &Page{Records: recs[n:], End: s.held.End, Closed: s.held.Closed}
	} else {
		s.held = nil
	}
	s.sequence++
	f := &flight{end: end, closed: closed, batch: &Batch{
		Kind: Log, Session: s.session, Sequence: s.sequence, From: s.cfg.Region, To: s.peer.region, Source: s.id,
		Start: s.next, End: end, Closed: s.confirmed, Records: make([]replication.Record, n),
	}}
	for i := range n {
		r := recs[i]
		r.Old = nil
		f.batch.Records[i] = r
		f.bytes += replication.RecordSize(&r)
		if i == 0 || r.Version.Time.Wall < f.oldest {
			f.oldest = r.Version.Time.Wall
		}
	}
	s.next = end
	return f
}

// launch starts an attempt; its result comes through results, which has room for
// one result of each flight.
func (s *sender) launch(ctx context.Context, f *flight) {
	s.mu.Lock()
	f.state = sending
	drop := s.ctl.Drop
	s.mu.Unlock()
	if drop {
		s.results <- result{f, nil, errDropped}
		return
	}
	s.work.Go(func() {
		ack, err := s.peer.attempt(ctx, f.batch, f.bytes)
		s.results <- result{f, ack, err}
	})
}

// settle takes in one attempt's result; an error halts the link.
func (s *sender) settle(ctx context.Context, r result) error {
	if r.err != nil {
		if errors.Is(r.err, ErrResynchronise) {
			return r.err
		}
		s.mu.Lock()
		r.f.state = failed
		s.mu.Unlock()
		s.fail(r.f, r.err)
		return nil
	}
	now := s.cfg.Clock.Now()
	s.mu.Lock()
	r.f.state = acknowledged
	s.st.Batches++
	s.st.Shipped += uint64(len(r.f.batch.Records))
	s.st.ShippedBytes += uint64(r.f.bytes)
	s.st.Rejected += uint64(r.ack.Rejected)
	s.st.LastAckTime = now
	s.told = later(s.told, r.f.batch.Closed)
	s.succeed()
	if end, closed, moved := s.win.pop(); moved {
		s.acked = end
		s.confirmed = later(s.confirmed, closed)
	}
	s.mu.Unlock()
	if s.cfg.Shipped != nil {
		s.cfg.Shipped(Shipment{
			Source: s.id, Peer: s.peer.region, Records: len(r.f.batch.Records), Bytes: r.f.bytes,
			Latency: time.Duration(now.UnixNano() - r.f.oldest),
		})
	}
	s.resend(ctx)
	return nil
}

// resend launches what has failed when nothing fails any more; a pause puts it
// off to its end.
func (s *sender) resend(ctx context.Context) {
	if s.failing || s.ctl.Pause {
		return
	}
	for _, f := range s.win.flights {
		if f.state == failed {
			s.launch(ctx, f)
		}
	}
}

// succeed ends a back-off; mu is held.
func (s *sender) succeed() {
	s.failing, s.probe, s.attempts, s.retryAt = false, nil, 0, time.Time{}
}

// fail notes a failure, of reading when f is nil. While failing, either the time
// of the next attempt is set or that attempt is under way.
func (s *sender) fail(f *flight, err error) {
	now := s.cfg.Clock.Now()
	s.mu.Lock()
	s.failing = true
	s.st.Retries++
	s.st.LastError, s.st.LastErrorTime = err.Error(), now
	s.mu.Unlock()
	if f == s.probe {
		s.probe = nil
	}
	if s.probe != nil || !s.retryAt.IsZero() {
		return
	}
	s.attempts++
	s.retryAt = now.Add(backoff(s.cfg, s.attempts))
	if s.attempts == 1 {
		s.cfg.Logger.Warn("link fails", "group", s.id.Group, "partition", s.id.Partition, "peer", s.peer.region, "err", err)
	}
}

// backoff is the wait before attempt n+1: doubling from RetryMin to RetryMax,
// less up to half by chance, so that links do not return in step.
func backoff(cfg *Config, n int) time.Duration {
	d := cfg.RetryMax
	if n < 30 {
		d = min(d, cfg.RetryMin<<(n-1))
	}
	return d - time.Duration(cfg.Rand()*float64(d)/2)
}

// retry makes the back-off's one attempt: the oldest failed batch, or, when only
// reading failed, reading.
func (s *sender) retry(ctx context.Context) {
	s.retryAt = time.Time{}
	for _, f := range s.win.flights {
		if f.state == failed {
			s.probe = f
			s.launch(ctx, f)
			return
		}
	}
	s.mu.Lock()
	s.failing = false
	s.mu.Unlock()
}

// store makes the position durable at the source, at most once an interval.
func (s *sender) store(ctx context.Context) {
	if s.storing || s.acked == s.durable || s.cfg.Clock.Now().Before(s.storeAt) {
		return
	}
	s.storing = true
	p := s.acked
	s.work.Go(func() { s.stored <- stored{p, s.src.Acknowledge(ctx, s.peer.region, p)} })
}

func (s *sender) onStored(r stored) {
	now := s.cfg.Clock.Now()
	s.storing = false
	s.storeAt = now.Add(s.cfg.AcknowledgeInterval)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.err != nil {
		s.st.LastError, s.st.LastErrorTime = fmt.Sprintf("store the position: %v", r.err), now
		return
	}
	s.durable = r.p
}

func (s *sender) halt(err error) {
	s.mu.Lock()
	s.st.State = Halted
	s.st.LastError, s.st.LastErrorTime = err.Error(), s.cfg.Clock.Now()
	s.mu.Unlock()
	s.cfg.Logger.Error("link halted", "group", s.id.Group, "partition", s.id.Partition, "peer", s.peer.region, "err", err)
}

func (s *sender) control() {
	ctl, change := s.cfg.Controls.of(s.peer.region, s.id.Group)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctl, s.ctlChange = ctl, change
}
