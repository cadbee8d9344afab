package node

import (
	"context"
	"errors"
	"fmt"

	"antipode/regionnode/internal/partition"
	"antipode/replication"
	"antipode/replication/hlc"
	"antipode/replication/link"
)

// source is a partition's change log as a link reads it (link.Source).
type source struct {
	partition *partition.Partition
	group     string
	// term of leadership: with another one, it is another Source.
	term uint64
}

// groupOf is the global table that a partition's items belong to, "" for none:
// entries of global indexes are each region's own.
func groupOf(p *partition.Partition) string {
	spec := p.Spec()
	if d := spec.Descriptor; d != nil && d.Global != nil && d.ID == spec.Table {
		return d.Global.Group
	}
	return ""
}

// ID is part of link.Source.
func (s *source) ID() link.SourceID {
	return link.SourceID{Group: s.group, Partition: uint64(s.partition.ID())}
}

// Read is part of link.Source.
func (s *source) Read(ctx context.Context, after replication.Position, maxRecords, maxBytes int) (link.Page, error) {
	head, closed := s.Head()
	records, end, err := s.partition.ReadLog(ctx, after, maxRecords, maxBytes)
	if errors.Is(err, partition.ErrPosition) {
		return link.Page{}, fmt.Errorf("%w: %w", link.ErrResynchronise, err)
	}
	if err != nil {
		return link.Page{}, err
	}
	page := link.Page{Records: records, End: end}
	// Closed was read before the page: a page that reaches that head covers it.
	if end.Generation == head.Generation && end.Sequence >= head.Sequence {
		page.Closed = closed
	}
	return page, nil
}

// Head is part of link.Source.
func (s *source) Head() (replication.Position, hlc.Timestamp) {
	return s.partition.Head()
}

// Changed is part of link.Source.
func (s *source) Changed(after replication.Position) <-chan struct{} {
	return s.partition.LogChanged(after)
}

// Position is part of link.Source.
func (s *source) Position(peer replication.Region) (replication.Position, bool) {
	p, ok := s.partition.Positions()[peer]
	return p, ok
}

// Acknowledge is part of link.Source.
func (s *source) Acknowledge(ctx context.Context, peer replication.Region, p replication.Position) error {
	return s.partition.SetPosition(ctx, peer, p)
}
