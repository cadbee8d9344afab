package history

import "testing"

// op adds an operation that takes one step of time.
func op(h *Registers, in Input, out Output) { h.Add(0, h.Now(), in, out) }

// TestCheckFinds feeds the checker histories that no register has.
func TestCheckFinds(t *testing.T) {
	put := func(v string) Input { return Input{Kind: Put, Key: "k", New: v} }
	get := Input{Kind: Get, Key: "k"}
	swap := func(old, v string) Input { return Input{Kind: Swap, Key: "k", Old: old, New: v} }
	for name, c := range map[string]struct {
		good bool
		make func(*Registers)
	}{
		"lost write": {false, func(h *Registers) { op(h, put("a"), Output{}); op(h, get, Output{Done, ""}) }},
		"stale read": {false, func(h *Registers) {
			op(h, put("a"), Output{})
			op(h, put("b"), Output{})
			op(h, get, Output{Done, "a"})
		}},
		"swapped both": {false, func(h *Registers) {
			op(h, put("a"), Output{})
			op(h, swap("a", "b"), Output{})
			op(h, swap("a", "c"), Output{})
		}},
		"refused for nothing": {false, func(h *Registers) {
			op(h, put("a"), Output{})
			op(h, swap("a", "b"), Output{Refused, "a"})
		}},
		"unknown, not seen": {true, func(h *Registers) {
			op(h, put("a"), Output{})
			op(h, put("b"), Output{Outcome: Unknown})
			op(h, get, Output{Done, "a"})
		}},
		"unknown, seen late": {true, func(h *Registers) {
			op(h, put("a"), Output{})
			op(h, put("b"), Output{Outcome: Unknown})
			op(h, get, Output{Done, "a"})
			op(h, get, Output{Done, "b"})
		}},
		"unknown, seen and gone": {false, func(h *Registers) {
			op(h, put("a"), Output{})
			op(h, put("b"), Output{Outcome: Unknown})
			op(h, get, Output{Done, "b"})
			op(h, get, Output{Done, "a"})
		}},
		"definitely undone": {true, func(h *Registers) { op(h, put("a"), Output{Outcome: Undone}); op(h, get, Output{Done, ""}) }},
	} {
		h := New()
		c.make(h)
		if err := h.Check(); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
