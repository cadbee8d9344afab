package history

import "testing"

// TestTallyFinds counts effects that happened otherwise than clients were told.
func TestTallyFinds(t *testing.T) {
	for name, c := range map[string]struct {
		good  bool
		found []string
	}{
		"as told":        {true, []string{"done"}},
		"unknown, there": {true, []string{"unknown", "done"}},
		"lost":           {false, nil},
		"twice":          {false, []string{"done", "done"}},
		"unknown, twice": {false, []string{"done", "unknown", "unknown"}},
		"refused, there": {false, []string{"done", "refused"}},
		"undone, there":  {false, []string{"undone", "done"}},
		"of nobody":      {false, []string{"done", "other"}},
	} {
		tally := NewTally()
		tally.Begin("unknown")
		for id, o := range map[string]Outcome{"done": Done, "refused": Refused, "undone": Undone} {
			tally.Begin(id)
			tally.End(id, o)
		}
		if err := tally.Check(c.found); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
