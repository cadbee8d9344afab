package memory

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

func TestPercent(t *testing.T) {
	for live, want := range map[uint64]int{
		0: 400, 10 << 20: 400, 64 << 20: 400, 128 << 20: 200, 256 << 20: 100, 1 << 40: 100,
	} {
		if got := percent(live); got != want {
			t.Errorf("with %d bytes alive: %d, want %d", live, got, want)
		}
	}
}

func inForce() int {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s)
	return int(s[0].Value.Uint64())
}

// settled collects garbage until the percentage is as wanted: what adapts it runs
// behind a collection.
func settled(t *testing.T, want int) {
	t.Helper()
	for t.Context().Err() == nil && inForce() != want {
		runtime.GC()
		runtime.Gosched()
	}
}

// TestRelax lets the heap grow and shrink again.
func TestRelax(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(usual))
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "1GiB")
			if Relax(); inForce() != usual {
				t.Errorf("the user's choice became %d", inForce())
			}
		})
	}
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	Relax()
	settled(t, relaxed)
	func() {
		large := make([]byte, 2*spend)
		settled(t, usual)
		runtime.KeepAlive(large)
	}()
	settled(t, relaxed)
}
