package index

import (
	"context"
	"fmt"

	"antipode/replication"
)

// backfill puts the partition's items into the index. The follower's position is
// fixed already. It goes on where an earlier leader came to.
func (f *follower) backfill(ctx context.Context) {
	select {
	case f.g.fills <- struct{}{}:
		defer func() { <-f.g.fills }()
	case <-ctx.Done():
		return
	}
	var after []byte
	var all bool
	if !f.insist(ctx, "read the back-fill's progress", func() (err error) { after, all, err = f.src.IndexFilled(f.index.Table); return err }) {
		return
	}
	if all {
		return
	}
	f.setFilling(true)
	defer f.setFilling(false)
	source := f.src.LogEnd().Generation
	unsaved := 0
	for {
		last, items, ok := f.fillPage(ctx, source, after)
		if !ok {
			return
		}
		if unsaved += items; last == nil || uint64(unsaved) >= f.g.cfg.SaveRecords {
			unsaved = 0
			if !f.insist(ctx, "save the back-fill's progress", func() error {
				return f.src.SetIndexFilled(ctx, f.index.Table, last, last == nil)
			}) {
				return
			}
		}
		if last == nil {
			return
		}
		after = last
	}
}

// fillPage puts one page into the index and returns where the next begins, nil
// behind the last, and how many items it held; false when ctx ended first.
func (f *follower) fillPage(ctx context.Context, source replication.Generation, after []byte) (last []byte, items int, ok bool) {
	b := batch{source: source, term: f.term}
	ok = f.insist(ctx, "read items", func() error {
		recs, next, err := f.src.ScanItems(ctx, after, f.g.cfg.FillRecords, f.g.cfg.FillBytes)
		if err != nil {
			return fmt.Errorf("scan: %w", err)
		}
		last, items = next, len(recs)
		b.changes, err = current(f.entries, recs)
		return err
	})
	return last, items, ok && f.deliver(ctx, &b)
}

func (f *follower) setFilling(on bool) {
	f.mu.Lock()
	f.filling = on
	f.mu.Unlock()
}
