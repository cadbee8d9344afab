package node

import (
	"context"
	"crypto/sha256"
	"fmt"

	"antipode/regionnode/internal/keys"
	"antipode/regionnode/internal/store"
	"antipode/replication"
	"antipode/replication/link"
)

// deadLetters keeps refused records in the store of the node that refused them
// (link.DeadLetters).
type deadLetters struct{ store *store.Store }

// Add is part of link.DeadLetters: one sync for all letters of a batch.
func (d *deadLetters) Add(_ context.Context, letters []link.DeadLetter) error {
	b := d.store.NewBatch()
	for i := range letters {
		l := &letters[i]
		if err := b.Set(keys.DeadLetter(letterName(l)), l.Append(nil), nil); err != nil {
			return fmt.Errorf("keep dead letter: %w", err)
		}
	}
	if err := d.store.Sync(b); err != nil {
		return fmt.Errorf("keep %d dead letters: %w", len(letters), err)
	}
	return nil
}

// letterName is the same for the same record: table group, key and version.
func letterName(l *link.DeadLetter) []byte {
	name := append([]byte(l.Source.Group), 0)
	name = append(name, l.Record.Key...)
	name = replication.AppendVersion(append(name, 0), l.Record.Version)
	sum := sha256.Sum256(name)
	return sum[:16]
}

// list reads all letters of this node.
func (d *deadLetters) list() ([]link.DeadLetter, error) {
	it, err := d.store.Iterate(keys.DeadLetters())
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	defer it.Close()
	var out []link.DeadLetter
	for ok := it.First(); ok; ok = it.Next() {
		l, err := link.DecodeDeadLetter(append([]byte(nil), it.Value()...))
		if err != nil {
			return nil, fmt.Errorf("read dead letter: %w", err)
		}
		out = append(out, l)
	}
	return out, it.Error()
}
