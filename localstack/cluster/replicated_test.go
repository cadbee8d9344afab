package cluster

import (
	"fmt"
	"strings"
	"testing"
)

// TestKillReplicatedNode kills the nodes of a region one after another. The
// region takes writes meanwhile, and its links go on from the new leaders: the
// other region gets everything, also while a node is down there.
func TestKillReplicatedNode(t *testing.T) {
	binaries := build(t)
	regions := []string{"us-east-1", "eu-west-1"}
	dir := t.TempDir()
	_, info := up(t, binaries, "--data", dir, "--processes", "--regions", strings.Join(regions, ","),
		"--nodes", "3", "--replication", "3", "--partitions", "2")
	makeGlobal(t, info.Endpoint, regions)
	var ids []string
	for round := range 4 {
		now, err := Running(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range now.Regions {
			if r.Region == regions[round%2] {
				kill(t, r.Nodes[round%3].PID)
			}
		}
		for _, region := range regions {
			for i := range 4 {
				id := fmt.Sprintf("%s-%d-%d", region, round, i)
				until(t, info.Endpoint, region, "PutItem", put(id), func(string) bool { return true })
				ids = append(ids, id)
			}
		}
	}
	for _, region := range regions {
		for _, id := range ids {
			until(t, info.Endpoint, region, "GetItem", get(id), found)
		}
	}
}
