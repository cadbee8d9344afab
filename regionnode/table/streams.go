package table

import (
	"slices"
	"time"
)

// StreamRetention is how long a change stays in its table's stream, and a
// stream that was switched off in the list of streams.
const StreamRetention = 24 * time.Hour

// StartStream makes s the table's stream. The one before it, which must have
// ended, stays readable for StreamRetention.
func (d *Descriptor) StartStream(s *Stream, now time.Time) {
	d.Past = slices.DeleteFunc(slices.Clone(d.Past), func(p Stream) bool { return p.over(now) })
	if old := d.Stream; old != nil && old.Label != "" && old.Label != s.Label && !old.over(now) {
		d.Past = append(d.Past, *old)
	}
	d.Stream = s
}

// Streams are the streams that the table has, or had until StreamRetention ago,
// the oldest first.
func (d *Descriptor) Streams(now time.Time) []Stream {
	out := make([]Stream, 0, len(d.Past)+1)
	for _, s := range d.Past {
		if !s.over(now) {
			out = append(out, s)
		}
	}
	if s := d.Stream; s != nil && s.Label != "" && !s.over(now) {
		out = append(out, *s)
	}
	return out
}

// HasStream finds one of the table's streams by its label, however long ago it
// ended.
func (d *Descriptor) HasStream(label string) (Stream, bool) {
	if d.Stream != nil && d.Stream.Label == label {
		return *d.Stream, true
	}
	for _, s := range d.Past {
		if s.Label == label {
			return s, true
		}
	}
	return Stream{}, false
}

// over tells that a stream ended so long ago that nothing of it is left.
func (s *Stream) over(now time.Time) bool {
	return !s.Enabled && s.Ended != 0 && now.Sub(time.UnixMilli(s.Ended)) >= StreamRetention
}
