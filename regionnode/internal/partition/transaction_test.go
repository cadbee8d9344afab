package partition_test

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/item"
	"antipode/replication"
	"antipode/replication/hlc"
)

// participant is a partition that takes part in transactions.
type participant struct {
	t *testing.T
	w *world
	p *partition.Partition
}

func newParticipant(t *testing.T, spec partition.Spec) *participant {
	w := newWorld(t, vfs.NewMem())
	x := &participant{t, w, createPartition(t, w, spec)}
	x.leads()
	return x
}

// id names an attempt that begins now.
func (x *participant) id(row string) regionnode.TransactionID {
	return regionnode.TransactionID{Row: row, Time: x.w.clock.Now()}
}

// put writes the text v to an item; "" deletes it and "?" checks that there is
// none.
func (x *participant) put(sk, v string) regionnode.Write {
	it := makeItem("tx", sk, v)
	w := regionnode.Write{Op: regionnode.PutOp, Key: keyFor(x.t, it), Item: it.Encode()}
	switch v {
	case "":
		w.Op, w.Item = regionnode.DeleteOp, nil
	case "?":
		w.Op, w.Item = regionnode.CheckOp, nil
		w.Condition = parseCondition(x.t, "attribute_not_exists(pk)", nil)
	}
	return w
}

func (x *participant) prepare(id regionnode.TransactionID, writes ...regionnode.Write) []regionnode.Vote {
	x.t.Helper()
	resp, err := x.p.Prepare(context.Background(), &regionnode.PrepareRequest{
		Target: target, ID: id, Until: x.w.phys.Physical() + int64(time.Second), Writes: writes,
	})
	if err != nil {
		x.t.Fatal(err)
	}
	return resp.Votes
}

func (x *participant) marks(id regionnode.TransactionID, writes ...regionnode.Write) {
	x.t.Helper()
	for i, v := range x.prepare(id, writes...) {
		if !v.Marked || v.Late || v.Refusal.Code != "" {
			x.t.Fatalf("write %d of %s: %+v", i, id, v)
		}
	}
}

func (x *participant) finish(id regionnode.TransactionID, commit bool, writes ...regionnode.Write) {
	x.t.Helper()
	r := &regionnode.FinishRequest{Target: target, ID: id, Commit: commit}
	for _, w := range writes {
		r.Keys = append(r.Keys, w.Key)
	}
	if _, err := x.p.Finish(context.Background(), r); err != nil {
		x.t.Fatal(err)
	}
}

func (x *participant) value(w regionnode.Write) string {
	x.t.Helper()
	resp, err := x.p.Get(context.Background(), &regionnode.GetRequest{Target: target, Key: w.Key, Consistent: true})
	if err != nil || resp.Item == nil {
		if err != nil {
			x.t.Fatal(err)
		}
		return ""
	}
	v, _, err := resp.Item.Get("v")
	if err != nil {
		x.t.Fatal(err)
	}
	return v.Text()
}

func (x *participant) write(w regionnode.Write) error {
	_, err := x.p.Write(context.Background(), &regionnode.WriteRequest{Target: target, Write: w})
	return err
}

func (x *participant) restart() {
	x.w.stop()
	x.w.start()
	x.p, _ = x.w.host.Partition(3)
	x.leads()
}

// leads waits until the partition evaluates: a leader closes the past.
func (x *participant) leads() { x.value(x.put("none", "")) }

// TestTransactionLife prepares, restarts, commits: nothing shows before, single
// writes are refused in between, and the change record names the transaction.
func TestTransactionLife(t *testing.T) {
	x := newParticipant(t, indexedSpec())
	a, b, gone := x.put("a", "new a"), x.put("b", "new b"), x.put("gone", "")
	for _, w := range []regionnode.Write{x.put("a", "old a"), x.put("gone", "old")} {
		if err := x.write(w); err != nil {
			t.Fatal(err)
		}
	}
	id := x.id("T")
	x.marks(id, a, b, gone)
	x.restart()
	if got := x.value(a) + "|" + x.value(b) + "|" + x.value(gone); got != "old a||old" {
		t.Fatalf("a prepared transaction shows as %q", got)
	}
	if err := x.write(x.put("b", "single")); !apierr.Is(err, apierr.TransactionConflict) {
		t.Fatalf("write of a marked key: %v", err)
	}
	if votes := x.prepare(x.id("U"), x.put("b", "x"), x.put("c", "x")); votes[0].Refusal.Code != "TransactionConflict" || votes[1].Marked {
		t.Fatalf("prepare of a marked key: %+v", votes)
	}
	resp, err := x.p.ReadMarked(context.Background(), &regionnode.ReadMarkedRequest{Target: target, Keys: [][]byte{a.Key, x.put("c", "").Key}})
	if err != nil || !resp.Items[0].Pending || resp.Items[1].Pending {
		t.Fatalf("read of marked keys: %+v, %v", resp, err)
	}
	x.marks(id, a, b, gone) // again
	x.finish(id, true, a, b, gone)
	x.finish(id, true, a, b, gone)
	x.finish(id, false, a, b, gone)
	if got := x.value(a) + "|" + x.value(b) + "|" + x.value(gone); got != "new a|new b|" {
		t.Fatalf("a committed transaction shows as %q", got)
	}
	recs, _, err := x.p.ReadLog(context.Background(), x.p.LogStart(), 100, 1<<20)
	if err != nil || len(recs) != 5 {
		t.Fatalf("%d change records, %v", len(recs), err)
	}
	for _, r := range recs[2:] {
		if r.Cause != replication.ByTransaction || r.Transaction != id.String() || r.Version.Time != id.Time {
			t.Errorf("record %+v of transaction %s", r, id)
		}
	}
	checkIndexes(t, x.p)
	checkLog(t, x.p)
	if err := x.write(x.put("b", "single")); err != nil {
		t.Fatal(err)
	}
}

// TestTransactionLate sends prepares that come after what is ordered behind
// them, before and after a restart.
func TestTransactionLate(t *testing.T) {
	x := newParticipant(t, testSpec())
	early := make([]regionnode.TransactionID, 8)
	for i := range early {
		early[i] = x.id("early")
	}
	late := func(what string, id regionnode.TransactionID, w regionnode.Write) {
		t.Helper()
		if v := x.prepare(id, w)[0]; !v.Late || v.Marked {
			t.Errorf("%s: %+v", what, v)
		}
	}
	if err := x.write(x.put("written", "v")); err != nil {
		t.Fatal(err)
	}
	// A check that found nothing, a delete of nothing, and one of an item.
	checked, removed := x.id("C"), x.id("R")
	x.marks(checked, x.put("absent", "?"))
	x.finish(checked, true, x.put("absent", "?"))
	late("create before a check that found nothing", early[0], x.put("absent", "v"))
	late("the check again", checked, x.put("absent", "?"))
	x.marks(removed, x.put("removed", ""))
	x.finish(removed, true, x.put("removed", ""))
	late("create before a delete", early[1], x.put("removed", "v"))
	late("the delete again", removed, x.put("removed", ""))
	x.restart()
	late("create before a check, after a restart", early[2], x.put("absent", "v"))
	late("create before a delete, after a restart", early[3], x.put("removed", "v"))
	late("write before a write", early[4], x.put("written", "w"))
	// What comes later is welcome.
	id := x.id("late")
	x.marks(id, x.put("absent", "v"), x.put("removed", "v"), x.put("written", "w"))
	// A prepare behind its own cancel leaves a mark, which recovery can see.
	x.finish(id, false, x.put("absent", "v"), x.put("removed", "v"), x.put("written", "w"))
	x.marks(id, x.put("absent", "v"))
	stalled := x.p.StalledMarks(1 << 62)
	if len(stalled) != 1 || stalled[0].ID != id {
		t.Fatalf("stalled marks are %+v", stalled)
	}
	x.finish(id, false, x.put("absent", "v"))
	if x.value(x.put("absent", "")) != "" || x.value(x.put("written", "")) != "v" {
		t.Error("a canceled transaction has changed items")
	}
	old := &regionnode.PrepareRequest{Target: target, ID: x.id("old"), Until: x.w.phys.Physical() - int64(time.Hour), Writes: []regionnode.Write{x.put("a", "v")}}
	if resp, err := x.p.Prepare(context.Background(), old); err != nil || !resp.Votes[0].Late {
		t.Errorf("a prepare whose time is over: %+v, %v", resp, err)
	}
	ahead := regionnode.TransactionID{Row: "ahead", Time: hlc.Timestamp{Wall: x.w.phys.Physical() + int64(time.Hour)}}
	late("a clock too far ahead", ahead, x.put("a", "v"))
}

// TestTransactionClosed: closed time stays below what is marked and never goes
// back, and nothing is prepared at or below it (I13).
func TestTransactionClosed(t *testing.T) {
	x := newParticipant(t, indexedSpec())
	before := x.id("before")
	x.w.phys.Advance(time.Second)
	closed := func() hlc.Timestamp {
		_, at := x.p.Head()
		return at
	}
	promised := closed()
	if v := x.prepare(before, x.put("a", "v"))[0]; !v.Late {
		t.Fatalf("prepared at %v, which lies below the closed time %v: %+v", before.Time, promised, v)
	}
	id := x.id("T")
	x.marks(id, x.put("a", "v"))
	x.w.phys.Advance(time.Minute)
	for i := range 3 {
		if err := x.write(x.put("b", string(rune('0'+i)))); err != nil {
			t.Fatal(err)
		}
		at := closed()
		if !at.Less(id.Time) || at.Less(promised) {
			t.Fatalf("closed time is %v, with a mark of %v and after %v", at, id.Time, promised)
		}
		promised = at
	}
	x.restart()
	if err := x.write(x.put("b", "restarted")); err != nil {
		t.Fatal(err)
	}
	if at := closed(); !at.Less(id.Time) {
		t.Fatalf("closed time is %v after a restart, with a mark of %v", at, id.Time)
	}
	x.finish(id, true, x.put("a", "v"))
	if err := x.write(x.put("b", "after")); err != nil {
		t.Fatal(err)
	}
	if at := closed(); !id.Time.Less(at) {
		t.Fatalf("closed time %v stays below what is committed at %v", at, id.Time)
	}
}

// TestTransactionRemote: a record of another region waits until the mark goes.
func TestTransactionRemote(t *testing.T) {
	for _, commit := range []bool{true, false} {
		x := newParticipant(t, indexedSpec())
		id := x.id("T")
		w := x.put("a", "transaction")
		x.marks(id, w)
		it := makeItem("tx", "a", "remote")
		rec := replication.Record{Key: w.Key, New: it.Encode(), Version: replication.Version{Time: x.w.clock.Now(), Region: "eu-west-1"}}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := x.p.ApplyRemote(ctx, []replication.Record{rec}); err == nil {
			t.Fatal("a record was applied over a mark")
		}
		done := make(chan error)
		go func() { done <- x.p.ApplyRemote(context.Background(), []replication.Record{rec}) }()
		x.finish(id, commit, w)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := x.value(w); got != "remote" {
			t.Errorf("commit %v: %q stays, the record is newer", commit, got)
		}
	}
}

// TestTransactionChecks forgets the times of checks once they are closed, and
// keeps them until then.
func TestTransactionChecks(t *testing.T) {
	x := newParticipant(t, testSpec())
	if err := x.write(x.put("a", "v")); err != nil {
		t.Fatal(err)
	}
	early, id := x.id("early"), x.id("T")
	check := x.put("a", "?")
	check.Condition = parseCondition(t, "attribute_exists(pk)", map[string]item.Value{})
	x.marks(id, check)
	x.finish(id, true, check)
	for range 2 {
		if v := x.prepare(early, x.put("a", ""))[0]; !v.Late {
			t.Fatalf("a delete before the check: %+v", v)
		}
		x.restart()
	}
	later := x.id("later")
	x.marks(later, x.put("a", "w"))
	x.finish(later, true, x.put("a", "w"))
}
