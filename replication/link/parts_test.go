package link

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"antipode/replication"
	"antipode/replication/hlc"
	"pgregory.net/rapid"
)

// Whatever order acknowledgements come in, the window ends where a plain count
// of the contiguous prefix ends.
func TestWindowMovesOverThePrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "flights")
		var w window
		flights := make([]*flight, n)
		for i := range flights {
			flights[i] = &flight{end: replication.Position{Sequence: uint64(i + 1)}, bytes: 10, oldest: int64(i)}
			w.push(flights[i])
		}
		done := make([]bool, n+1)
		prefix := 0
		for _, i := range rapid.Permutation(indices(n)).Draw(t, "order") {
			flights[i].state = acknowledged
			done[i] = true
			for done[prefix] {
				prefix++
			}
			if end, _, moved := w.pop(); moved && end.Sequence != uint64(prefix) || moved != (i < prefix) {
				t.Fatalf("moved %v to %v, want %d", moved, end, prefix)
			}
			if len(w.flights) != n-prefix || w.bytes != 10*(n-prefix) {
				t.Fatalf("%d flights, %d bytes left of %d", len(w.flights), w.bytes, n-prefix)
			}
			if oldest, ok := w.oldest(); ok != (prefix < n) || ok && oldest != int64(prefix) {
				t.Fatalf("oldest %d, %v; want %d", oldest, ok, prefix)
			}
		}
	})
}

func indices(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func TestLimiterServesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter{capacity: 10}
		var mu sync.Mutex
		var served []string
		ask := func(ctx context.Context, name string, n int) {
			go func() {
				if _, err := l.acquire(ctx, n); err == nil {
					mu.Lock()
					defer mu.Unlock()
					served = append(served, name)
				}
			}()
			synctest.Wait()
		}
		expect := func(want string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if got := strings.Join(served, " "); got != want {
				t.Fatalf("served %q, want %q", got, want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		ask(t.Context(), "a", 6)
		ask(ctx, "big", 100) // takes the whole capacity
		ask(t.Context(), "b", 1)
		expect("a") // b fits, but came after big
		l.release(6)
		expect("a big")
		l.release(10)
		expect("a big b")
		ask(ctx, "c", 10)
		cancel()
		expect("a big b")
		ask(t.Context(), "d", 9)
		expect("a big b d")
	})
}

// A shelf is a Sink that keeps what it gets and answers as told.
type shelf struct {
	mu      sync.Mutex
	got     []Delivery
	marks   []Mark
	reject  []Rejection
	err     error
	letters []DeadLetter
	full    error
}

func (s *shelf) Apply(_ context.Context, d Delivery) ([]Rejection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	s.got = append(s.got, d)
	return s.reject, nil
}

func (s *shelf) Closed(_ replication.Region, marks []Mark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marks = append(s.marks, marks...)
}

func (s *shelf) Add(_ context.Context, letters []DeadLetter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full == nil {
		s.letters = append(s.letters, letters...)
	}
	return s.full
}

func (s *shelf) keys() (out string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.got {
		for _, r := range d.Records {
			out += string(r.Key)
		}
	}
	return out
}

func record(key string, region replication.Region) replication.Record {
	return replication.Record{Key: []byte(key), Version: replication.Version{Time: hlc.Timestamp{Wall: 5}, Region: region}, New: []byte("v")}
}

func TestReceiver(t *testing.T) {
	broken := errors.New("disk refuses")
	applied := record("r", here)
	applied.Cause = replication.ByReplica
	mixed := []replication.Record{record("a", here), record("b", "ap"), record("c", here), applied, {Key: []byte("z")}}
	for _, c := range []struct {
		name    string
		shelf   *shelf
		change  func(*Batch)
		status  Status
		keys    string
		letters int
		marks   int
	}{
		{name: "plain", keys: "k", marks: 1},
		{name: "to another region", change: func(b *Batch) { b.To = "ap" }, status: Failed},
		{name: "from ourselves", change: func(b *Batch) { b.From = there }, status: Failed},
		{name: "of unknown kind", change: func(b *Batch) { b.Kind = 9 }, status: Failed},
		{name: "foreign records", change: func(b *Batch) { b.Records = mixed }, keys: "ac", letters: 3, marks: 1},
		{name: "snapshot", change: func(b *Batch) { b.Kind, b.Closed, b.Records = Snapshot, hlc.Timestamp{}, mixed }, keys: "abcr", letters: 1},
		{name: "heartbeat", change: func(b *Batch) { b.Kind, b.Marks = Heartbeat, make([]Mark, 3) }, marks: 3},
		{name: "rejections", shelf: &shelf{reject: []Rejection{{0, "too large"}}}, keys: "k", letters: 1, marks: 1},
		{name: "rejection out of range", shelf: &shelf{reject: []Rejection{{1, "too large"}}}, keys: "k", status: Failed},
		{name: "sink fails", shelf: &shelf{err: broken}, status: Failed},
		{name: "sink lost its place", shelf: &shelf{err: ErrResynchronise}, status: Resynchronise},
		{name: "dead letters fail", shelf: &shelf{reject: []Rejection{{0, "too large"}}, full: broken}, keys: "k", status: Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.shelf == nil {
				c.shelf = &shelf{}
			}
			r, err := NewReceiver(ReceiverConfig{Region: there, Sink: c.shelf, DeadLetters: c.shelf})
			if err != nil {
				t.Fatal(err)
			}
			b := &Batch{
				Session: 3, Sequence: 4, From: here, To: there, Source: SourceID{"table", 7},
				Closed: hlc.Timestamp{Wall: 1}, Records: []replication.Record{record("k", here)},
			}
			if c.change != nil {
				c.change(b)
			}
			ack, err := r.Apply(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			if ack.Status != c.status || ack.Session != 3 || ack.Sequence != 4 || (ack.Message == "") != (c.status == Applied) {
				t.Fatalf("answer %+v", ack)
			}
			if got := c.shelf.keys(); got != c.keys || len(c.shelf.letters) != c.letters || len(c.shelf.marks) != c.marks {
				t.Fatalf("keys %q, %d letters, %d marks", got, len(c.shelf.letters), len(c.shelf.marks))
			}
			if c.status == Applied && int(ack.Rejected) != c.letters {
				t.Fatalf("%d rejected, %d letters", ack.Rejected, c.letters)
			}
		})
	}
}

// A direct is a Transport straight into a receiver.
type direct struct{ to Applier }

func (d direct) Send(ctx context.Context, _ replication.Region, b *Batch) (*Ack, error) {
	return d.to.Apply(ctx, b)
}

func direction(t *testing.T, s *shelf, change func(*Config)) *Group {
	t.Helper()
	r, err := NewReceiver(ReceiverConfig{Region: there, Sink: s, DeadLetters: s})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Region: here, Transport: direct{r}}
	if change != nil {
		change(&cfg)
	}
	g, err := NewGroup(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestIdleLinksShareOneHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		var specs []LinkSpec
		var logs []*memlog
		for i := range uint64(3) {
			l := newMemlog(SourceID{"table", i})
			l.position[there] = l.at(0)
			l.closed = hlc.Timestamp{Wall: 100 + int64(i)}
			logs, specs = append(logs, l), append(specs, LinkSpec{l, there})
		}
		sends := 0
		g := direction(t, s, func(c *Config) {
			c.Transport = counting{c.Transport, &sends}
			c.HeartbeatInterval = time.Second
		})
		defer g.Close()
		g.Set(specs)
		time.Sleep(time.Second)
		synctest.Wait()
		if sends != 1 || len(s.marks) != 3 || s.marks[2].Closed.Wall != 102 {
			t.Fatalf("%d sends, marks %v", sends, s.marks)
		}
		time.Sleep(10 * time.Second)
		if sends != 1 {
			t.Fatalf("%d sends though nothing closed", sends)
		}
		logs[1].set(func() { logs[1].closed.Wall = 500 })
		time.Sleep(time.Second)
		synctest.Wait()
		if sends != 2 || len(s.marks) != 4 {
			t.Fatalf("%d sends, marks %v", sends, s.marks)
		}
		g.Controls().Set(Scope{}, Control{Pause: true})
		logs[1].set(func() { logs[1].closed.Wall = 600 })
		time.Sleep(10 * time.Second)
		if sends != 2 {
			t.Fatal("a paused link sends heartbeats")
		}
	})
}

type counting struct {
	Transport
	n *int
}

func (c counting) Send(ctx context.Context, peer replication.Region, b *Batch) (*Ack, error) {
	*c.n++
	return c.Transport.Send(ctx, peer, b)
}

// Set replaces a link whose source is another object and ends the old one before
// it returns.
func TestSetReplacesSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		g := direction(t, s, nil)
		defer g.Close()
		old, led := newMemlog(SourceID{"table", 1}), newMemlog(SourceID{"table", 1})
		old.position[there], led.position[there] = old.at(0), led.at(0)
		g.Set([]LinkSpec{{old, there}})
		old.append(record("a", here))
		synctest.Wait()
		g.Set([]LinkSpec{{led, there}})
		old.append(record("b", here))
		led.append(record("c", here))
		synctest.Wait()
		if s.keys() != "ac" || len(g.Stats()) != 1 {
			t.Fatalf("shipped %q by %d links", s.keys(), len(g.Stats()))
		}
		g.Set(nil)
		if len(g.Stats()) != 0 {
			t.Fatal("a link is left")
		}
	})
}

// A slow peer holds back reading: what is in flight stays within the bounds.
func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{}
		g, err := NewGroup(Config{Region: here, Transport: d, WindowBytes: 4000, BatchBytes: 1000, PeerBytes: 5000})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		var specs []LinkSpec
		for i := range uint64(4) {
			l := newMemlog(SourceID{"table", i})
			l.position[there] = l.at(0)
			r := record("k", here)
			r.New = make([]byte, 900)
			for range 100 {
				l.append(r)
			}
			specs = append(specs, LinkSpec{l, there})
		}
		g.Set(specs)
		for range 50 {
			synctest.Wait()
			open := d.list()
			bytes, parts := 0, map[uint64]bool{}
			for _, c := range open {
				parts[c.b.Source.Partition] = true
				for i := range c.b.Records {
					bytes += replication.RecordSize(&c.b.Records[i])
				}
			}
			if bytes > 5000 || len(open) == 0 {
				t.Fatalf("%d bytes in %d batches on their way", bytes, len(open))
			}
			for _, st := range g.Stats() {
				if st.InFlightBytes > 4000+2000 { // a batch more, and that a record more
					t.Fatalf("link has %d bytes in flight", st.InFlightBytes)
				}
			}
			for _, c := range open {
				d.take(c)
				c.answer <- func() (*Ack, error) { return &Ack{Session: c.b.Session, Sequence: c.b.Sequence}, nil }
			}
		}
		for _, st := range g.Stats() {
			if st.Shipped < 40 {
				t.Fatalf("partition %d got %d records through: not its turn", st.Source.Partition, st.Shipped)
			}
		}
	})
}

// A book is a Snapshotter over sorted keys.
type book []string

func (b book) ID() SourceID { return SourceID{"table", 1} }

func (b book) Next(_ context.Context, after []byte, maxRecords, _ int) (out []replication.Record, _ error) {
	for _, k := range b {
		if k > string(after) && len(out) < maxRecords {
			out = append(out, record(k, "ap"))
		}
	}
	return out, nil
}

// flaky loses every other attempt.
type flaky struct {
	Transport
	mu *sync.Mutex
	n  *int
}

func (f flaky) Send(ctx context.Context, peer replication.Region, b *Batch) (*Ack, error) {
	f.mu.Lock()
	*f.n++
	lose := *f.n%2 == 1
	f.mu.Unlock()
	if lose {
		return nil, errors.New("line is cut")
	}
	return f.Transport.Send(ctx, peer, b)
}

func TestBackfill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		g := direction(t, s, func(c *Config) {
			c.BatchRecords = 2
			c.Transport = flaky{c.Transport, &sync.Mutex{}, new(int)}
		})
		defer g.Close()
		all := book{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"}
		var progress []string
		keep := func(k []byte) error { progress = append(progress, string(k)); return nil }
		if n, err := g.Backfill(t.Context(), all, there, []byte("c"), keep); err != nil || n != 0 {
			t.Fatal(n, err)
		}
		if got := strings.Join(progress, ""); got != "egikm" {
			t.Fatalf("progress %q", got)
		}
		for _, k := range all[3:] {
			if !strings.Contains(s.keys(), k) {
				t.Fatalf("%s is missing in %q", k, s.keys())
			}
		}
		if strings.ContainsAny(s.keys(), "abc") {
			t.Fatalf("%q begins too early", s.keys())
		}
		s.err = ErrResynchronise
		if _, err := g.Backfill(t.Context(), all, there, nil, keep); !errors.Is(err, ErrResynchronise) {
			t.Fatalf("%v, want ErrResynchronise", err)
		}
		s.err = nil
		stop := errors.New("stop")
		if _, err := g.Backfill(t.Context(), all, there, nil, func([]byte) error { return stop }); !errors.Is(err, stop) {
			t.Fatalf("%v, want stop", err)
		}
		g.Controls().Set(Scope{}, Control{Pause: true})
		done := make(chan error, 1)
		go func() {
			_, err := g.Backfill(t.Context(), all, there, nil, keep)
			done <- err
		}()
		synctest.Wait()
		g.Close()
		if err := <-done; !errors.Is(err, errClosed) {
			t.Fatalf("%v, want errClosed", err)
		}
	})
}

// The long way round: a cut of a peer makes links back off; its first answer
// wakes them all.
func TestPeerBackWakesLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		cut := &gate{}
		g := direction(t, s, func(c *Config) {
			cut.Transport = c.Transport
			c.Transport = cut
			c.RetryMax = time.Hour
			c.HeartbeatInterval = 10 * time.Second
		})
		defer g.Close()
		a, b := newMemlog(SourceID{"table", 1}), newMemlog(SourceID{"table", 2})
		a.position[there], b.position[there] = a.at(0), b.at(0)
		cut.set(true)
		g.Set([]LinkSpec{{a, there}, {b, there}})
		a.append(record("a", here))
		time.Sleep(20 * time.Minute) // the next attempt is minutes away
		cut.set(false)
		b.set(func() { b.closed.Wall = 9 }) // something for the heartbeat to tell
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if s.keys() != "a" {
			t.Fatalf("shipped %q", s.keys())
		}
	})
}

type gate struct {
	Transport
	mu  sync.Mutex
	cut bool
}

func (g *gate) set(cut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cut = cut
}

func (g *gate) Send(ctx context.Context, peer replication.Region, b *Batch) (*Ack, error) {
	g.mu.Lock()
	cut := g.cut
	g.mu.Unlock()
	if cut {
		return nil, errors.New("line is cut")
	}
	return g.Transport.Send(ctx, peer, b)
}
