package chaos

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// kind of an operation on a register.
type kind int

const (
	kindGet kind = iota
	kindPut
	kindSwap
)

// input is what an operation wants, output what its client learned.
type input struct {
	kind     kind
	key      string
	old, new string
}

type output struct {
	outcome outcome
	found   string // by a get, or by a swap that was refused
}

// history collects operations of all clients.
type history struct {
	began time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
}

func newHistory() *history { return &history{began: time.Now()} }

func (h *history) now() int64 { return int64(time.Since(h.began)) }

// add takes an operation that began at call and has just ended. What definitely
// had no effect, and told nothing, is left out.
func (h *history) add(client int, call int64, in input, out output) {
	if out.outcome == undone || in.kind == kindGet && out.outcome != done {
		return
	}
	end := h.now()
	if out.outcome == unknown {
		end = math.MaxInt64 // it may take effect at any time, or never
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: end})
}

// seen are all values that somebody read or based a write upon.
func (h *history) seen() map[string]bool {
	out := map[string]bool{}
	for _, op := range h.ops {
		out[op.Output.(output).found] = true
		if in := op.Input.(input); in.kind == kindSwap && op.Output.(output).outcome == done {
			out[in.old] = true
		}
	}
	return out
}

// register is a key with put, get and compare-and-swap. Values are never written
// twice.
var register = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(input).key
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
		is, i, o := state.(string), in.(input), out.(output)
		switch {
		case i.kind == kindGet:
			return o.found == is, is
		case i.kind == kindPut:
			return true, i.new
		case o.outcome == refused:
			return is == o.found && is != i.old, is
		case is == i.old:
			return true, i.new
		default: // only one of unknown outcome may have been refused
			return o.outcome == unknown, is
		}
	},
	DescribeOperation: func(in, out any) string {
		i, o := in.(input), out.(output)
		return fmt.Sprintf("%s(%s, %q→%q): %d %q", []string{"get", "put", "swap"}[i.kind], i.key, i.old, i.new, o.outcome, o.found)
	},
}

// checkPatience bounds the search for a linearization.
const checkPatience = 2 * time.Minute

// check looks for an order in which the operations could have happened one by
// one. A write of unknown outcome whose value nobody ever saw is left out: had
// it taken effect, the same order without it would explain as much.
func (h *history) check() error {
	seen := h.seen()
	var ops []porcupine.Operation
	for _, op := range h.ops {
		if op.Output.(output).outcome == unknown && !seen[op.Input.(input).new] {
			continue
		}
		ops = append(ops, op)
	}
	for _, key := range register.Partition(ops) {
		result := porcupine.CheckOperationsTimeout(register, key, checkPatience)
		name := key[0].Input.(input).key
		switch result {
		case porcupine.Illegal:
			return fmt.Errorf("key %s is not linearizable over %d operations", name, len(key))
		case porcupine.Unknown:
			return fmt.Errorf("key %s: no answer over %d operations within %v", name, len(key), checkPatience)
		}
	}
	return nil
}
