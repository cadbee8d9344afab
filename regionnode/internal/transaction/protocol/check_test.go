package protocol_test

import (
	"testing"

	"antipode/regionnode"
	"antipode/regionnode/internal/transaction/protocol"
	"antipode/replication/hlc"
)

// scenarios are small worlds that between them make every rule matter. The
// second transaction's clock is behind the first's.
var scenarios = []scenario{
	{name: "both put both", exists: [2]bool{true, true}, do: [2][2]action{{put, put}, {put, put}},
		times: [2][2]int8{{20}, {10, 25}}, frail: [2]bool{true, true}},
	{name: "both may stop", exists: [2]bool{true, true}, do: [2][2]action{{put, put}, {put, nothing}},
		times: [2][2]int8{{20}, {10}}, frail: [2]bool{true, true}},
	{name: "a check finds nothing", exists: [2]bool{false, true}, do: [2][2]action{{checkAbsent, put}, {putAbsent, nothing}},
		times: [2][2]int8{{20}, {10, 25}}, frail: [2]bool{true, true}, repeats: true},
	{name: "a check finds an item", exists: [2]bool{true, true}, do: [2][2]action{{checkExists, put}, {remove, nothing}},
		times: [2][2]int8{{20}, {10, 25}}, frail: [2]bool{true, true}, repeats: true},
	{name: "a delete and a put", exists: [2]bool{true, true}, do: [2][2]action{{remove, put}, {put, nothing}},
		times: [2][2]int8{{20}, {10, 25}}, frail: [2]bool{true, true}, repeats: true},
	{name: "single put", exists: [2]bool{true, false}, do: [2][2]action{{put, putAbsent}},
		times: [2][2]int8{{20, 30}}, single: put, frail: [2]bool{true, false}, repeats: true, closes: true},
	{name: "single delete", exists: [2]bool{true, false}, do: [2][2]action{{putAbsent, put}},
		times: [2][2]int8{{14, 30}}, single: remove, frail: [2]bool{true, false}, repeats: true, closes: true},
	{name: "a reader", exists: [2]bool{true, true}, do: [2][2]action{{put, put}},
		times: [2][2]int8{{20}}, single: put, reads: true, frail: [2]bool{true, true}},
	{name: "a reader of what is not there", do: [2][2]action{{put, put}, {remove, nothing}},
		times: [2][2]int8{{20}, {22}}, reads: true, frail: [2]bool{true, false}},
	{name: "one step puts both", exists: [2]bool{true, false}, do: [2][2]action{{put, putAbsent}},
		times: [2][2]int8{{14, 30}}, together: [2]action{put, putAbsent}, single: put, frail: [2]bool{true, false}, repeats: true},
	{name: "one step checks an item", exists: [2]bool{true, false}, do: [2][2]action{{remove, nothing}, {nothing, put}},
		times: [2][2]int8{{14, 30}, {20}}, together: [2]action{checkExists, put}, frail: [2]bool{true, true}, repeats: true},
	{name: "one step finds nothing", do: [2][2]action{{putAbsent, nothing}, {nothing, put}},
		times: [2][2]int8{{14, 30}, {20}}, together: [2]action{checkAbsent, put}, frail: [2]bool{true, true}, repeats: true},
	{name: "one step checks both", exists: [2]bool{true, false}, do: [2][2]action{{remove, putAbsent}},
		times: [2][2]int8{{14, 30}}, together: [2]action{checkExists, checkAbsent}, frail: [2]bool{true, false}, repeats: true, closes: true},
	{name: "one step checks and writes", do: [2][2]action{{putAbsent, put}, {nothing, remove}},
		times: [2][2]int8{{14, 30}, {12}}, together: [2]action{checkAbsent, put}, frail: [2]bool{true, false}},
	{name: "one step deletes", exists: [2]bool{true, false}, do: [2][2]action{{putAbsent, checkAbsent}},
		times: [2][2]int8{{14, 30}}, together: [2]action{remove, remove}, frail: [2]bool{true, false}, repeats: true, closes: true},
	{name: "a reader of one step", exists: [2]bool{true, true}, do: [2][2]action{{put, put}},
		times: [2][2]int8{{20}}, together: [2]action{put, put}, reads: true, frail: [2]bool{true, false}},
	{name: "swapped keys", do: [2][2]action{{putAbsent, checkAbsent}, {checkAbsent, putAbsent}},
		times: [2][2]int8{{20}, {10, 25}}, frail: [2]bool{true, true}},
}

// TestProtocol walks through every order of events.
func TestProtocol(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			fault, worlds := explore(s, realRules())
			if fault != "" {
				t.Fatalf("after %d worlds: %s", worlds, fault)
			}
			if worlds < 1000 {
				t.Errorf("only %d worlds: the scenario does nothing", worlds)
			}
			t.Logf("%d worlds", worlds)
		})
	}
}

// mistakes are rules as somebody might get them wrong.
var mistakes = map[string]struct {
	in   string // a scenario that finds it
	make func(*rules)
}{
	"checks that found nothing leave no watermark": {"a check finds nothing", func(r *rules) {
		r.prepare = func(it protocol.Item, w protocol.Watermarks, id regionnode.TransactionID) protocol.Verdict {
			w.AbsentRead = hlc.Timestamp{}
			return protocol.Prepare(it, w, id)
		}
	}},
	"deletes leave no watermark": {"a check finds an item", func(r *rules) {
		r.prepare = func(it protocol.Item, w protocol.Watermarks, id regionnode.TransactionID) protocol.Verdict {
			w.Deleted = hlc.Timestamp{}
			return protocol.Prepare(it, w, id)
		}
	}},
	"checks of items leave no time": {"a check finds an item", func(r *rules) {
		r.prepare = func(it protocol.Item, w protocol.Watermarks, id regionnode.TransactionID) protocol.Verdict {
			it.Checked = hlc.Timestamp{}
			return protocol.Prepare(it, w, id)
		}
	}},
	"versions are not looked at": {"both put both", func(r *rules) {
		r.prepare = func(it protocol.Item, w protocol.Watermarks, id regionnode.TransactionID) protocol.Verdict {
			it.Version = hlc.Timestamp{}
			return protocol.Prepare(it, w, id)
		}
	}},
	"an equal time is late enough": {"a check finds nothing", func(r *rules) {
		r.prepare = func(it protocol.Item, w protocol.Watermarks, id regionnode.TransactionID) protocol.Verdict {
			later := id
			later.Time.Logical++
			v := protocol.Prepare(it, w, later)
			if it.Pending != nil {
				v = protocol.Prepare(it, w, id)
			}
			return v
		}
	}},
	"closed time is not looked at": {"single put", func(r *rules) {
		r.prepare = func(it protocol.Item, w protocol.Watermarks, id regionnode.TransactionID) protocol.Verdict {
			w.Closed = hlc.Timestamp{}
			return protocol.Prepare(it, w, id)
		}
	}},
	"marks are overwritten": {"both put both", func(r *rules) {
		r.prepare = func(it protocol.Item, w protocol.Watermarks, id regionnode.TransactionID) protocol.Verdict {
			if it.Pending != nil && *it.Pending != id {
				it.Pending = nil
			}
			return protocol.Prepare(it, w, id)
		}
	}},
	"time closes over marks": {"single put", func(r *rules) {
		r.below = func(t hlc.Timestamp, _ ...hlc.Timestamp) hlc.Timestamp { return t }
	}},
	"anybody's mark is cancelled": {"both put both", func(r *rules) {
		r.holds = func(it protocol.Item, _ regionnode.TransactionID) bool { return it.Pending != nil }
	}},
	"whatever is marked is committed": {"both put both", func(r *rules) {
		r.commit = func(it protocol.Item, id regionnode.TransactionID, c protocol.Change, remembers bool) (protocol.Effect, bool) {
			if it.Pending == nil {
				return protocol.Effect{}, false
			}
			return protocol.Commit(protocol.Item{Exists: it.Exists, Pending: &id}, id, c, remembers)
		}
	}},
	"a commit needs no mark": {"both put both", func(r *rules) {
		r.commit = func(it protocol.Item, id regionnode.TransactionID, c protocol.Change, remembers bool) (protocol.Effect, bool) {
			return protocol.Commit(protocol.Item{Exists: it.Exists, Pending: &id}, id, c, remembers)
		}
	}},
	"a decided transaction is decided again": {"both put both", func(r *rules) {
		r.swap = func(now, seen protocol.Row) bool { return now.State != 0 || seen.State == 0 }
	}},
	"a stalled transaction is cancelled without a decision": {"both put both", func(r *rules) {
		r.fate = func(row *protocol.Row, id regionnode.TransactionID, stalled bool) protocol.Fate {
			if f := protocol.FateOf(row, id, stalled); f != protocol.ToDecide {
				return f
			}
			return protocol.ToCancel
		}
	}},
	"a stalled transaction is committed": {"both put both", func(r *rules) {
		r.fate = func(row *protocol.Row, id regionnode.TransactionID, stalled bool) protocol.Fate {
			if f := protocol.FateOf(row, id, stalled); f != protocol.ToDecide {
				return f
			}
			return protocol.ToCommit
		}
	}},
	"marks without a row are left": {"both put both", func(r *rules) {
		r.fate = func(row *protocol.Row, id regionnode.TransactionID, stalled bool) protocol.Fate {
			if row == nil {
				return protocol.Wait
			}
			return protocol.FateOf(row, id, stalled)
		}
	}},
	"marks of earlier attempts are committed": {"both put both", func(r *rules) {
		r.fate = func(row *protocol.Row, id regionnode.TransactionID, stalled bool) protocol.Fate {
			if row == nil {
				return protocol.ToCommit
			}
			return protocol.FateOf(row, id, stalled)
		}
	}},
	"prepares go out before the row is written": {"both put both", func(r *rules) { r.prepareFirst = true }},
	"the row goes before all is committed":      {"both put both", func(r *rules) { r.endEarly = true }},
	"a reader passes over marks":                {"a reader", func(r *rules) { r.readMarked = true }},
	"a reader reads once":                       {"a reader", func(r *rules) { r.readOnce = true }},
	"one step passes over marks": {"one step puts both", func(r *rules) {
		r.atOnce = func(it protocol.Item, c protocol.Change, remembers bool) (protocol.Effect, bool) {
			it.Pending = nil
			return protocol.AtOnce(it, c, remembers)
		}
	}},
	"checks of one step leave no time": {"one step checks an item", func(r *rules) {
		r.atOnce = func(it protocol.Item, c protocol.Change, remembers bool) (protocol.Effect, bool) {
			e, ok := protocol.AtOnce(it, c, remembers)
			e.Checked = false
			return e, ok
		}
	}},
	"checks of one step that found nothing leave no watermark": {"one step finds nothing", func(r *rules) {
		r.atOnce = func(it protocol.Item, c protocol.Change, remembers bool) (protocol.Effect, bool) {
			e, ok := protocol.AtOnce(it, c, remembers)
			e.AbsentRead = false
			return e, ok
		}
	}},
	"deletes of one step leave no watermark": {"one step deletes", func(r *rules) {
		r.atOnce = func(it protocol.Item, c protocol.Change, remembers bool) (protocol.Effect, bool) {
			e, ok := protocol.AtOnce(it, c, remembers)
			e.Deleted = false
			return e, ok
		}
	}},
	"one step is stamped by an old clock": {"a reader of one step", func(r *rules) { r.staleClock = true }},
	"single writes pass over marks":       {"single put", func(r *rules) { r.writeMarked = true }},
}

// TestMistakes puts each mistake into the protocol: the walk must find it.
func TestMistakes(t *testing.T) {
	for name, mistake := range mistakes {
		t.Run(name, func(t *testing.T) {
			r := realRules()
			mistake.make(&r)
			for _, s := range scenarios {
				if s.name != mistake.in {
					continue
				}
				fault, worlds := explore(s, r)
				if fault == "" {
					t.Errorf("%s does not find it in %d worlds", s.name, worlds)
				}
				t.Logf("%d worlds: %s", worlds, fault)
			}
		})
	}
}
