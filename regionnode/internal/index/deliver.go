package index

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/internal/ring"
	"antipode/regionnode/table"
	"antipode/replication"
)

// batch is what one page of a source does to an index.
type batch struct {
	source  replication.Generation
	term    uint64
	through uint64
	changes []regionnode.IndexChange // sorted by key
}

// deliver returns true once every partition of the index that the batch concerns
// has its part durably; false when ctx ended first.
func (f *follower) deliver(ctx context.Context, b *batch) bool {
	fresh := false
	return f.insist(ctx, "write entries", func() error {
		if len(b.changes) == 0 {
			return nil
		}
		r, err := f.g.routes.of(ctx, f.index.Table, fresh)
		fresh = true
		if err != nil {
			return fmt.Errorf("find partitions of the index: %w", err)
		}
		left, err := f.sendAll(ctx, r, b)
		b.changes = left
		return err
	})
}

// sendAll sends each partition its part, all at once, and returns what is to be
// sent again, in order.
func (f *follower) sendAll(ctx context.Context, r *route, b *batch) ([]regionnode.IndexChange, error) {
	parts := r.split(b.changes)
	if len(parts) == 1 {
		if err := f.send(ctx, r, &parts[0], b); err != nil {
			return b.changes, err
		}
		return nil, nil
	}
	errs := make([]error, len(parts))
	var sending sync.WaitGroup
	for i := range parts {
		sending.Go(func() { errs[i] = f.send(ctx, r, &parts[i], b) })
	}
	sending.Wait()
	var left []regionnode.IndexChange
	for i, err := range errs {
		if err != nil {
			left = append(left, parts[i].changes...)
		}
	}
	return left, errors.Join(errs...)
}

// send asks the replicas of one partition, the likely leader first.
func (f *follower) send(ctx context.Context, r *route, p *part, b *batch) error {
	to := &r.m.Partitions[p.partition]
	leader := &r.leaders[p.partition]
	req := &regionnode.IndexBatch{
		Target: regionnode.Target{Table: f.index.Table, Partition: to.ID, Range: to.Epoch.Range},
		Source: b.source, Term: b.term, Through: b.through, Changes: p.changes,
	}
	at := int(leader.Load())
	var last error
	for range len(to.Replicas) + 1 {
		last = f.attempt(ctx, to.Replicas[at], req)
		if last == nil {
			leader.Store(int32(at))
			return nil
		}
		var moved *regionnode.NotLeader
		next := (at + 1) % len(to.Replicas)
		if errors.As(last, &moved) {
			for i, h := range to.Replicas {
				if h.Node == moved.Leader && i != at {
					next = i
				}
			}
		}
		if at = next; ctx.Err() != nil {
			break
		}
	}
	return fmt.Errorf("partition %d: %w", to.ID, last)
}

func (f *follower) attempt(ctx context.Context, to regionnode.Holder, req *regionnode.IndexBatch) error {
	ctx, cancel := context.WithTimeout(ctx, f.g.cfg.SendTimeout)
	defer cancel()
	return f.g.cfg.Sender.Send(ctx, to, req)
}

// routes are the partition maps of the indexes that are written to.
type routes struct {
	ask func(context.Context, table.ID) (*regionnode.PartitionMap, error)
	mu  sync.Mutex
	has map[table.ID]*route
}

// mapAge is how old a map must be before another is asked for: many followers
// may miss the same partition at the same time.
const mapAge = 20 * time.Millisecond

// route is one index's partitions, with who led them last.
type route struct {
	m       *regionnode.PartitionMap
	asked   time.Time // guarded by routes.mu
	starts  []uint64
	leaders []atomic.Int32 // indexes into Replicas
}

func newRoutes(ask func(context.Context, table.ID) (*regionnode.PartitionMap, error)) *routes {
	return &routes{ask: ask, has: map[table.ID]*route{}}
}

// of finds an index's route; fresh asks for the newest map.
func (r *routes) of(ctx context.Context, index table.ID, fresh bool) (*route, error) {
	r.mu.Lock()
	known := r.has[index]
	good := known != nil && (!fresh || time.Since(known.asked) < mapAge)
	r.mu.Unlock()
	if good {
		return known, nil
	}
	asked := time.Now()
	m, err := r.ask(ctx, index)
	if err != nil {
		return nil, err
	}
	next, err := newRoute(m)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if held := r.has[index]; held != nil && held.m.Generation >= m.Generation {
		held.asked = asked
		return held, nil
	}
	next.asked = asked
	r.has[index] = next
	return next, nil
}

// keep forgets the routes of indexes that nobody follows any more.
func (r *routes) keep(used map[table.ID]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.has {
		if !used[id] {
			delete(r.has, id)
		}
	}
}

func newRoute(m *regionnode.PartitionMap) (*route, error) {
	r := &route{m: m, starts: make([]uint64, len(m.Partitions)), leaders: make([]atomic.Int32, len(m.Partitions))}
	for i := range m.Partitions {
		p := &m.Partitions[i]
		r.starts[i] = p.Start
		if len(p.Replicas) == 0 {
			return nil, fmt.Errorf("partition %d has no replica", p.ID)
		}
		for n, h := range p.Replicas {
			if h.Node == p.Leader {
				r.leaders[i].Store(int32(n))
			}
		}
	}
	if !ring.Covers(r.starts) {
		return nil, errors.New("the partitions do not cover all keys")
	}
	return r, nil
}

// part is what one partition gets of a batch.
type part struct {
	partition int // index in the map
	changes   []regionnode.IndexChange
}

// split cuts changes, which are sorted by key and so by hash.
func (r *route) split(changes []regionnode.IndexChange) []part {
	var out []part
	for start := 0; start < len(changes); {
		at := ring.Find(r.starts, table.Hash(changes[start].Key))
		end := start + 1
		for end < len(changes) && ring.Find(r.starts, table.Hash(changes[end].Key)) == at {
			end++
		}
		out = append(out, part{at, changes[start:end]})
		start = end
	}
	return out
}
