package ring

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestDivideCoversTheSpaceEvenly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 3000).Draw(t, "n")
		starts := Divide(n)
		if len(starts) != n || !Covers(starts) {
			t.Fatalf("Divide(%d) does not cover: %d starts", n, len(starts))
		}
		smallest, largest := ^uint64(0), uint64(0)
		for i := range starts {
			last := ^uint64(0)
			if i+1 < n {
				last = starts[i+1] - 1
			}
			smallest, largest = min(smallest, last-starts[i]), max(largest, last-starts[i])
		}
		if largest-smallest > 1 {
			t.Fatalf("Divide(%d): widths from %d to %d", n, smallest, largest)
		}
	})
}

func TestFindAgreesWithASlowSearch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		starts := Divide(rapid.IntRange(1, 200).Draw(t, "n"))
		hash := rapid.Uint64().Draw(t, "hash")
		if rapid.Bool().Draw(t, "edge") {
			hash = starts[rapid.IntRange(0, len(starts)-1).Draw(t, "start")]
		}
		want := -1
		for i, s := range starts {
			if s <= hash {
				want = i
			}
		}
		if got := Find(starts, hash); got != want {
			t.Fatalf("Find(%x) = %d, want %d", hash, got, want)
		}
	})
	if Find(nil, 1) != -1 {
		t.Fatal("found an interval among none")
	}
}

func TestCoversRefusesGapsAndDisorder(t *testing.T) {
	for _, starts := range [][]uint64{nil, {1}, {0, 5, 5}, {0, 9, 3}} {
		if Covers(starts) {
			t.Errorf("Covers(%v)", starts)
		}
	}
	if !Covers([]uint64{0}) || !Covers([]uint64{0, 1, 1 << 63}) {
		t.Error("refused a cover")
	}
}

func TestPlaceSpreadsOverZonesAndLoads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(1, 12).Draw(t, "nodes")
		zones := rapid.IntRange(1, 4).Draw(t, "zones")
		nodes := make([]Node, count)
		zoneOf, present := map[uint64]string{}, map[string]bool{}
		for i := range nodes {
			nodes[i] = Node{ID: uint64(i + 1), Zone: fmt.Sprint(i % zones), Load: rapid.IntRange(0, 3).Draw(t, "load")}
			zoneOf[nodes[i].ID], present[nodes[i].Zone] = nodes[i].Zone, true
		}
		n := rapid.IntRange(1, count).Draw(t, "n")
		seed := rapid.Uint64().Draw(t, "seed")
		got, err := Place(nodes, n, seed)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := Place(append([]Node(nil), nodes...), n, seed)
		if fmt.Sprint(got) != fmt.Sprint(again) {
			t.Fatalf("not deterministic: %v then %v", got, again)
		}
		used, distinct := map[string]int{}, map[uint64]bool{}
		for _, id := range got {
			used[zoneOf[id]]++
			distinct[id] = true
		}
		if len(distinct) != n {
			t.Fatalf("%v repeats a node", got)
		}
		if want := min(n, len(present)); len(used) != want {
			t.Fatalf("%d replicas use %d zones of %d", n, len(used), len(present))
		}
		for _, nd := range nodes {
			if nd.Load < nodes[got[0]-1].Load {
				t.Fatalf("first choice %d is not the least loaded", got[0])
			}
		}
	})
}

func TestPlaceSharesEqualNodes(t *testing.T) {
	nodes := []Node{{ID: 1}, {ID: 2}, {ID: 3}}
	count := map[uint64]int{}
	for seed := range uint64(3000) {
		got, err := Place(nodes, 1, seed)
		if err != nil {
			t.Fatal(err)
		}
		count[got[0]]++
	}
	for id, c := range count {
		if c < 800 || c > 1200 {
			t.Errorf("node %d got %d of 3000", id, c)
		}
	}
}

func TestPlaceRefusesTooFewNodes(t *testing.T) {
	if _, err := Place([]Node{{ID: 1}}, 2, 0); err == nil {
		t.Fatal("placed two replicas on one node")
	}
}

func TestIDsCarryTheirRegion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		region := rapid.StringMatching(`[a-z]{2}-[a-z]{4,9}-[1-4]`).Draw(t, "region")
		counter := rapid.Uint64Range(1, MaxCounter).Draw(t, "counter")
		id := ID(Tag(region), counter)
		if TagOf(id) != Tag(region) || CounterOf(id) != counter || id == 0 {
			t.Fatalf("id %x of %s/%d", id, region, counter)
		}
	})
}

// The tags of real regions are on disk: a change of the hash must fail here.
func TestTagsOfRegionsStay(t *testing.T) {
	want := map[string]uint16{"us-east-1": 0x57c3, "eu-west-1": 0xe7c6, "ap-northeast-1": 0xbbe6}
	for r, tag := range want {
		if Tag(r) != tag {
			t.Errorf("Tag(%s) = %#04x, want %#04x", r, Tag(r), tag)
		}
	}
}

func TestCheckRegions(t *testing.T) {
	aws := []string{"us-east-1", "us-east-2", "us-west-1", "us-west-2", "af-south-1", "ap-east-1", "ap-south-1", "ap-south-2",
		"ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4",
		"ap-southeast-5", "ca-central-1", "ca-west-1", "eu-central-1", "eu-central-2", "eu-west-1", "eu-west-2", "eu-west-3",
		"eu-north-1", "eu-south-1", "eu-south-2", "il-central-1", "me-central-1", "me-south-1", "mx-central-1", "sa-east-1"}
	if err := CheckRegions(aws); err != nil {
		t.Errorf("AWS's regions: %v", err)
	}
	for _, bad := range [][]string{{"a", "a"}, {"a", ""}, collision()} {
		if CheckRegions(bad) == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

// collision finds two names that share a tag: with 16 bits a few hundred names
// hold such a pair.
func collision() []string {
	seen := map[uint16]string{}
	for i := 0; ; i++ {
		r := fmt.Sprintf("zz-region-%d", i)
		if other, ok := seen[Tag(r)]; ok {
			return []string{other, r}
		}
		seen[Tag(r)] = r
	}
}
