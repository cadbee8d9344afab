//go:build faults

package node

import (
	"encoding/json"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// Faults are what tests have a node's disk and clock do. Only binaries built with
// the tag "faults" know them.
type Faults struct {
	// Stall has syncs wait until it is over, SyncDelay has each wait so long.
	Stall     bool  `json:"stall,omitempty"`
	SyncDelay int64 `json:"sync_delay_ms,omitempty"`
	// Full refuses what needs room, Broken every write and sync.
	Full   bool `json:"full,omitempty"`
	Broken bool `json:"broken,omitempty"`
	// Clock is how far the node's clock is from the machine's.
	Clock int64 `json:"clock_ms,omitempty"`
}

// faultLook is the pause between two looks at the file.
const faultLook = 10 * time.Millisecond

// InjectFaults has the node's disk and clock do what the file at path says, as it
// changes, for the rest of the process's life. Call it before Start.
func (c *Config) InjectFaults(path string) {
	var now atomic.Pointer[Faults]
	look := func() {
		f := &Faults{}
		if b, err := os.ReadFile(path); err == nil && json.Unmarshal(b, f) != nil {
			return // half written
		}
		now.Store(f)
	}
	look()
	go func() {
		for range time.Tick(faultLook) {
			look()
		}
	}()
	if c.FS == nil {
		c.FS = vfs.Default
	}
	c.FS = errorfs.Wrap(c.FS, errorfs.InjectorFunc(func(op errorfs.Op) error { return now.Load().meet(op.Kind, &now) }))
	c.Physical = func() int64 { return time.Now().UnixNano() + now.Load().Clock*int64(time.Millisecond) }
}

// meet is what happens to an operation.
func (f *Faults) meet(op errorfs.OpKind, now *atomic.Pointer[Faults]) error {
	switch op {
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		time.Sleep(time.Duration(f.SyncDelay) * time.Millisecond)
		for now.Load().Stall {
			time.Sleep(faultLook)
		}
		if f.Broken {
			return syscall.EIO
		}
	case errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpCreate, errorfs.OpReuseForWrite, errorfs.OpFilePreallocate, errorfs.OpLink, errorfs.OpMkdirAll:
		switch {
		case f.Broken:
			return syscall.EIO
		case f.Full:
			return syscall.ENOSPC
		}
	}
	return nil
}
