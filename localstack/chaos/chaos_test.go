package chaos

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"
)

var (
	duration  = flag.Duration("duration", 8*time.Second, "of load and faults in a run")
	seed      = flag.Uint64("seed", 1, "of the plan; 0 takes a new one")
	seeds     = flag.Int("seeds", 1, "how many runs, with seeds one after another")
	failovers = flag.Int("failovers", 1, "rounds of each fault in the measurement of failover")
	tables    = flag.Int("tables", 2, "tables in the measurement of idle partitions")
	each      = flag.Int("partitions", 20, "partitions of each of them")
	idle      = flag.Duration("idle", time.Second, "how long they are looked at")
	repairMB  = flag.Int("repair-mb", 4, "of items in the region whose repair is measured")
	level     = flag.String("node-log", "error", "log level of the nodes")
)

// binaries are the product's, built once for all tests.
var binaries string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "chaos")
		if err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		build := exec.Command("go", "build", "-tags", "faults", "-o", dir+"/", "antipode/regionnode/cmd/regionnode", "antipode/functions/cmd/api")
		if out, err := build.CombinedOutput(); err != nil {
			panic(string(out))
		}
		binaries = dir
		return m.Run()
	}())
}

func config(t *testing.T) Config {
	t.Helper()
	c := Config{Dir: t.TempDir(), Binaries: binaries, Duration: *duration, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	if err := c.LogLevel.UnmarshalText([]byte(*level)); err != nil {
		t.Fatal(err)
	}
	return c
}

// patience is what everything around the load of a run may take.
const patience = 5 * time.Minute

func bounded(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestChaos makes random runs: -seed and -duration repeat one.
func TestChaos(t *testing.T) {
	first := *seed
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	for s := first; s < first+uint64(*seeds); s++ {
		t.Logf("repeat with: make chaos DURATION=%v SEED=%d", *duration, s)
		c := config(t)
		// With four nodes a drained one's replicas can go elsewhere.
		c.Seed, c.Nodes = s, 3+int(s%2)
		report, err := Run(bounded(t, *duration+patience), c)
		if err != nil {
			t.Fatalf("seed %d: %v (data in %s)", s, err, c.Dir)
		}
		t.Logf("seed %d: %v", s, report)
		if report.Operations == 0 || report.Acknowledged == 0 {
			t.Errorf("seed %d: nothing was done", s)
		}
	}
}

// TestFailover wants writes again after each fault, and reports how soon.
func TestFailover(t *testing.T) {
	took, err := MeasureFailover(bounded(t, time.Duration(*failovers)*time.Minute+patience), config(t), *failovers)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(took)
}

// TestScale wants partitions that have nothing to do to sleep, reports what they
// cost, and wants them led again when a node is killed.
func TestScale(t *testing.T) {
	c := config(t)
	c.Partitions = *each
	s, err := MeasureScale(bounded(t, time.Duration(*tables)*time.Minute+patience), c, *tables, *idle)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(s)
}

// TestRepair ends one of four nodes for good and wants all its replicas on the
// others, with everything that was acknowledged; it reports how long that takes
// and what clients feel of it. Then the node comes back, and is drained.
func TestRepair(t *testing.T) {
	c := config(t)
	c.Nodes, c.ReplaceAfter = 4, 3*time.Second
	report, err := MeasureRepair(bounded(t, 10*patience), c, *repairMB<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
}
