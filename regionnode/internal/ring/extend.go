package ring

import "slices"

// Extend chooses n more nodes for a partition that other nodes, have, hold
// already: as Place does, it spreads over zones first, then takes the least
// loaded, and lets seed decide among equals. It answers with fewer than n where
// there are not enough.
func Extend(nodes, have []Node, n int, seed uint64) []Node {
	zones := make(map[string]int, len(have)+n)
	for _, h := range have {
		zones[h.Zone]++
	}
	left := slices.DeleteFunc(slices.Clone(nodes), func(c Node) bool {
		return slices.ContainsFunc(have, func(h Node) bool { return h.ID == c.ID })
	})
	var chosen []Node
	for len(chosen) < n && len(left) > 0 {
		best := 0
		for i := range left {
			if better(left[i], left[best], zones, seed) {
				best = i
			}
		}
		zones[left[best].Zone]++
		chosen = append(chosen, left[best])
		left = slices.Delete(left, best, best+1)
	}
	return chosen
}
