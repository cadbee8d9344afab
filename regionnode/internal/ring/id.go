package ring

import (
	"fmt"
	"hash/fnv"
	"sort"
)

// counterBits is the width of an id's counter; the tag is above it. On disk:
// never change.
const counterBits = 48

// MaxCounter is the last counter of an id: 2^48-1.
const MaxCounter = 1<<counterBits - 1

// Tag is the 16 bits that a region puts in front of its ids: the region name's
// FNV-1a hash, folded. It is never 0, so that no id is 0. On disk: never change.
func Tag(region string) uint16 {
	h := fnv.New64a()
	h.Write([]byte(region)) // a hash.Hash never fails
	s := h.Sum64()
	t := uint16(s ^ s>>16 ^ s>>32 ^ s>>48)
	if t == 0 {
		return 1
	}
	return t
}

// ID makes an id of a region's tag and a counter in 1…MaxCounter.
func ID(tag uint16, counter uint64) uint64 {
	return uint64(tag)<<counterBits | counter&MaxCounter
}

// TagOf is the tag inside an id.
func TagOf(id uint64) uint16 { return uint16(id >> counterBits) }

// CounterOf is the counter inside an id.
func CounterOf(id uint64) uint64 { return id & MaxCounter }

// CheckRegions refuses a set of regions in which two names are the same or share
// a tag: their ids would collide.
func CheckRegions(regions []string) error {
	sorted := append([]string(nil), regions...)
	sort.Strings(sorted)
	owner := make(map[uint16]string, len(sorted))
	for _, r := range sorted {
		if r == "" {
			return fmt.Errorf("a region has no name")
		}
		if other, ok := owner[Tag(r)]; ok {
			if other == r {
				return fmt.Errorf("region %s is named twice", r)
			}
			return fmt.Errorf("regions %s and %s share the id tag %#04x", other, r, Tag(r))
		}
		owner[Tag(r)] = r
	}
	return nil
}
