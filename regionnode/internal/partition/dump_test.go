package partition_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"antipode/regionnode/internal/keys"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/internal/store"
)

// dumpReplica is everything that a replica holds but raft's log and hard state,
// key by key: what members must have alike at the same applied index.
func dumpReplica(t testing.TB, s *store.Store, p *partition.Partition) []string {
	t.Helper()
	return dumpSpec(t, s, p.Spec())
}

func dumpSpec(t testing.TB, s *store.Store, spec *partition.Spec) []string {
	t.Helper()
	spans := append(keys.ReplicaSpans(spec.ID), keys.DataSpans(spec.Table, keys.Hashes{Start: spec.Start, End: spec.End})...)
	var out []string
	for _, span := range spans {
		if span.Contains(keys.HardState(spec.ID)) {
			continue
		}
		it, err := s.Iterate(span)
		if err != nil {
			t.Fatal(err)
		}
		for ok := it.First(); ok; ok = it.Next() {
			out = append(out, fmt.Sprintf("%s = %x", keys.Print(it.Key()), it.Value()))
		}
		if err := it.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// appliedIn counts the applied states among dumps.
func appliedIn(dumps [][]string) int {
	states := map[string]bool{}
	for _, d := range dumps {
		for _, line := range d {
			if strings.HasPrefix(line, "/partition/3/applied = ") {
				// Format byte, then the index and more: the whole line will do.
				states[line] = true
			}
		}
	}
	return len(states)
}

// differences are the lines that only one of two dumps has.
func differences(a, b []string) []string {
	var out []string
	for _, line := range a {
		if !slices.Contains(b, line) {
			out = append(out, "-"+line)
		}
	}
	for _, line := range b {
		if !slices.Contains(a, line) {
			out = append(out, "+"+line)
		}
	}
	return out
}
