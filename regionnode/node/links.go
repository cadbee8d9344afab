package node

import (
	"context"
	"sync"
	"time"

	"antipode/regionnode/internal/partition"
	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/link"
)

// links keeps the node's links those of the partitions that it leads.
type links struct {
	partitions func() []*partition.Partition
	group      *link.Group

	mu sync.Mutex
	// sources are the Sources in use: one for each partition and term.
	sources map[table.PartitionID]*source
	// dropped partitions are about to go.
	dropped map[table.PartitionID]bool
	dirty   flag
	ended   sync.WaitGroup
}

// flag remembers that something was raised until somebody has received it.
type flag chan struct{}

func (f flag) raise() {
	select {
	case f <- struct{}{}:
	default:
	}
}

// breathe waits nine times as long as what began then took: who looks over all
// partitions whenever one changes would else do nothing but that when thousands
// change one after another.
func breathe(ctx context.Context, began time.Time) {
	pause := time.NewTimer(9 * time.Since(began))
	defer pause.Stop()
	select {
	case <-ctx.Done():
	case <-pause.C:
	}
}

func newLinks(config link.Config, partitions func() []*partition.Partition, dirty flag) (*links, error) {
	group, err := link.NewGroup(config)
	if err != nil {
		return nil, err
	}
	return &links{
		partitions: partitions,
		group:      group,
		sources:    map[table.PartitionID]*source{},
		dropped:    map[table.PartitionID]bool{},
		dirty:      dirty,
	}, nil
}

// run reconciles after each change until ctx ends, then stops all links.
func (l *links) run(ctx context.Context) {
	l.ended.Go(func() {
		for {
			select {
			case <-ctx.Done():
				l.group.Close()
				return
			case <-l.dirty:
				began := time.Now()
				l.group.Set(l.desired())
				breathe(ctx, began)
			}
		}
	})
}

// close waits for run's end.
func (l *links) close() { l.ended.Wait() }

// refresh has the links looked over again soon. Any goroutine may call it.
func (l *links) refresh() { l.dirty.raise() }

// drop ends a partition's links before the partition goes; it returns when they
// have ended. Call what it returns once the partition has gone: another replica
// of it may come.
func (l *links) drop(id table.PartitionID) (gone func()) {
	l.mu.Lock()
	_, linked := l.sources[id]
	if linked {
		l.dropped[id] = true
	}
	l.mu.Unlock()
	if linked {
		l.group.Set(l.desired())
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.dropped, id)
	}
}

// desired is a link for each peer of each partition that this node leads.
func (l *links) desired() []link.LinkSpec {
	l.mu.Lock()
	defer l.mu.Unlock()
	sources := map[table.PartitionID]*source{}
	var specs []link.LinkSpec
	for _, p := range l.partitions() {
		log, group, status := p.Spec().Log, groupOf(p), p.Status()
		if !status.Leading || !log.On || len(log.Peers) == 0 || group == "" || l.dropped[p.ID()] {
			continue
		}
		src := l.sources[p.ID()]
		if src == nil || src.term != status.Term || src.partition != p {
			src = &source{partition: p, group: group, term: status.Term}
		}
		sources[p.ID()] = src
		for _, peer := range log.Peers {
			specs = append(specs, link.LinkSpec{Source: src, Peer: peer})
		}
	}
	l.sources = sources
	return specs
}

func (l *links) stats() []link.Stats { return l.group.Stats() }

// peerAddresses are the configured nodes of other regions.
type peerAddresses map[replication.Region][]string

func (p peerAddresses) of(region replication.Region) []string { return p[region] }
