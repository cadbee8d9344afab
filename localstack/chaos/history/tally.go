package history

import (
	"errors"
	"fmt"
	"sync"
)

// Tally is a set of effects, each with an id of its own, that must happen exactly
// once when acknowledged, at most once when nobody knows, and never otherwise.
type Tally struct {
	mu       sync.Mutex
	outcomes map[string]Outcome
}

// NewTally starts an empty one.
func NewTally() *Tally { return &Tally{outcomes: map[string]Outcome{}} }

// Begin notes an effect that is about to be asked for.
func (t *Tally) Begin(id string) { t.End(id, Unknown) }

// End notes what its client learned.
func (t *Tally) End(id string, o Outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.outcomes[id] = o
}

// Count counts the effects of an outcome.
func (t *Tally) Count(o Outcome) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, have := range t.outcomes {
		if have == o {
			n++
		}
	}
	return n
}

// Check compares with what is found in the end, in the order in which it is
// found. The error names every effect that is wrong.
func (t *Tally) Check(found []string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var faults []error
	times := map[string]int{}
	for _, id := range found {
		times[id]++
		switch o, known := t.outcomes[id]; {
		case !known:
			faults = append(faults, fmt.Errorf("%s happened, and nobody asked for it", id))
		case times[id] == 2:
			faults = append(faults, fmt.Errorf("%s happened twice", id))
		case o == Undone || o == Refused:
			faults = append(faults, fmt.Errorf("%s happened, and its client was told that it did not", id))
		}
	}
	for id, o := range t.outcomes {
		if o == Done && times[id] == 0 {
			faults = append(faults, fmt.Errorf("%s was acknowledged and is lost", id))
		}
	}
	return errors.Join(faults...)
}
