package expiry_test

import (
	"cmp"
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/internal/expiry"
	"antipode/regionnode/table"
)

// shelf is a Partition of items by key, each with the second at which it
// expires; an item is a byte long.
type shelf struct {
	id    table.PartitionID
	items map[string]int64
	state uint64
	led   bool
	// pages counts scans; failing makes deletions fail.
	pages   int
	failing bool
}

func newShelf(id table.PartitionID) *shelf {
	return &shelf{id: id, items: map[string]int64{}, led: true}
}

func (s *shelf) put(key string, at int64) {
	s.items[key] = at
	s.state++
}

func (s *shelf) ID() table.PartitionID   { return s.id }
func (s *shelf) Expires() (uint64, bool) { return s.state, s.led }

func (s *shelf) ScanExpired(_ context.Context, after []byte, now time.Time, maxBytes int) (*expiry.Page, error) {
	s.pages++
	keys := make([]string, 0, len(s.items))
	for k := range s.items {
		if k > string(after) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, cmp.Compare)
	page := &expiry.Page{Next: math.MaxInt64}
	for i, k := range keys {
		if page.Bytes == maxBytes {
			page.Last = []byte(keys[i-1])
			break
		}
		page.Bytes++
		if at := s.items[k]; at <= now.Unix() {
			page.Keys = append(page.Keys, []byte(k))
		} else {
			page.Next = min(page.Next, at)
		}
	}
	return page, nil
}

func (s *shelf) Expire(_ context.Context, keys [][]byte, now time.Time) (n int, err error) {
	if s.failing {
		return 0, &regionnode.NotLeader{Partition: s.id}
	}
	for _, k := range keys {
		if at, ok := s.items[string(k)]; ok && at <= now.Unix() {
			delete(s.items, string(k))
			s.state++
			n++
		}
	}
	return n, nil
}

// room is a Sweeper over shelves, with the time in the test's hands.
type room struct {
	*expiry.Sweeper
	now     time.Time
	deleted int
}

func newRoom(c expiry.Config, shelves ...*shelf) *room {
	r := &room{now: time.Unix(1000, 0)}
	c.Now = func() time.Time { return r.now }
	c.Deleted = func(n int) { r.deleted += n }
	c.Partitions = func() []expiry.Partition {
		out := make([]expiry.Partition, len(shelves))
		for i, s := range shelves {
			out[i] = s
		}
		return out
	}
	r.Sweeper = expiry.New(c)
	return r
}

// sweep turns until no pass is under way, and counts the pages read.
func (r *room) sweep(t *testing.T, shelves ...*shelf) (pages int) {
	t.Helper()
	for _, s := range shelves {
		pages -= s.pages
	}
	for more := true; more; {
		_, more = r.Turn(t.Context())
	}
	for _, s := range shelves {
		pages += s.pages
	}
	return pages
}

func TestDeletesInPages(t *testing.T) {
	a, b := newShelf(1), newShelf(2)
	for _, k := range []string{"a", "b", "c", "d", "e"} {
		a.put(k, 900)
		b.put(k, 2000)
	}
	b.put("b", 1000)
	r := newRoom(expiry.Config{PageBytes: 2}, a, b)
	if pages := r.sweep(t, a, b); pages != 6 {
		t.Errorf("%d pages", pages)
	}
	if len(a.items) != 0 || len(b.items) != 4 || r.deleted != 6 {
		t.Errorf("left %v and %v, deleted %d", a.items, b.items, r.deleted)
	}
}

// TestLeavesIdleAlone: a partition is looked at again only when it has changed
// or an item's time has come, and not more often than the interval says.
func TestLeavesIdleAlone(t *testing.T) {
	s := newShelf(1)
	s.put("soon", 1010)
	s.put("late", 5000)
	r := newRoom(expiry.Config{Interval: 2 * time.Second}, s)
	expect := func(what string, advance time.Duration, pages, items int) {
		t.Helper()
		r.now = r.now.Add(advance)
		if got := r.sweep(t, s); got != pages || len(s.items) != items {
			t.Errorf("%s: %d pages and %d items, want %d and %d", what, got, len(s.items), pages, items)
		}
	}
	expect("new", 0, 1, 2)
	expect("nothing due", 5*time.Second, 0, 2)
	expect("first is due", 5*time.Second, 1, 1)
	expect("changed too short a time ago", time.Second, 0, 1)
	expect("changed by the deletion", time.Second, 1, 1)
	expect("idle for long", time.Hour/2, 0, 1)
	s.put("new", 4000)
	expect("written to", 0, 1, 2)
	expect("both due", time.Hour, 1, 0)
}

func TestDelay(t *testing.T) {
	s := newShelf(1)
	s.put("a", 1000)
	r := newRoom(expiry.Config{Delay: time.Minute}, s)
	r.sweep(t, s)
	r.now = r.now.Add(59 * time.Second)
	r.sweep(t, s)
	if len(s.items) != 1 {
		t.Error("deleted before its delay was over")
	}
	r.now = r.now.Add(time.Second)
	r.sweep(t, s)
	if len(s.items) != 0 {
		t.Error("left after its delay")
	}
}

// TestStartsAgain: what a failed pass left is found by the next one, and only
// leaders delete.
func TestStartsAgain(t *testing.T) {
	s := newShelf(1)
	s.put("a", 900)
	s.failing = true
	r := newRoom(expiry.Config{}, s)
	r.sweep(t, s)
	s.failing, s.led = false, false
	r.now = r.now.Add(time.Minute)
	if pages := r.sweep(t, s); pages != 0 || len(s.items) != 1 {
		t.Errorf("%d pages, %v left without leading", pages, s.items)
	}
	s.led = true
	r.sweep(t, s)
	if len(s.items) != 0 {
		t.Errorf("%v left", s.items)
	}
}

// TestPace: the pause behind a turn is what the bound on reading asks for, and
// the interval when nothing is under way.
func TestPace(t *testing.T) {
	s := newShelf(1)
	for _, k := range []string{"a", "b", "c"} {
		s.put(k, 5000)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var pauses []time.Duration
	r := newRoom(expiry.Config{PageBytes: 2, BytesPerSecond: 8, Interval: time.Hour, After: func(d time.Duration) <-chan time.Time {
		if pauses = append(pauses, d); len(pauses) == 2 {
			cancel()
		}
		now := make(chan time.Time, 1)
		now <- time.Time{}
		return now
	}}, s)
	r.Run(ctx)
	if want := []time.Duration{time.Second / 4, time.Hour}; !slices.Equal(pauses, want) {
		t.Errorf("paused %v, want %v", pauses, want)
	}
}
