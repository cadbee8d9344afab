package table

import (
	"slices"
	"testing"
	"time"
)

// TestStreams: a table's streams are the one it has and those that ended less
// than a day ago.
func TestStreams(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	d := &Descriptor{}
	expect := func(want ...string) {
		t.Helper()
		var got []string
		for _, s := range d.Streams(now) {
			got = append(got, s.Label)
		}
		if !slices.Equal(got, want) {
			t.Errorf("streams %v, want %v", got, want)
		}
	}
	start := func(label string) { d.StartStream(&Stream{Enabled: true, Label: label}, now) }
	end := func() { d.Stream.Enabled, d.Stream.Ended = false, now.UnixMilli() }
	expect()
	start("a")
	end()
	expect("a")
	now = now.Add(time.Hour)
	start("b")
	expect("a", "b")
	if s, ok := d.HasStream("a"); !ok || s.Enabled {
		t.Errorf("stream a: %+v, %v", s, ok)
	}
	now = now.Add(StreamRetention)
	expect("b")
	end()
	start("c")
	expect("b", "c")
	if len(d.Past) != 1 {
		t.Errorf("keeps %v", d.Past)
	}
	end()
	now = now.Add(StreamRetention)
	expect()
}
