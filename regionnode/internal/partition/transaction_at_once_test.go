package partition_test

import (
	"context"
	"strings"
	"testing"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/partition"
	"antipode/replication"
)

// atOnce asks for a transaction in one step.
func (x *participant) atOnce(row string, writes ...regionnode.Write) *regionnode.PrepareResponse {
	x.t.Helper()
	resp, err := x.p.Prepare(context.Background(), &regionnode.PrepareRequest{Target: target, ID: x.id(row), Writes: writes, AtOnce: true})
	if err != nil {
		x.t.Fatal(err)
	}
	return resp
}

// loggedSpec keeps change records and has no local index.
func loggedSpec() partition.Spec {
	s := testSpec()
	s.Log = partition.LogConfig{On: true, Peers: []replication.Region{"eu-west-1"}}
	return s
}

// TestAtOnce does a transaction in one step: all of it, under one time that is
// newer than what it replaces, or nothing.
func TestAtOnce(t *testing.T) {
	x := newParticipant(t, loggedSpec())
	for _, sk := range []string{"a", "gone"} {
		if err := x.write(x.put(sk, "old")); err != nil {
			t.Fatal(err)
		}
	}
	resp := x.atOnce("T", x.put("b", "new b"), x.put("gone", ""), x.put("none", "?"), x.put("a", "new a"))
	if !resp.Committed || resp.Votes[3].Usage.OldSize == 0 || resp.Votes[0].Usage.NewSize == 0 {
		t.Fatalf("%+v", resp)
	}
	x.restart()
	if got := x.value(x.put("a", "")) + "|" + x.value(x.put("b", "")) + "|" + x.value(x.put("gone", "")); got != "new a|new b|" {
		t.Fatalf("it shows as %q", got)
	}
	recs, _, err := x.p.ReadLog(context.Background(), x.p.LogStart(), 100, 1<<20)
	if err != nil || len(recs) != 5 {
		t.Fatalf("%d change records, %v", len(recs), err)
	}
	for _, r := range recs[2:] {
		if r.Cause != replication.ByTransaction || !strings.HasPrefix(r.Transaction, "T@") || r.Version != recs[2].Version ||
			!recs[1].Version.Time.Less(r.Version.Time) {
			t.Errorf("record %+v, after %v", r, recs[1].Version)
		}
	}
	refused := x.atOnce("U", x.put("a", "x"), x.put("b", "?"), x.put("c", "x"))
	if refused.Committed || refused.Votes[1].Refusal.Code != "ConditionalCheckFailed" || refused.Votes[0].Refusal.Code != "" {
		t.Fatalf("%+v", refused)
	}
	if x.value(x.put("a", "")) != "new a" || x.value(x.put("c", "")) != "" {
		t.Error("a refused transaction has changed items")
	}
	if _, err := x.p.Prepare(context.Background(), &regionnode.PrepareRequest{
		Target: target, ID: x.id("V"), AtOnce: true, Writes: []regionnode.Write{x.put("a", "1"), x.put("a", "2")},
	}); !apierr.Is(err, apierr.Validation) {
		t.Errorf("two writes of one item: %v", err)
	}
	checkLog(t, x.p)
}

// TestAtOnceAmongOthers: marks refuse it, and what it checked or deleted refuses
// prepares that are ordered before it.
func TestAtOnceAmongOthers(t *testing.T) {
	x := newParticipant(t, testSpec())
	early := make([]regionnode.TransactionID, 6)
	for i := range early {
		early[i] = x.id("early")
	}
	for _, sk := range []string{"there", "gone"} {
		if err := x.write(x.put(sk, "v")); err != nil {
			t.Fatal(err)
		}
	}
	id := x.id("T")
	x.marks(id, x.put("marked", "v"))
	refused := x.atOnce("U", x.put("b", "x"), x.put("marked", "x"))
	if refused.Committed || refused.Votes[1].Refusal.Code != "TransactionConflict" || x.value(x.put("b", "")) != "" {
		t.Fatalf("%+v", refused)
	}
	x.finish(id, true, x.put("marked", "v"))

	exists := x.put("there", "?")
	exists.Condition = parseCondition(t, "attribute_exists(pk)", nil)
	if resp := x.atOnce("V", exists, x.put("gone", "")); !resp.Committed {
		t.Fatalf("%+v", resp)
	}
	between := x.id("between")
	if resp := x.atOnce("W", x.put("absent", "?")); !resp.Committed {
		t.Fatalf("%+v", resp)
	}
	for range 2 {
		for i, w := range []regionnode.Write{x.put("there", "w"), x.put("gone", "w"), x.put("absent", "w")} {
			if v := x.prepare(early[i], w)[0]; !v.Late {
				t.Errorf("write %d before the transaction: %+v", i, v)
			}
		}
		// Only the check that found nothing speaks against this one.
		if v := x.prepare(between, x.put("absent", "w"))[0]; !v.Late {
			t.Errorf("create before the check: %+v", v)
		}
		x.restart()
	}
	later := x.id("later")
	x.marks(later, x.put("there", "w"), x.put("gone", "w"), x.put("absent", "w"))
	x.finish(later, true, x.put("there", "w"), x.put("gone", "w"), x.put("absent", "w"))
}

// TestAtOnceNotHere: a transaction whose parts are answered one by one, or that
// is too large for an entry, is left to be prepared.
func TestAtOnceNotHere(t *testing.T) {
	for name, c := range map[string]struct {
		spec partition.Spec
		v    string
	}{
		"sizes of collections": {indexedSpec(), "v"},
		"too large":            {testSpec(), strings.Repeat("v", 300<<10)},
	} {
		t.Run(name, func(t *testing.T) {
			x := newParticipant(t, c.spec)
			writes := []regionnode.Write{x.put("a", c.v), x.put("b", c.v), x.put("c", c.v), x.put("d", c.v)}
			resp := x.atOnce("T", writes...)
			for i, v := range resp.Votes {
				if resp.Committed || v.Refusal.Code != "" || v.Marked || x.value(writes[i]) != "" {
					t.Fatalf("write %d: %+v", i, v)
				}
			}
			id := x.id("U")
			x.marks(id, writes...)
			x.finish(id, true, writes...)
		})
	}
}
