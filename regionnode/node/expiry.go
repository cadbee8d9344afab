package node

import (
	"context"
	"time"

	"antipode/regionnode/internal/expiry"
	"antipode/regionnode/internal/partition"
)

// ExpiryConfig says how items with a time to live are deleted. Zero fields mean
// the defaults named beside them.
type ExpiryConfig struct {
	// Interval is the pause between two looks at a partition; an item may live
	// that much longer, and longer still where scans reach BytesPerSecond.
	Interval time.Duration // 1 s
	// Delay is how long after its time an item is left at least.
	Delay time.Duration
	// BytesPerSecond bounds what the node reads in search of expired items.
	BytesPerSecond int // 8 MB
}

// openExpiry begins to delete expired items of the partitions led here.
func (n *Node) openExpiry(context.Context) error {
	sweeper := expiry.New(expiry.Config{
		Partitions: n.expiring(),
		Interval:   n.config.Expiry.Interval, Delay: n.config.Expiry.Delay, BytesPerSecond: n.config.Expiry.BytesPerSecond,
		Now:     func() time.Time { return time.Unix(0, n.config.Physical()) },
		Deleted: func(items int) { n.metrics.expired.Add(float64(items)) },
		Log:     n.config.Log,
	})
	n.upkeep(sweeper.Run)
	return nil
}

// expiring lists the partitions of the node as expiry uses them, anew only when
// another is led or a descriptor has changed.
func (n *Node) expiring() func() []expiry.Partition {
	var out []expiry.Partition
	seen, known := uint64(0), false
	return func() []expiry.Partition {
		now := n.partitions.LedChanged()
		if known && now == seen {
			return out
		}
		seen, known, out = now, true, nil
		for _, p := range n.partitions.Led() {
			if _, ok := p.Expires(); ok {
				out = append(out, expiringPartition{p})
			}
		}
		return out
	}
}

type expiringPartition struct{ *partition.Partition }

// ScanExpired is part of expiry.Partition.
func (p expiringPartition) ScanExpired(ctx context.Context, after []byte, now time.Time, maxBytes int) (*expiry.Page, error) {
	found, err := p.Partition.ScanExpired(ctx, after, now, maxBytes)
	if err != nil {
		return nil, err
	}
	page := expiry.Page(*found)
	return &page, nil
}
