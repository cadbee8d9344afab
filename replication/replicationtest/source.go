package replicationtest

import (
	"context"

	"antipode/replication"
	"antipode/replication/hlc"
	"antipode/replication/link"
)

// group is the one global table of a simulation.
const group = "table"

// incarnation of every table replica in a simulation.
const incarnation = 1

// A source is one partition's log as link.Source.
type source struct {
	s     *store
	index int
}

func (c *source) ID() link.SourceID { return link.SourceID{Group: group, Partition: uint64(c.index)} }

// visible is how many entries of generation gen are synced; mu is held.
func (c *source) visible(gen replication.Generation) int {
	log := c.s.parts[c.index].log[gen-1]
	n := len(log)
	for n > 0 && log[n-1].op >= c.s.synced {
		n--
	}
	return n
}

// end is the newest synced position; mu is held.
func (c *source) end() replication.Position {
	p := c.s.parts[c.index]
	gen := replication.Generation(len(p.log))
	for gen > 1 && c.visible(gen) == 0 && c.visible(gen-1) < len(p.log[gen-2]) {
		gen-- // what lies before the roll is not synced yet
	}
	return replication.Position{Incarnation: incarnation, Generation: gen, Sequence: uint64(c.visible(gen))}
}

func (c *source) Read(_ context.Context, after replication.Position, maxRecords, maxBytes int) (link.Page, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.s.dead {
		return link.Page{}, errCrashed
	}
	if after.Incarnation != incarnation || int(after.Generation) > len(c.s.parts[c.index].log) {
		return link.Page{}, link.ErrResynchronise
	}
	page := link.Page{End: after}
	log := c.s.parts[c.index].log[after.Generation-1]
	n, bytes := c.visible(after.Generation), 0
	for i := int(after.Sequence); i < n && len(page.Records) < maxRecords && bytes < maxBytes; i++ {
		page.Records = append(page.Records, log[i].rec)
		page.End.Sequence = log[i].rec.Sequence
		bytes += replication.RecordSize(&log[i].rec)
	}
	end := c.end()
	switch {
	case page.End == end:
		page.Closed = c.closed()
	case len(page.Records) == 0 && n == len(log) && after.Generation < end.Generation:
		page.End.Generation++
		page.End.Sequence = 0
	}
	return page, nil
}

// closed lies below every version that is stamped and not synced, and below all
// that will be stamped; mu is held.
func (c *source) closed() hlc.Timestamp {
	if c.s.bug == CloseEarly {
		now := c.s.clock.Now()
		now.Wall += 300e6
		return now
	}
	closed := c.s.clock.Now()
	for _, gen := range c.s.parts[c.index].log {
		for i := len(gen) - 1; i >= 0 && gen[i].op >= c.s.synced; i-- {
			if t := gen[i].rec.Version.Time; !closed.Less(t) {
				closed = hlc.Timestamp{Wall: t.Wall - 1}
			}
		}
	}
	return closed
}

func (c *source) Head() (replication.Position, hlc.Timestamp) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.end(), c.closed()
}

func (c *source) Changed(after replication.Position) <-chan struct{} {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.end() == after {
		return c.s.parts[c.index].changed
	}
	now := make(chan struct{})
	close(now)
	return now
}

func (c *source) Position(peer replication.Region) (replication.Position, bool) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if p, ok := c.s.parts[c.index].positions[peer]; ok {
		return p, true
	}
	return replication.Position{Incarnation: incarnation, Generation: 1}, true
}

func (c *source) Acknowledge(ctx context.Context, peer replication.Region, p replication.Position) error {
	return c.s.do(ctx, op{part: c.index, position: &p, peer: peer})
}
