package functions

import (
	"golang.org/x/sync/errgroup"

	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// maxListedStreams bounds the streams of one ListStreams.
const maxListedStreams = 100

func listStreams(c *call, in *wire.ListStreamsInput) error {
	if _, ok := c.backend.(regionnode.Streams); !ok {
		return absent(c.op)
	}
	limit := in.Limit.Or(maxListedStreams)
	if err := atMost(limit, maxListedStreams); err != nil {
		return err
	}
	l := streamList{c: c, limit: int(limit)}
	if in.ExclusiveStartStreamArn.Set {
		var ok bool
		if l.afterTable, l.afterLabel, ok = splitStreamARN(in.ExclusiveStartStreamArn.Value); !ok {
			return apierr.Invalid("Invalid StreamArn")
		}
	}
	name, err := c.tableName(in.TableName.Value)
	if err != nil {
		return err
	}
	if err := l.fill(name); err != nil {
		return err
	}
	w := c.out.BeginObject().Name("Streams").BeginArray()
	for _, s := range l.found {
		w.BeginObject().Name("StreamArn").String(streamARN(s.table, s.label))
		w.Name("TableName").String(s.table.Name)
		w.Name("StreamLabel").String(s.label).EndObject()
	}
	w.EndArray()
	if l.more {
		last := l.found[len(l.found)-1]
		w.Name("LastEvaluatedStreamArn").String(streamARN(last.table, last.label))
	}
	w.EndObject()
	return nil
}

// streamList collects a page of streams, ordered by table name and label, behind
// the stream that the page before ended with.
type streamList struct {
	c                      *call
	limit                  int
	afterTable, afterLabel string
	found                  []listedStream
	more                   bool
}

type listedStream struct {
	table *table.Descriptor
	label string
}

// fill lists one table's streams, or with an empty name those of all tables.
func (l *streamList) fill(name string) error {
	if name != "" {
		d, err := l.c.backend.DescribeTable(l.c.ctx, name)
		if err == nil && name >= l.afterTable {
			l.add(d)
		}
		return err
	}
	if l.afterTable != "" {
		tables, err := l.describe([]string{l.afterTable})
		if err != nil {
			return err
		}
		if tables[0] != nil {
			l.add(tables[0])
		}
	}
	start := l.afterTable
	for more := true; more && !l.more; {
		names, m, err := l.c.backend.ListTables(l.c.ctx, start, maxListedTables)
		if err != nil {
			return err
		}
		tables, err := l.describe(names)
		if err != nil {
			return err
		}
		for i, d := range tables {
			if start = names[i]; d != nil && !l.more {
				l.add(d)
			}
		}
		more = m && len(names) > 0
	}
	return nil
}

// describe fetches tables, a few at a time; nil for one that has gone.
func (l *streamList) describe(names []string) ([]*table.Descriptor, error) {
	out := make([]*table.Descriptor, len(names))
	g, ctx := errgroup.WithContext(l.c.ctx)
	g.SetLimit(maxShardCalls)
	for i, name := range names {
		g.Go(func() (err error) {
			out[i], err = l.c.backend.DescribeTable(ctx, name)
			if apierr.Is(err, apierr.ResourceNotFound) {
				return nil
			}
			return err
		})
	}
	return out, g.Wait()
}

func (l *streamList) add(d *table.Descriptor) {
	for _, s := range d.Streams(l.c.now) {
		if d.Name == l.afterTable && s.Label <= l.afterLabel {
			continue
		}
		if len(l.found) == l.limit {
			l.more = true
			return
		}
		l.found = append(l.found, listedStream{d, s.Label})
	}
}
