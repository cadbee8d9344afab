package store

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode/internal/keys"
)

// DefaultMemTableSize is the size at which a memtable is flushed: large enough
// that most raft log entries are deleted before they reach a file.
const DefaultMemTableSize = 32 << 20

// DefaultCacheSize bounds the block cache of a store that is given none. Pebble
// takes the memory of memtables, up to five of them, out of the same bound: a
// cache that is not much larger than those caches nothing under load.
const DefaultCacheSize = 256 << 20

// bloomBitsPerKey gives about one false positive in a hundred.
const bloomBitsPerKey = 10

// Config says where a store lives and what it may use.
type Config struct {
	// Dir is the directory inside FS.
	Dir string
	// FS is vfs.Default when nil; vfs.NewMem keeps everything in memory.
	FS vfs.FS
	// Cache of blocks, shared by the stores of one process; nil makes one of
	// DefaultCacheSize, which says how to size one.
	Cache *pebble.Cache
	// MemTableSize in bytes, DefaultMemTableSize when 0.
	MemTableSize uint64
	// Log gets what goes wrong in the background; nil discards.
	Log *slog.Logger
	// Fatal is called when Pebble cannot go on without risking data, as on a full
	// disk, and must end the process; nil panics. What was acknowledged is on disk.
	Fatal func(reason string)
	// Corrupt is called, from any goroutine and also for reads whose caller gets
	// the error, when a file's content is not what was written; keys from start to
	// end (nil: any) may be affected. It must not block. nil only logs.
	Corrupt func(start, end []byte, err error)
}

// Store is an open Pebble with its append loop. All methods but Close may be
// called from any goroutine.
type Store struct {
	db   *pebble.DB
	loop appendLoop

	fs       vfs.FS
	dir      string
	tables   sstable.WriterOptions // of incoming files
	incoming atomic.Uint64         // Incomings so far
}

// Open opens the store, or makes it when the directory is empty. A corruption
// error (pebble.IsCorruptionError) also says that acknowledged writes are lost.
func Open(cfg Config) (*Store, error) {
	if cfg.FS == nil {
		cfg.FS = vfs.Default
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{fs: cfg.FS, dir: cfg.Dir}
	if err := s.forgetIncoming(); err != nil {
		return nil, err
	}
	opts := options(cfg)
	db, err := pebble.Open(cfg.Dir, opts)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", cfg.Dir, err)
	}
	s.db = db
	opts.EnsureDefaults()
	s.tables = opts.MakeWriterOptions(len(opts.Levels)-1, db.TableFormat())
	m, err := openMark(db, cfg.FS, cfg.Dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", cfg.Dir, err), db.Close())
	}
	s.loop.start(db, m)
	return s, nil
}

func options(cfg Config) *pebble.Options {
	if cfg.MemTableSize == 0 {
		cfg.MemTableSize = DefaultMemTableSize
	}
	opts := &pebble.Options{
		FS:                          cfg.FS,
		Cache:                       cfg.Cache,
		CacheSize:                   DefaultCacheSize,
		Comparer:                    keys.Comparer,
		FormatMajorVersion:          pebble.FormatValueSeparation,
		MemTableSize:                cfg.MemTableSize,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       2,
		L0StopWritesThreshold:       1000,
		LBaseMaxBytes:               64 << 20,
		MaxOpenFiles:                4096,
		BytesPerSync:                512 << 10,
		Logger:                      logger{cfg.Log, cfg.Fatal},
		EventListener: &pebble.EventListener{DataCorruption: func(i pebble.DataCorruptionInfo) {
			cfg.Log.Error("data on disk is corrupt", "file", i.Path, "error", i.Details)
			if cfg.Corrupt != nil {
				cfg.Corrupt(i.Bounds.Start, i.Bounds.End.Key, i.Details)
			}
		}},
	}
	for i := range opts.Levels {
		l := &opts.Levels[i]
		// Reads are of single items: a block is about the size of a few of them,
		// and an index block is no larger than a read of it may cost.
		l.BlockSize = 8 << 10
		l.IndexBlockSize = 32 << 10
		l.FilterPolicy = bloom.FilterPolicy(bloomBitsPerKey)
		l.FilterType = pebble.TableFilter
	}
	return opts
}

// logger carries Pebble's messages into slog. Fatalf is how Pebble reports that
// it cannot go on without risking data, so it must not return.
type logger struct {
	log   *slog.Logger
	fatal func(string)
}

func (l logger) Infof(string, ...any) {}

func (l logger) Errorf(format string, args ...any) {
	l.log.Error("pebble: " + fmt.Sprintf(format, args...))
}

func (l logger) Fatalf(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	l.log.Error("pebble: fatal: " + msg)
	if l.fatal != nil {
		l.fatal(msg)
	}
	panic("pebble: " + msg)
}

// Close ends the append loop, whose queued appends fail, and closes Pebble. No
// iterator may be open.
func (s *Store) Close() error {
	s.loop.stop()
	if err := errors.Join(s.db.Close(), s.loop.mark.file.Close()); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// Get reads one key. The value is valid until the closer is closed; both are
// nil when the key is absent.
func (s *Store) Get(key []byte) ([]byte, io.Closer, error) {
	v, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", keys.Print(key), err)
	}
	return v, closer, nil
}

// GetNew is Get for a key that is likely absent: it asks the bloom filters of the
// lowest level too, which saves reading a block there, and costs a little more
// when the key is present.
func (s *Store) GetNew(key []byte) ([]byte, io.Closer, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", keys.Print(key), err)
	}
	if it.SeekPrefixGE(key) {
		var v []byte
		if v, err = it.ValueAndErr(); err == nil {
			return v, it, nil
		}
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", keys.Print(key), err)
	}
	return nil, nil, nil
}

// GetCopy is Get with a value that the caller owns; nil means absent, and a
// present empty value is not nil.
func (s *Store) GetCopy(key []byte) ([]byte, error) {
	v, closer, err := s.Get(key)
	if err != nil || closer == nil {
		return nil, err
	}
	defer closer.Close()
	return append([]byte{}, v...), nil
}

// Iterate opens an iterator over one span of the newest state. It pins that
// state until it is closed.
func (s *Store) Iterate(span keys.Span) (*pebble.Iterator, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: span.Start, UpperBound: span.End})
	if err != nil {
		return nil, fmt.Errorf("iterate from %s: %w", keys.Print(span.Start), err)
	}
	return it, nil
}

// Snapshot pins the newest state for many reads; close it soon.
func (s *Store) Snapshot() *pebble.Snapshot { return s.db.NewSnapshot() }

// NewBatch makes an empty batch; Apply or Close ends it.
func (s *Store) NewBatch() *pebble.Batch { return s.db.NewBatch() }

// Apply makes a batch visible without syncing it, and closes it: for state that
// can be computed again from the synced raft log. Batches become durable in the
// order in which they were applied.
func (s *Store) Apply(b *pebble.Batch) error {
	if err := b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("apply batch: %w", err)
	}
	return b.Close()
}

// Sync writes a batch durably through the append loop, so that it shares the
// sync with what partitions append, and closes it.
func (s *Store) Sync(b *pebble.Batch) error {
	done := make(chan error, 1)
	s.Append(Append{Batch: b, Done: func(err error) { done <- err }})
	err := <-done
	if err != nil {
		return err
	}
	return b.Close()
}

// SetSync writes one key durably.
func (s *Store) SetSync(key, value []byte) error {
	b := s.NewBatch()
	if err := b.Set(key, value, nil); err != nil {
		return fmt.Errorf("write %s: %w", keys.Print(key), err)
	}
	return s.Sync(b)
}

// Metrics are Pebble's own.
func (s *Store) Metrics() *pebble.Metrics { return s.db.Metrics() }
