package link

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"antipode/replication"
	"antipode/replication/hlc"
	"github.com/cockroachdb/datadriven"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A memlog is a log in memory as Source.
type memlog struct {
	id SourceID

	mu       sync.Mutex
	records  []replication.Record
	ends     []int // of closed generations, from generation 1 on
	changed  chan struct{}
	closed   hlc.Timestamp
	position map[replication.Region]replication.Position
	readErr  error
}

func newMemlog(id SourceID) *memlog {
	return &memlog{id: id, changed: make(chan struct{}), position: map[replication.Region]replication.Position{}}
}

func (l *memlog) ID() SourceID { return l.id }

func (l *memlog) at(n int) replication.Position {
	return replication.Position{Incarnation: 1, Generation: replication.Generation(len(l.ends) + 1), Sequence: uint64(n)}
}

// split closes the generation that is being written.
func (l *memlog) split() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ends = append(l.ends, len(l.records))
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *memlog) append(recs ...replication.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range recs {
		r.Sequence = uint64(len(l.records)) + 1
		l.records = append(l.records, r)
		l.closed = r.Version.Time
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *memlog) Read(_ context.Context, after replication.Position, maxRecords, maxBytes int) (Page, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.readErr != nil {
		return Page{}, l.readErr
	}
	page, last := Page{End: after}, len(l.records)
	if g := int(after.Generation); g <= len(l.ends) {
		if last = l.ends[g-1]; int(after.Sequence) == last {
			page.End.Generation++
			return page, nil
		}
	}
	for bytes := 0; int(page.End.Sequence) < last && len(page.Records) < maxRecords && bytes < maxBytes; page.End.Sequence++ {
		r := l.records[page.End.Sequence]
		page.Records = append(page.Records, r)
		bytes += replication.RecordSize(&r)
	}
	if page.End == l.at(len(l.records)) {
		page.Closed = l.closed
	}
	return page, nil
}

func (l *memlog) Head() (replication.Position, hlc.Timestamp) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at(len(l.records)), l.closed
}

func (l *memlog) Changed(after replication.Position) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if after != l.at(len(l.records)) {
		c := make(chan struct{})
		close(c)
		return c
	}
	return l.changed
}

func (l *memlog) Position(peer replication.Region) (replication.Position, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.position[peer]
	return p, ok
}

func (l *memlog) Acknowledge(_ context.Context, peer replication.Region, p replication.Position) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.position[peer] = p
	return nil
}

func (l *memlog) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// A desk is a Transport that holds every attempt until the script answers it.
type desk struct {
	mu   sync.Mutex
	open []*call
}

type call struct {
	b      *Batch
	answer chan func() (*Ack, error)
}

func (d *desk) Send(ctx context.Context, _ replication.Region, b *Batch) (*Ack, error) {
	c := &call{b, make(chan func() (*Ack, error), 1)}
	d.mu.Lock()
	d.open = append(d.open, c)
	d.mu.Unlock()
	select {
	case a := <-c.answer:
		return a()
	case <-ctx.Done():
		d.take(c)
		return nil, context.Cause(ctx)
	}
}

func (d *desk) take(c *call) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, x := range d.open {
		if x == c {
			d.open = append(d.open[:i], d.open[i+1:]...)
			return
		}
	}
}

func (d *desk) list() []*call {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := append([]*call(nil), d.open...)
	sort.Slice(out, func(i, j int) bool { return out[i].b.Sequence < out[j].b.Sequence })
	return out
}

const (
	here  = replication.Region("eu")
	there = replication.Region("us")
)

// A script drives one link from here to there, step by step: after each command
// everything runs until it waits.
type script struct {
	log   *memlog
	desk  *desk
	group *Group
	start time.Time
}

func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if !strings.HasSuffix(path, ".script") {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			s := &script{log: newMemlog(SourceID{"table", 7}), desk: &desk{}, start: time.Now()}
			defer func() {
				if s.group != nil {
					s.group.Close()
				}
			}()
			datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
				if err := s.run(t, d); err != nil {
					return err.Error() + "\n"
				}
				synctest.Wait()
				return s.show()
			})
		})
	})
}

func (s *script) run(t *testing.T, d *datadriven.TestData) (err error) {
	switch d.Cmd {
	case "start":
		cfg := Config{Region: here, Transport: s.desk, Rand: func() float64 { return 0.5 }, HeartbeatInterval: time.Hour}
		d.MaybeScanArgs(t, "window", &cfg.Window)
		d.MaybeScanArgs(t, "records", &cfg.BatchRecords)
		d.MaybeScanArgs(t, "bytes", &cfg.WindowBytes)
		if s.group, err = NewGroup(cfg); err != nil {
			return err
		}
		s.group.Set([]LinkSpec{{s.log, there}})
	case "position":
		n := 0
		d.ScanArgs(t, "at", &n)
		s.log.set(func() { s.log.position[there] = s.log.at(n) })
	case "write":
		n, region := 1, here
		d.MaybeScanArgs(t, "n", &n)
		r := string(region)
		d.MaybeScanArgs(t, "origin", &r)
		for range n {
			v := replication.Version{Time: hlc.Timestamp{Wall: time.Now().UnixNano()}, Region: replication.Region(r)}
			cause := replication.ByUser
			if v.Region != here {
				cause = replication.ByReplica
			}
			s.log.append(replication.Record{Key: []byte("k"), Version: v, Cause: cause, Old: []byte("old"), New: []byte("new")})
		}
	case "answer":
		seq, how, msg := uint64(0), "ok", ""
		d.ScanArgs(t, "batch", &seq)
		d.MaybeScanArgs(t, "with", &how)
		d.MaybeScanArgs(t, "message", &msg)
		return s.answer(seq, how, msg)
	case "wait":
		w, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			return err
		}
		time.Sleep(w)
	case "control":
		var c Control
		c.Pause, c.Drop = d.HasArg("pause"), d.HasArg("drop")
		if d.HasArg("delay") {
			var v string
			d.ScanArgs(t, "delay", &v)
			c.Delay, _ = time.ParseDuration(v)
		}
		s.group.Controls().Set(Scope{Peer: there}, c)
	case "read":
		s.log.set(func() {
			s.log.readErr = map[string]error{"fails": errors.New("disk refuses"), "resynchronise": ErrResynchronise}[d.CmdArgs[0].Key]
		})
	case "split":
		s.log.split()
	case "close":
		s.group.Close()
	default:
		return fmt.Errorf("unknown command %s", d.Cmd)
	}
	return nil
}

func (s *script) answer(seq uint64, how, msg string) error {
	for _, c := range s.desk.list() {
		if c.b.Sequence != seq {
			continue
		}
		s.desk.take(c)
		c.answer <- func() (*Ack, error) {
			ack := &Ack{Session: c.b.Session, Sequence: seq, Message: msg}
			switch how {
			case "lost":
				return nil, errors.New("line is cut")
			case "failed":
				ack.Status = Failed
			case "resynchronise":
				ack.Status = Resynchronise
			case "another":
				ack.Sequence++
			case "rejected":
				ack.Rejected = 1
			}
			return ack, nil
		}
		return nil
	}
	return fmt.Errorf("no batch %d is on its way", seq)
}

// place is a position in short: the sequence, behind its generation from 2 on.
func place(p replication.Position) string {
	if p.Generation > 1 {
		return fmt.Sprintf("%d/%d", p.Generation, p.Sequence)
	}
	return fmt.Sprint(p.Sequence)
}

func (s *script) show() string {
	if s.group == nil {
		return "ok\n"
	}
	var b strings.Builder
	for _, c := range s.desk.list() {
		fmt.Fprintf(&b, "sending batch %d: (%d, %d]", c.b.Sequence, c.b.Start.Sequence, c.b.End.Sequence)
		for _, r := range c.b.Records {
			fmt.Fprintf(&b, " %d", r.Sequence)
			if r.Old != nil {
				fmt.Fprint(&b, " with old image")
			}
		}
		fmt.Fprintln(&b)
	}
	for _, st := range s.group.Stats() {
		pos, _ := s.log.Position(there)
		fmt.Fprintf(&b, "%s: acknowledged %s, stored %s, pending %d, lag %s", st.State, place(st.Acknowledged), place(pos), st.Pending, st.Lag)
		if !st.Durable.IsZero() {
			fmt.Fprintf(&b, ", all durable to %s", st.Durable.Time().Sub(s.start))
		}
		if st.Retries > 0 || st.Rejected > 0 || st.State == Halted {
			fmt.Fprintf(&b, "; %d failures, %d rejected, last: %s", st.Retries, st.Rejected, st.LastError)
		}
		fmt.Fprintln(&b)
	}
	if b.Len() == 0 {
		return "no links\n"
	}
	return b.String()
}
