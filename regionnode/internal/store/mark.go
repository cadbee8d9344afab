package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode/internal/keys"
)

// mark remembers outside Pebble how many groups the append loop has synced; each
// group brings its number along. Pebble takes a broken record at the end of its
// newest log for one that a crash has torn, unless a later block of 32 KB says
// otherwise, and forgets what was acknowledged in it. Then the number in Pebble is
// below the mark's.
//
// The mark is written behind each sync, before anybody hears of it, and never
// synced: it outlives the process, and a power cut makes it older, which is true
// still. It is one of many writes to one place and costs no more than a call.
type mark struct {
	file   vfs.File
	groups uint64 // synced
	buf    [markSize]byte
}

const (
	markName = "SYNCED"
	// On disk: the format, the number of groups, and a CRC32C of both.
	markSize          = 16
	markFormat uint32 = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errLost says that the store lacks what it has acknowledged.
type errLost struct{ synced, found uint64 }

func (e *errLost) Error() string {
	return fmt.Sprintf("the end of the store's log is broken: %d groups of writes were synced, %d are left (where there is no other copy, "+
		"and only there, the store opens without them once its file %s is removed)", e.synced, e.found, markName)
}

// openMark compares the mark with what Pebble has. A corruption error says that
// acknowledged writes are lost. What has no mark, or a broken one, gets a new one.
func openMark(db *pebble.DB, fsys vfs.FS, dir string) (*mark, error) {
	m := &mark{}
	raw, closer, err := db.Get(keys.SyncedGroups())
	switch {
	case errors.Is(err, pebble.ErrNotFound):
	case err != nil:
		return nil, fmt.Errorf("read number of synced groups: %w", err)
	default:
		if len(raw) == 8 {
			m.groups = binary.BigEndian.Uint64(raw)
		}
		if err := closer.Close(); err != nil {
			return nil, fmt.Errorf("read number of synced groups: %w", err)
		}
	}
	path := fsys.PathJoin(dir, markName)
	m.file, err = fsys.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if errors.Is(err, fs.ErrNotExist) {
		m.file, err = fsys.Create(path, vfs.WriteCategoryUnspecified)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	synced, err := m.read()
	if err == nil && synced > m.groups {
		err = fmt.Errorf("%w: %w", pebble.ErrCorruption, &errLost{synced: synced, found: m.groups})
	}
	if err == nil {
		err = m.write(m.groups)
	}
	if err != nil {
		return nil, errors.Join(err, m.file.Close())
	}
	return m, nil
}

// read is 0 where there is no mark, or none that can be read.
func (m *mark) read() (uint64, error) {
	n, err := m.file.ReadAt(m.buf[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("read mark of synced groups: %w", err)
	}
	if n < markSize || binary.BigEndian.Uint32(m.buf[:]) != markFormat ||
		binary.BigEndian.Uint32(m.buf[12:]) != crc32.Checksum(m.buf[:12], castagnoli) {
		return 0, nil
	}
	return binary.BigEndian.Uint64(m.buf[4:]), nil
}

// number adds the next group's number to its batch.
func (m *mark) number(b *pebble.Batch) error {
	op := b.SetDeferred(len(keys.SyncedGroups()), 8)
	copy(op.Key, keys.SyncedGroups())
	binary.BigEndian.PutUint64(op.Value, m.groups+1)
	return op.Finish()
}

// write notes that so many groups are synced.
func (m *mark) write(groups uint64) error {
	binary.BigEndian.PutUint32(m.buf[:], markFormat)
	binary.BigEndian.PutUint64(m.buf[4:], groups)
	binary.BigEndian.PutUint32(m.buf[12:], crc32.Checksum(m.buf[:12], castagnoli))
	if _, err := m.file.WriteAt(m.buf[:], 0); err != nil {
		return fmt.Errorf("write mark of synced groups: %w", err)
	}
	m.groups = groups
	return nil
}
