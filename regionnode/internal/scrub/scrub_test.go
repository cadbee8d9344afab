package scrub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"antipode/regionnode/table"
)

// group is a partition of members with contents of their own.
type group struct {
	members   map[table.NodeID][]string // stretch by stretch; nil does not answer
	rounds    []string
	condemned []table.NodeID
}

func (g *group) ID() table.PartitionID { return 7 }

func (g *group) Members() (out []table.NodeID) {
	for id := range g.members {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

func (g *group) Scrub(_ context.Context, from []byte, _ int) (string, error) {
	g.rounds = append(g.rounds, string(from))
	return string(from), nil
}

func (g *group) Result(_ context.Context, member table.NodeID, round string) (*Result, error) {
	have := g.members[member]
	if have == nil {
		return nil, errors.New("away")
	}
	at := 0
	if round != "" {
		at = int(round[0] - '0')
	}
	r := &Result{Print: have[at], Bytes: 1000}
	if at+1 < len(have) {
		r.Next = fmt.Append(nil, at+1)
	}
	return r, nil
}

func (g *group) Condemn(_ context.Context, member table.NodeID, _ string) error {
	g.condemned = append(g.condemned, member)
	return nil
}

// TestCompare has members agree, differ and be away.
func TestCompare(t *testing.T) {
	same := []string{"a", "b", "c"}
	for name, c := range map[string]struct {
		members   map[table.NodeID][]string
		condemned []table.NodeID
	}{
		"all agree":              {map[table.NodeID][]string{1: same, 2: same, 3: same}, nil},
		"one differs":            {map[table.NodeID][]string{1: same, 2: same, 3: {"a", "x", "c"}}, []table.NodeID{3}},
		"the leader differs":     {map[table.NodeID][]string{1: {"x", "b", "c"}, 2: same, 3: same}, []table.NodeID{1}},
		"one is away":            {map[table.NodeID][]string{1: same, 2: nil, 3: same}, nil},
		"one away, one differs":  {map[table.NodeID][]string{1: same, 2: nil, 3: {"x", "b", "c"}}, nil},
		"two, and they differ":   {map[table.NodeID][]string{1: same, 2: {"x", "b", "c"}}, nil},
		"all differ":             {map[table.NodeID][]string{1: same, 2: {"x", "b", "c"}, 3: {"y", "b", "c"}}, nil},
		"two of five differ":     {map[table.NodeID][]string{1: same, 2: {"x", "b", "c"}, 3: same, 4: {"y", "b", "c"}, 5: same}, []table.NodeID{2, 4}},
		"none but one is around": {map[table.NodeID][]string{1: same, 2: nil, 3: nil}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &group{members: c.members}
				s := New(Config{Partitions: func() []Partition { return []Partition{g} }, Interval: time.Hour})
				ctx, cancel := context.WithTimeout(t.Context(), 90*time.Minute)
				defer cancel()
				s.Run(ctx)
				slices.Sort(g.condemned) // a second pass finds them again
				if !slices.Equal(slices.Compact(g.condemned), c.condemned) {
					t.Errorf("condemned %v, want %v", g.condemned, c.condemned)
				}
				if len(g.rounds) == 0 || c.members[1][0] == "a" && len(c.members) == 3 && name == "all agree" && !slices.Equal(g.rounds[:3], []string{"", "1", "2"}) {
					t.Errorf("rounds %q", g.rounds)
				}
			})
		})
	}
}
