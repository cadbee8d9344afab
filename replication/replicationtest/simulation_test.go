package replicationtest

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

var (
	seeds    = flag.Int("seeds", defaultSeeds, "how many simulations to run")
	first    = flag.Uint64("seed", 1, "the first simulation's seed")
	duration = flag.Duration("duration", 1500*time.Millisecond, "simulated time of writes and faults")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func simulate(t *testing.T, opts Options) (report Report, err error) {
	synctest.Test(t, func(*testing.T) { report, err = Simulate(opts) })
	return report, err
}

func TestSimulations(t *testing.T) {
	var sum Report
	for seed := *first; seed < *first+uint64(*seeds); seed++ {
		r, err := simulate(t, Options{Seed: seed, Duration: *duration})
		if err != nil {
			t.Fatalf("%v\nagain: go test ./replication/replicationtest -run TestSimulations -seeds 1 -seed %d -duration %s", err, seed, *duration)
		}
		if done := seed - *first + 1; done%500 == 0 {
			fmt.Fprintf(os.Stderr, "%d of %d seeds from %d\n", done, *seeds, *first)
		}
		sum.Regions += r.Regions
		sum.Writes += r.Writes
		sum.Crashes += r.Crashes
		sum.Late += r.Late
		sum.Dropped += r.Dropped
		sum.Shipped += r.Shipped
		sum.Retries += r.Retries
		sum.Lost += r.Lost
	}
	t.Logf("%d seeds from %d: %+v", *seeds, *first, sum)
	if sum.Writes == 0 || sum.Shipped == 0 || sum.Lost == 0 || *seeds >= 50 && (sum.Crashes == 0 || sum.Retries == 0 || sum.Dropped == 0 || sum.Late == 0) {
		t.Fatalf("too little happened: %+v", sum)
	}
}

// Each rule broken on purpose must be noticed within a few seeds.
func TestChecksNoticeBugs(t *testing.T) {
	for bug, name := range map[Bug]string{
		ShipForeign: "ship foreign records", AcknowledgeUnsent: "acknowledge what was not sent",
		AcknowledgeUnsynced: "acknowledge before the disk has it", IgnoreVersions: "ignore versions",
		CloseEarly: "close time too early", ForgetFloor: "forget the floor",
		ForgetVerdicts: "keep only the own side of the ledger", BlindVerdicts: "call a seen write lost",
		DropEarly: "drop tombstones early", VerdictElsewhere: "give verdicts on others' writes",
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(40) {
				if _, err := simulate(t, Options{Seed: seed, Bug: bug}); err != nil {
					t.Logf("noticed with seed %d: %v", seed, err)
					return
				}
			}
			t.Fatal("not noticed in 40 simulations")
		})
	}
}
