package catalog

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// SplitLimits say when a partition is to be split by itself.
type SplitLimits struct {
	// Bytes that it holds, and Load, requests a second over a minute; 0 for no
	// limit.
	Bytes int64
	Load  uint32
}

// Refusal is why a partition was not split.
type Refusal struct {
	Reason string
	// Never: nothing but other data or other requests will change that.
	Never bool
}

// SplitStats count what became of splits while this node led the catalog.
type SplitStats struct{ Done, Abandoned uint64 }

// splits is what the leader remembers of splits; nothing depends on it.
type splits struct {
	mu sync.Mutex
	// looked is the last look that found no partition over a limit.
	looked  look
	stats   SplitStats
	refused map[table.PartitionID]refused
}

type refused struct {
	Refusal
	times int
	until time.Time
	bytes int64
}

// A refused partition is left alone for a while: refusePause after the first
// time, twice as long after each more, maxRefusePause at most. One that can
// never be split by bytes waits maxRefusePause, and until it has grown by a half.
const (
	refusePause    = 5 * time.Second
	maxRefusePause = 10 * time.Minute
)

func (k *splits) done(id table.PartitionID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stats.Done++
	delete(k.refused, id)
}

func (k *splits) refuse(id table.PartitionID, why Refusal, now time.Time, bytes int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stats.Abandoned++
	r := refused{Refusal: why, times: k.refused[id].times + 1, bytes: bytes}
	wait := maxRefusePause
	if !why.Never {
		wait = min(refusePause<<min(r.times-1, 10), maxRefusePause)
	}
	r.until = now.Add(wait)
	if k.refused == nil {
		k.refused = map[table.PartitionID]refused{}
	}
	k.refused[id] = r
}

// waits tells whether a partition of so many bytes is to be left alone.
func (k *splits) waits(id table.PartitionID, now time.Time, bytes int64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, ok := k.refused[id]
	return ok && (now.Before(r.until) || r.Never && bytes < r.bytes+r.bytes/2)
}

func (k *splits) reason(id table.PartitionID) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.refused[id].Reason
}

// prune forgets partitions that are gone.
func (k *splits) prune(there map[table.PartitionID]bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id := range k.refused {
		if !there[id] {
			delete(k.refused, id)
		}
	}
}

// SplitStats are counted since this process started.
func (c *Catalog) SplitStats() SplitStats {
	c.splits.mu.Lock()
	defer c.splits.mu.Unlock()
	return c.splits.stats
}

// SplitsDue are the splits that the limits ask for, the most urgent first, no
// more than may be made now.
func (c *Catalog) SplitsDue(ctx context.Context, limits SplitLimits) ([]SplitOrder, error) {
	now := look{c.counts.heard(), limits}
	if c.splits.idle(now) {
		return nil, nil
	}
	type due struct {
		order SplitOrder
		over  float64
	}
	var found []due
	room, any := 0, false
	clock := c.cfg.Clock()
	err := c.confirmed(ctx, func(s *state) error {
		room = MaxSplits - len(s.splitting)
		there := map[table.PartitionID]bool{}
		for id, list := range s.partitions {
			name, ok := s.names[id]
			if !ok {
				continue
			}
			row := s.tables[name]
			for _, p := range list {
				there[p.ID] = true
				over, byLoad := c.counts.over(p, limits)
				any = any || over >= 1
				if over < 1 || len(list) >= MaxPartitions || splittable(p, 0) != nil || s.keepsWhole(row, p) != "" || c.splits.waits(p.ID, clock, c.counts.bytes(p.ID)) {
					continue
				}
				found = append(found, due{SplitOrder{Table: name, Partition: p.ID, ByLoad: byLoad}, over})
			}
		}
		c.splits.prune(there)
		return nil
	})
	if err != nil || room <= 0 {
		return nil, err
	}
	if !any {
		c.splits.rest(now)
	}
	slices.SortFunc(found, func(a, b due) int {
		return cmp.Or(cmp.Compare(b.over, a.over), cmp.Compare(a.order.Partition, b.order.Partition))
	})
	var out []SplitOrder
	for _, d := range found[:min(room, len(found))] {
		out = append(out, d.order)
	}
	return out, nil
}

// look is what a look for partitions over a limit depends on.
type look struct {
	news   uint64
	limits SplitLimits
}

// idle tells whether such a look found nothing.
func (k *splits) idle(l look) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.looked == l
}

func (k *splits) rest(l look) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.looked = l
}

// heard counts what was reported.
func (k *counts) heard() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.news
}

// over is how many times a limit a partition has reached, by what was reported
// of its present range.
func (k *counts) over(p *Partition, limits SplitLimits) (times float64, byLoad bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, ok := k.of[p.ID]
	if !ok || c.Range != p.Epoch.Range {
		return 0, false
	}
	if limits.Bytes > 0 {
		times = float64(c.Bytes()) / float64(limits.Bytes)
	}
	if limits.Load > 0 && times < 1 {
		return float64(c.Load) / float64(limits.Load), true
	}
	return times, false
}

func (k *counts) bytes(id table.PartitionID) int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.of[id]
	return c.Bytes()
}

// largest is the partition of which the most bytes were reported.
func (k *counts) largest(list []*Partition) (*Partition, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(list) == 0 {
		return nil, apierr.NotFound()
	}
	size := func(p *Partition) int64 {
		c := k.of[p.ID]
		return c.Bytes()
	}
	return slices.MaxFunc(list, func(a, b *Partition) int { return cmp.Compare(size(a), size(b)) }), nil
}
