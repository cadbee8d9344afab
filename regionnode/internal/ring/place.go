package ring

import "fmt"

// Node is a candidate for a replica. Load is any measure that grows with what
// the node holds: here, how many replicas.
type Node struct {
	ID   uint64
	Zone string
	Load int
}

// Place chooses n different nodes for a partition's replicas, the preferred
// leader first. It spreads over zones first, then takes the least loaded; among
// equals seed (the partition's id) decides, so that equal nodes share evenly and
// the same input gives the same answer on every machine. With fewer than n nodes
// it returns an error.
func Place(nodes []Node, n int, seed uint64) ([]uint64, error) {
	if n < 1 || len(nodes) < n {
		return nil, fmt.Errorf("place %d replicas on %d nodes", n, len(nodes))
	}
	taken := make([]bool, len(nodes))
	zones := make(map[string]int, n)
	chosen := make([]uint64, 0, n)
	for len(chosen) < n {
		best := -1
		for i := range nodes {
			if taken[i] {
				continue
			}
			if best < 0 || better(nodes[i], nodes[best], zones, seed) {
				best = i
			}
		}
		taken[best] = true
		zones[nodes[best].Zone]++
		chosen = append(chosen, nodes[best].ID)
	}
	return chosen, nil
}

// better tells whether a is a better next choice than b, given how many replicas
// each zone has already.
func better(a, b Node, zones map[string]int, seed uint64) bool {
	if za, zb := zones[a.Zone], zones[b.Zone]; za != zb {
		return za < zb
	}
	if a.Load != b.Load {
		return a.Load < b.Load
	}
	if wa, wb := mix(a.ID^mix(seed)), mix(b.ID^mix(seed)); wa != wb {
		return wa < wb
	}
	return a.ID < b.ID
}

// mix spreads the bits of x (the finaliser of MurmurHash3, public domain).
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
