package chaos

import "testing"

// op adds an operation that takes one step of time.
func op(h *history, in input, out output) { h.add(0, h.now(), in, out) }

// TestCheckFinds feeds the checker histories that no register has.
func TestCheckFinds(t *testing.T) {
	put := func(v string) input { return input{kind: kindPut, key: "k", new: v} }
	get := input{kind: kindGet, key: "k"}
	swap := func(old, v string) input { return input{kind: kindSwap, key: "k", old: old, new: v} }
	for name, c := range map[string]struct {
		good bool
		make func(*history)
	}{
		"lost write": {false, func(h *history) { op(h, put("a"), output{}); op(h, get, output{done, ""}) }},
		"stale read": {false, func(h *history) { op(h, put("a"), output{}); op(h, put("b"), output{}); op(h, get, output{done, "a"}) }},
		"swapped both": {false, func(h *history) {
			op(h, put("a"), output{})
			op(h, swap("a", "b"), output{})
			op(h, swap("a", "c"), output{})
		}},
		"refused for nothing": {false, func(h *history) {
			op(h, put("a"), output{})
			op(h, swap("a", "b"), output{refused, "a"})
		}},
		"unknown, not seen": {true, func(h *history) {
			op(h, put("a"), output{})
			op(h, put("b"), output{outcome: unknown})
			op(h, get, output{done, "a"})
		}},
		"unknown, seen late": {true, func(h *history) {
			op(h, put("a"), output{})
			op(h, put("b"), output{outcome: unknown})
			op(h, get, output{done, "a"})
			op(h, get, output{done, "b"})
		}},
		"unknown, seen and gone": {false, func(h *history) {
			op(h, put("a"), output{})
			op(h, put("b"), output{outcome: unknown})
			op(h, get, output{done, "b"})
			op(h, get, output{done, "a"})
		}},
		"definitely undone": {true, func(h *history) { op(h, put("a"), output{outcome: undone}); op(h, get, output{done, ""}) }},
	} {
		h := newHistory()
		c.make(h)
		if err := h.check(); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
