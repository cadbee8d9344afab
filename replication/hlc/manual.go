package hlc

import (
	"sync/atomic"
	"time"
)

// ManualClock is physical time that moves only when told: for tests, as
// Config.Physical. Safe for concurrent use.
type ManualClock struct{ ns atomic.Int64 }

// NewManualClock starts at ns nanoseconds since the Unix epoch.
func NewManualClock(ns int64) *ManualClock {
	m := &ManualClock{}
	m.ns.Store(ns)
	return m
}

// Physical reads it; pass the method as Config.Physical.
func (m *ManualClock) Physical() int64 { return m.ns.Load() }

// Advance moves it by d, back when d is negative.
func (m *ManualClock) Advance(d time.Duration) { m.ns.Add(int64(d)) }

// Set moves it to ns.
func (m *ManualClock) Set(ns int64) { m.ns.Store(ns) }
