package controller

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/table"
)

// TestPlan runs scripts: nodes and partitions go in, the moves come out.
//
//	plan replication=3 budget=4
//	node 1 zone=a [silent=10s] [draining] [leaving] [leads]
//	partition 7 on=1,2,3 [missing=3] [broken=2] [moving=+4-1] [system]
func TestPlan(t *testing.T) {
	datadriven.RunTest(t, "testdata/plan", func(t *testing.T, d *datadriven.TestData) string {
		p := &plan{place: &catalog.Placement{Replication: 3}, silent: map[table.NodeID]time.Duration{}, broken: map[table.NodeID][]table.PartitionID{}, handed: map[table.NodeID]bool{}, replaceAfter: time.Minute, budget: 4}
		if d.HasArg("replication") {
			d.ScanArgs(t, "replication", &p.place.Replication)
		}
		if d.HasArg("budget") {
			d.ScanArgs(t, "budget", &p.budget)
		}
		for line := range strings.Lines(d.Input) {
			if err := p.read(strings.Fields(line)); err != nil {
				d.Fatalf(t, "%s: %v", line, err)
			}
		}
		p.make()
		if out := p.String(); out != "" {
			return out
		}
		return "nothing\n"
	})
}

// read takes one line of a script in.
func (p *plan) read(words []string) error {
	id, err := strconv.ParseUint(words[1], 10, 64)
	if err != nil {
		return err
	}
	args := map[string]string{}
	for _, w := range words[2:] {
		k, v, _ := strings.Cut(w, "=")
		args[k] = v
	}
	_, is := args["leads"]
	if words[0] == "node" {
		n := catalog.Node{ID: table.NodeID(id), Zone: args["zone"]}
		p.handed[n.ID] = !is
		_, n.Draining = args["draining"]
		_, n.Leaving = args["leaving"]
		if args["silent"] != "" {
			p.silent[n.ID], err = time.ParseDuration(args["silent"])
		}
		p.place.Nodes = append(p.place.Nodes, n)
		return err
	}
	row := catalog.Partition{ID: table.PartitionID(id), Base: 1000, Created: true, Replicas: nodeList(args["on"]), Missing: nodeList(args["missing"])}
	for _, at := range nodeList(args["broken"]) {
		p.broken[at] = append(p.broken[at], row.ID)
	}
	if _, is := args["system"]; is {
		row.Base = table.ID(id)
	}
	if m := args["moving"]; m != "" {
		add, remove, _ := strings.Cut(strings.TrimPrefix(m, "+"), "-")
		row.Move = &catalog.Move{Add: nodeList(add), Remove: nodeList(remove)}
	}
	p.place.Partitions = append(p.place.Partitions, row)
	return nil
}

func nodeList(s string) (out []table.NodeID) {
	for word := range strings.SplitSeq(s, ",") {
		if id, err := strconv.ParseUint(word, 10, 64); err == nil {
			out = append(out, table.NodeID(id))
		}
	}
	return out
}

// TestPlansComeToRest carries plans out until there is nothing to do, from random
// regions in which some nodes have ended: then every partition that kept a
// majority has all its replicas on nodes that live, as far as there are enough,
// in as many zones as there are, and never had two members or lost its majority.
func TestPlansComeToRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		place := &catalog.Placement{Replication: 3}
		zones := rapid.IntRange(1, 4).Draw(t, "zones")
		count := rapid.IntRange(3, 9).Draw(t, "nodes")
		silent := map[table.NodeID]time.Duration{}
		handed := map[table.NodeID]bool{}
		for i := range count {
			n := catalog.Node{ID: table.NodeID(i + 1), Zone: fmt.Sprint(i % zones)}
			switch rapid.IntRange(0, 9).Draw(t, "state") {
			case 0:
				silent[n.ID] = time.Hour
			case 1:
				n.Draining, handed[n.ID] = true, true
			}
			place.Nodes = append(place.Nodes, n)
		}
		for i := range rapid.IntRange(1, 30).Draw(t, "partitions") {
			row := catalog.Partition{ID: table.PartitionID(i + 1), Base: 1000, Created: true}
			if i == 0 {
				row.Base = 1
			}
			perm := rapid.Permutation(place.Nodes).Draw(t, "on")
			for _, n := range perm[:3] {
				row.Replicas = append(row.Replicas, n.ID)
			}
			place.Partitions = append(place.Partitions, row)
		}
		run := func() *plan {
			p := &plan{place: place, silent: silent, handed: handed, replaceAfter: time.Minute, budget: 4}
			p.make()
			return p
		}
		p := run()
		for steps := 0; len(p.moves) > 0; p = run() {
			if steps++; steps > 500 {
				t.Fatalf("it never ends: %s", p)
			}
			if len(p.moves) > 4 {
				t.Fatalf("more moves than the budget: %s", p)
			}
			for _, m := range p.moves {
				row := m.partition
				row.Replicas = append(slices.DeleteFunc(row.Replicas, func(id table.NodeID) bool { return slices.Contains(m.move.Remove, id) }), m.move.Add...)
				if len(row.Replicas) < 3 || len(slices.Compact(slices.Sorted(slices.Values(row.Replicas)))) != len(row.Replicas) {
					t.Fatalf("partition %d came to %v by %s", row.ID, row.Replicas, p)
				}
			}
		}
		takes := 0
		for _, s := range p.order {
			if s.takes {
				takes++
			}
		}
		for i := range place.Partitions {
			row := &place.Partitions[i]
			if want := p.want(row); takes >= want && p.serves(row) && len(row.Replicas) != want {
				t.Fatalf("partition %d has %v, wanted are %d", row.ID, row.Replicas, want)
			}
			for _, id := range row.Replicas {
				if s := p.nodes[id]; takes >= len(row.Replicas) && p.serves(row) && !s.takes {
					t.Fatalf("partition %d stays on node %d: %s", row.ID, id, p)
				}
			}
		}
	})
}
