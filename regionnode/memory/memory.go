// Package memory decides how much memory a process spends on collecting garbage
// less often. It knows nothing of what the process does.
package memory

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// A collection begins when the heap has grown by so many percent of what was
// alive after the last one. Go's own choice is usual.
const (
	relaxed = 400
	usual   = 100
	// spend is how many bytes of garbage make relaxed no longer worth its memory: a
	// large heap is collected seldom anyway.
	spend = 256 << 20
)

// Relax collects garbage four times less often than Go would, as long as the heap
// is small: the most that it costs is 256 MB. A heap that lives on more is
// collected as Go would. Who sets GOGC or GOMEMLIMIT has decided already, and
// nothing changes. Call it once, when the process begins.
func Relax() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(relaxed)
	(&watch{relaxed, []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}).arm()
}

// percent is the growth for a heap of so many live bytes.
func percent(live uint64) int {
	return min(relaxed, max(usual, int(spend*100/max(live, 1))))
}

// watch is garbage that comes back: each collection finds it. It holds a pointer,
// since finalizers of tiny objects without any may never run.
type watch struct {
	percent int
	live    []metrics.Sample
}

func (w *watch) arm() { runtime.SetFinalizer(w, (*watch).collected) }

// collected adapts the growth to what the collection has left. Setting it stops
// the world for a moment, so small differences are let be.
func (w *watch) collected() {
	metrics.Read(w.live)
	if to := percent(w.live[0].Value.Uint64()); to*10 < w.percent*9 || to*10 > w.percent*11 {
		debug.SetGCPercent(to)
		w.percent = to
	}
	w.arm()
}
