package partition

import (
	"context"
	"sync"

	"antipode/regionnode/table"
)

// resigning bounds how many leaderships are handed over at one time.
const resigning = 64

// Resign hands what this node leads to members that are alive and have caught up,
// before the node stops: no write in flight is left with an unknown outcome, and
// nobody has to notice that a leader is gone. What nobody can take over by the
// end of ctx stays. Which member is preferred does not change.
func (h *Host) Resign(ctx context.Context) (handed, kept int) {
	var mu sync.Mutex
	var work sync.WaitGroup
	places := make(chan struct{}, resigning)
	for _, p := range h.Partitions() {
		if p.solo() || !p.role.Load().ready {
			continue
		}
		places <- struct{}{}
		work.Go(func() {
			defer func() { <-places }()
			ok := p.resign(ctx)
			mu.Lock()
			defer mu.Unlock()
			if ok {
				handed++
			} else {
				kept++
			}
		})
	}
	work.Wait()
	return handed, kept
}

func (p *Partition) resign(ctx context.Context) bool {
	for range p.view().spec.Members {
		progress, err := p.progress(ctx)
		if err != nil {
			return false
		}
		to := p.heir(progress)
		if to == 0 {
			return false
		}
		if p.handTo(ctx, to) == nil {
			return true
		}
	}
	return false
}

// heir is the first voter that can take over at once, 0 for none.
func (p *Partition) heir(progress map[table.NodeID]Progress) table.NodeID {
	for _, id := range p.view().spec.Members {
		if pr := progress[id]; id != p.host.cfg.Node && !pr.Learner && pr.CaughtUp && pr.Alive {
			return id
		}
	}
	return 0
}
