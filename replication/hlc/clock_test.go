package hlc

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, cfg Config) *Clock {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// A disk holds the bound; down makes it refuse.
type disk struct {
	mu    sync.Mutex
	bound int64
	down  error
}

func (d *disk) persist(wall int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down != nil {
		return d.down
	}
	if wall <= d.bound {
		return errors.New("bound does not rise")
	}
	d.bound = wall
	return nil
}

func (d *disk) read() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bound
}

func (d *disk) setDown(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = err
}

// Whatever physical time does and whatever is observed, over restarts and
// failing disks: readings rise and stay within the durable bound.
func TestReadingsRise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		phys := NewManualClock(1e18)
		d := &disk{}
		start := func() *Clock {
			c, err := New(Config{Physical: phys.Physical, Bound: d.read(), PersistBound: d.persist})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		c := start()
		defer func() { c.Close() }()
		var last Timestamp
		t.Repeat(map[string]func(*rapid.T){
			"now": func(t *rapid.T) {
				n := c.Now()
				if !last.Less(n) {
					t.Fatalf("%v after %v", n, last)
				}
				if b := d.read(); n.Wall > b {
					t.Fatalf("reading %v above the durable bound %d", n, b)
				}
				last = n
			},
			"advance": func(t *rapid.T) {
				phys.Advance(time.Duration(rapid.Int64Range(-1e9, 1e9).Draw(t, "by")))
			},
			"update": func(t *rapid.T) {
				in := Timestamp{
					Wall:    phys.Physical() + rapid.Int64Range(-1e9, 1e9).Draw(t, "ahead"),
					Logical: rapid.Uint32().Draw(t, "logical"),
				}
				err := c.Update(in)
				var off *OffsetError
				switch {
				case in.Wall-phys.Physical() > int64(DefaultMaxOffset):
					if !errors.As(err, &off) {
						t.Fatalf("update %v: %v, want an OffsetError", in, err)
					}
				case err == nil && last.Less(in):
					last = in
				case err != nil && errors.As(err, &off):
					t.Fatalf("update %v refused: %v", in, err)
				}
			},
			"observe": func(t *rapid.T) {
				in := Timestamp{Wall: phys.Physical() + rapid.Int64Range(0, 5e9).Draw(t, "ahead")}
				if c.Observe(in) == nil && last.Less(in) {
					last = in
				}
			},
			"disk": func(t *rapid.T) {
				if rapid.Bool().Draw(t, "down") {
					d.setDown(errors.New("disk refuses"))
				} else {
					d.setDown(nil)
				}
			},
			"restart": func(t *rapid.T) {
				c.Close()
				d.setDown(nil)
				c = start()
			},
		})
	})
}

func TestRefusedUpdateChangesNothing(t *testing.T) {
	phys := NewManualClock(1e18)
	c := open(t, Config{Physical: phys.Physical})
	before := c.Now()
	if err := c.Update(Timestamp{Wall: 1e18 + int64(DefaultMaxOffset) + 1}); err == nil {
		t.Fatal("not refused")
	}
	if got := c.Now(); got != before.Next() {
		t.Fatalf("clock moved to %v", got)
	}
}

func TestConcurrentReadingsAreDistinct(t *testing.T) {
	d := &disk{}
	c := open(t, Config{PersistBound: d.persist, BoundAhead: time.Microsecond})
	const workers, each = 4, 2000
	got := make([][]Timestamp, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range each {
				got[w] = append(got[w], c.Now())
			}
		})
	}
	wg.Wait()
	seen := map[Timestamp]bool{}
	for _, ts := range got {
		for _, x := range ts {
			if seen[x] {
				t.Fatalf("%v twice", x)
			}
			seen[x] = true
		}
	}
}

func TestRestartsDoNotPushTheBoundAway(t *testing.T) {
	phys := NewManualClock(1e18)
	d := &disk{}
	var last Timestamp
	for range 50 {
		c, err := New(Config{Physical: phys.Physical, Bound: d.read(), PersistBound: d.persist})
		if err != nil {
			t.Fatal(err)
		}
		if n := c.Now(); !last.Less(n) {
			t.Fatalf("%v after %v", n, last)
		} else {
			last = n
		}
		c.Close()
	}
	if ahead := time.Duration(d.read() - phys.Physical()); ahead > DefaultMaxOffset/5*4 {
		t.Fatalf("bound %s ahead", ahead)
	}
}

func TestFailingBoundStandsStillAndTells(t *testing.T) {
	phys := NewManualClock(1e18)
	d := &disk{}
	c, err := New(Config{Physical: phys.Physical, PersistBound: d.persist})
	if err != nil {
		t.Fatal(err)
	}
	d.setDown(errors.New("full"))
	phys.Advance(time.Hour)
	a := c.Now()
	c.Close()
	b := c.Now()
	if a.Wall != d.read() || b != a.Next() {
		t.Fatalf("readings %v, %v; bound %d", a, b, d.read())
	}
	if c.Err() == nil {
		t.Fatal("Err is nil")
	}
}

func TestFast(t *testing.T) {
	const max = 500 * time.Millisecond
	for _, c := range []struct {
		ahead []time.Duration
		nodes int
		want  bool
	}{
		{nil, 1, false},
		{[]time.Duration{401e6, 401e6}, 3, true},
		{[]time.Duration{401e6, 400e6}, 3, false},
		{[]time.Duration{401e6}, 3, false},
		{[]time.Duration{401e6}, 2, false},
	} {
		if got := Fast(c.ahead, c.nodes, max); got != c.want {
			t.Errorf("Fast(%v, %d) = %v", c.ahead, c.nodes, got)
		}
	}
}

func TestCodecKeepsOrder(t *testing.T) {
	gen := rapid.Custom(func(t *rapid.T) Timestamp {
		return Timestamp{Wall: rapid.Int64Min(0).Draw(t, "wall"), Logical: rapid.Uint32().Draw(t, "logical")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		ea, eb := a.Append(nil), b.Append(nil)
		if got := bytes.Compare(ea, eb); got != a.Compare(b) {
			t.Fatalf("bytes order %d, timestamps %d", got, a.Compare(b))
		}
		if back, err := Decode(ea); err != nil || back != a {
			t.Fatalf("back as %v, %v", back, err)
		}
		if n := a.Next(); !a.Less(n) && n.Wall >= 0 {
			t.Fatalf("Next %v of %v", n, a)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(Timestamp{Wall: 1, Logical: 2}.Append(nil))
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		ts, err := Decode(b)
		if err == nil && !bytes.Equal(ts.Append(nil), b[:Size]) {
			t.Fatalf("%x decodes to %v, which encodes otherwise", b, ts)
		}
	})
}

// After an idle spell longer than the bound reaches, Ready brings readings up to
// physical time at once; without it, they would lag by the whole spell.
func TestReadyAfterIdle(t *testing.T) {
	var wall int64 = 1e18
	d := new(disk)
	c := open(t, Config{Physical: func() int64 { return wall }, PersistBound: d.persist})
	c.Now()
	wall += int64(14 * time.Second)
	if err := c.Ready(); err != nil {
		t.Fatal(err)
	}
	if got := c.Now(); got.Wall != wall {
		t.Errorf("reading is %v behind", time.Duration(wall-got.Wall))
	}
	if d.read() < wall {
		t.Error("the reading is beyond the durable bound")
	}
	d.setDown(errors.New("disk is gone"))
	wall += int64(time.Minute)
	if err := c.Ready(); err == nil {
		t.Error("Ready succeeds without a durable bound")
	}
	if got := c.Now(); got.Wall > d.read() {
		t.Errorf("reading %v beyond the durable bound %d", got, d.read())
	}
}
