package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode/internal/keys"
)

// incomingFileBytes is the size of an Incoming's files, about.
const incomingFileBytes = 64 << 20

// Pinned is the state of some spans at one moment, for long reads: it does not
// keep obsolete state in memory.
type Pinned struct {
	snapshot *pebble.EventuallyFileOnlySnapshot
}

// Pin pins spans, which are in key order and do not overlap.
func (s *Store) Pin(spans []keys.Span) *Pinned {
	ranges := make([]pebble.KeyRange, len(spans))
	for i, span := range spans {
		ranges[i] = pebble.KeyRange{Start: span.Start, End: span.End}
	}
	return &Pinned{s.db.NewEventuallyFileOnlySnapshot(ranges)}
}

// Iterate opens an iterator over a span, or a part of one, that is pinned.
func (p *Pinned) Iterate(span keys.Span) (*pebble.Iterator, error) {
	it, err := p.snapshot.NewIter(&pebble.IterOptions{LowerBound: span.Start, UpperBound: span.End})
	if err != nil {
		return nil, fmt.Errorf("iterate from %s: %w", keys.Print(span.Start), err)
	}
	return it, nil
}

// GetCopy is Store.GetCopy at the pinned moment.
func (p *Pinned) GetCopy(key []byte) ([]byte, error) {
	v, closer, err := p.snapshot.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", keys.Print(key), err)
	}
	return append([]byte{}, v...), closer.Close()
}

// Close lets the state go. No iterator may be open.
func (p *Pinned) Close() error { return p.snapshot.Close() }

// Incoming gathers what is to replace some spans of the store, in files beside
// it, until Commit puts it in their place at once. It is not safe for concurrent
// use. What a crash leaves of it goes when the store is opened.
type Incoming struct {
	store *Store
	dir   string
	files []string
	bytes uint64
	// fileBytes is the size from which on another file is begun.
	fileBytes uint64

	writer *sstable.Writer
	span   keys.Span // the rest of the span that the open file begins with
	fresh  bool      // nothing has to go from it
	size   uint64    // of the open file, about
	last   []byte    // key that was set last
}

// incomingDir is where Incomings keep their files.
func (s *Store) incomingDir() string { return s.fs.PathJoin(s.dir, "incoming") }

// forgetIncoming removes what an earlier life left behind.
func (s *Store) forgetIncoming() error {
	if err := s.fs.RemoveAll(s.incomingDir()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", s.incomingDir(), err)
	}
	return nil
}

// NewIncoming begins to gather. Commit or Discard ends it.
func (s *Store) NewIncoming() (*Incoming, error) {
	dir := s.fs.PathJoin(s.incomingDir(), fmt.Sprint(s.incoming.Add(1)))
	if err := s.fs.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make %s: %w", dir, err)
	}
	return &Incoming{store: s, dir: dir, fileBytes: incomingFileBytes}, nil
}

// Replace begins a span, which overlaps no other of this Incoming: all that the
// store holds of it at Commit goes. fresh says that this is nothing.
func (in *Incoming) Replace(span keys.Span, fresh bool) error {
	if err := in.endFile(in.span.End); err != nil {
		return err
	}
	in.span, in.fresh, in.last = span, fresh, nil
	return nil
}

// Set sets a key of the span that was begun last, greater than the one before.
func (in *Incoming) Set(key, value []byte) error {
	if !in.span.Contains(key) || bytes.Compare(key, in.last) <= 0 {
		return fmt.Errorf("incoming key %s is out of order", keys.Print(key))
	}
	if in.writer != nil && in.size >= in.fileBytes {
		if err := in.endFile(key); err != nil {
			return err
		}
		in.span.Start = bytes.Clone(key)
	}
	if err := in.openFile(); err != nil {
		return err
	}
	if err := in.writer.Set(key, value); err != nil {
		return fmt.Errorf("write incoming %s: %w", keys.Print(key), err)
	}
	in.size += uint64(len(key) + len(value))
	in.bytes += uint64(len(key) + len(value))
	in.last = append(in.last[:0], key...)
	return nil
}

// Bytes is how much was set.
func (in *Incoming) Bytes() uint64 { return in.bytes }

func (in *Incoming) openFile() error {
	if in.writer != nil {
		return nil
	}
	path := in.store.fs.PathJoin(in.dir, fmt.Sprintf("%06d.sst", len(in.files)))
	file, err := in.store.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("create incoming file: %w", err)
	}
	in.files = append(in.files, path)
	in.writer = sstable.NewWriter(objstorageprovider.NewFileWritable(file), in.store.tables)
	in.size = 0
	return nil
}

// endFile makes the open file durable. It replaces what the store holds from its
// span's start up to end: keys of one ingested file are as new as its deletion
// of a range, which therefore spares them.
func (in *Incoming) endFile(end []byte) error {
	if !in.fresh && end != nil {
		if err := in.openFile(); err != nil {
			return err
		}
		if err := in.writer.DeleteRange(in.span.Start, end); err != nil {
			return fmt.Errorf("write incoming deletion: %w", err)
		}
	}
	if in.writer == nil {
		return nil
	}
	err := in.writer.Close()
	in.writer = nil
	if err != nil {
		return fmt.Errorf("finish incoming file: %w", err)
	}
	return nil
}

// Commit replaces all spans at once, durably: after a crash either all of it is
// there or nothing.
func (in *Incoming) Commit(ctx context.Context) error {
	defer in.Discard()
	if err := in.endFile(in.span.End); err != nil {
		return err
	}
	if len(in.files) == 0 {
		return nil
	}
	if err := in.store.db.Ingest(ctx, in.files); err != nil {
		return fmt.Errorf("ingest %d files: %w", len(in.files), err)
	}
	return nil
}

// Excise forgets a span durably without reading what it holds, as far as files
// lie in it as a whole: so also what is corrupt.
func (s *Store) Excise(ctx context.Context, span keys.Span) error {
	err := s.db.Excise(ctx, pebble.KeyRange{Start: span.Start, End: span.End})
	if err == nil {
		return nil
	}
	if !pebble.IsCorruptionError(err) {
		return fmt.Errorf("excise from %s: %w", keys.Print(span.Start), err)
	}
	// A file that reaches beyond the span cannot be cut there: what covers it spares
	// readers, and goes with it once its other part is gone too.
	b := s.NewBatch()
	if err := b.DeleteRange(span.Start, span.End, nil); err != nil {
		return fmt.Errorf("delete from %s: %w", keys.Print(span.Start), err)
	}
	return s.Sync(b)
}

// Discard removes the files.
func (in *Incoming) Discard() {
	if in.writer != nil {
		_ = in.writer.Close() // its file goes
		in.writer = nil
	}
	_ = in.store.fs.RemoveAll(in.dir) // Open tries again
}
