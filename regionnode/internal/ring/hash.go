package ring

import "sort"

// MaxPartitions bounds how many parts Divide makes.
const MaxPartitions = 1 << 16

// Divide cuts the space of 64-bit hashes into n intervals of the same size, give
// or take one, and returns where each starts; the first starts at 0. n is taken
// as 1…MaxPartitions.
func Divide(n int) []uint64 {
	n = min(max(n, 1), MaxPartitions)
	// width·n + rest = 2^64: the first rest intervals are one longer.
	width := ^uint64(0) / uint64(n)
	rest := ^uint64(0)%uint64(n) + 1
	if rest == uint64(n) {
		width, rest = width+1, 0
	}
	starts := make([]uint64, n)
	for i := range starts {
		starts[i] = uint64(i)*width + min(uint64(i), rest)
	}
	return starts
}

// Find returns which interval holds hash, given the intervals' starts in
// ascending order, the first of them 0. It returns -1 for no intervals.
func Find(starts []uint64, hash uint64) int {
	lo, hi := 0, len(starts)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if starts[mid] <= hash {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo - 1
}

// Covers tells whether starts are the starts of intervals that cover the whole
// space of hashes without overlap: ascending from 0.
func Covers(starts []uint64) bool {
	if len(starts) == 0 || starts[0] != 0 {
		return false
	}
	return sort.SliceIsSorted(starts, func(i, j int) bool { return starts[i] <= starts[j] })
}
