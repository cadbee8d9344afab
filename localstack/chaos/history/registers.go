package history

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// Outcome is what a client knows of its request.
type Outcome int

// The outcomes of a request.
const (
	Done    Outcome = iota // it took effect
	Refused                // its condition did not hold
	Undone                 // it definitely took no effect
	Unknown                // nobody knows (I10)
)

// Kind of an operation on a register.
type Kind int

// The operations on a register.
const (
	Get Kind = iota
	Put
	Swap // put New if Old is there
)

// Input is what an operation wants. "" is the value of a key without one, and no
// other value may be written twice.
type Input struct {
	Kind     Kind
	Key      string
	Old, New string
}

// Output is what its client learned.
type Output struct {
	Outcome Outcome
	Found   string // by a Get, or by a Swap that was refused
}

// Registers are the operations that clients made on keys.
type Registers struct {
	began time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
}

// New starts a history; its time begins now.
func New() *Registers { return &Registers{began: time.Now()} }

// Now is the time of the history, for Add's call.
func (h *Registers) Now() int64 { return int64(time.Since(h.began)) }

// Len counts the operations that say something.
func (h *Registers) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ops)
}

// Add takes an operation that began at call and has just ended. What definitely
// had no effect, and told nothing, is left out.
func (h *Registers) Add(client int, call int64, in Input, out Output) {
	if out.Outcome == Undone || in.Kind == Get && out.Outcome != Done {
		return
	}
	end := h.Now()
	if out.Outcome == Unknown {
		end = math.MaxInt64 // it may take effect at any time, or never
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: end})
}

// seen are all values that somebody read or based a write upon.
func (h *Registers) seen() map[string]bool {
	out := map[string]bool{}
	for _, op := range h.ops {
		out[op.Output.(Output).Found] = true
		if in := op.Input.(Input); in.Kind == Swap && op.Output.(Output).Outcome == Done {
			out[in.Old] = true
		}
	}
	return out
}

// register is a key with its three operations.
var register = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(Input).Key
			byKey[key] = append(byKey[key], op)
		}
		var out [][]porcupine.Operation
		for _, ops := range byKey {
			out = append(out, ops)
		}
		return out
	},
	Init: func() any { return "" },
	Step: func(state, in, out any) (bool, any) {
		is, i, o := state.(string), in.(Input), out.(Output)
		switch {
		case i.Kind == Get:
			return o.Found == is, is
		case i.Kind == Put:
			return true, i.New
		case o.Outcome == Refused:
			return is == o.Found && is != i.Old, is
		case is == i.Old:
			return true, i.New
		default: // only one of unknown outcome may have been refused
			return o.Outcome == Unknown, is
		}
	},
	DescribeOperation: func(in, out any) string {
		i, o := in.(Input), out.(Output)
		return fmt.Sprintf("%s(%s, %q→%q): %d %q", []string{"get", "put", "swap"}[i.Kind], i.Key, i.Old, i.New, o.Outcome, o.Found)
	},
}

// checkPatience bounds the search for a linearization.
const checkPatience = 2 * time.Minute

// Check looks for an order in which the operations could have happened one by
// one. A write of unknown outcome whose value nobody ever saw is left out: had
// it taken effect, the same order without it would explain as much.
func (h *Registers) Check() error {
	seen := h.seen()
	var ops []porcupine.Operation
	for _, op := range h.ops {
		if op.Output.(Output).Outcome == Unknown && !seen[op.Input.(Input).New] {
			continue
		}
		ops = append(ops, op)
	}
	for _, key := range register.Partition(ops) {
		result := porcupine.CheckOperationsTimeout(register, key, checkPatience)
		name := key[0].Input.(Input).Key
		switch result {
		case porcupine.Illegal:
			return fmt.Errorf("key %s is not linearizable over %d operations", name, len(key))
		case porcupine.Unknown:
			return fmt.Errorf("key %s: no answer over %d operations within %v", name, len(key), checkPatience)
		}
	}
	return nil
}
