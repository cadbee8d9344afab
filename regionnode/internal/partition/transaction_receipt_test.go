package partition_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/internal/partition"
)

// single asks for a transaction in one step that leaves a receipt.
func (x *participant) single(id regionnode.TransactionID, writes ...regionnode.Write) *regionnode.PrepareResponse {
	x.t.Helper()
	resp, err := x.p.Prepare(context.Background(), &regionnode.PrepareRequest{
		Target: at(x.p), ID: id, Writes: writes, AtOnce: true, Receipt: true,
	})
	if err != nil {
		x.t.Fatal(err)
	}
	return resp
}

func (x *participant) settle(id regionnode.TransactionID, first regionnode.Write, block bool) *regionnode.SettleResponse {
	x.t.Helper()
	resp, err := x.p.Settle(context.Background(), &regionnode.SettleRequest{Target: at(x.p), ID: id, Key: first.Key, Block: block})
	if err != nil {
		x.t.Fatal(err)
	}
	return resp
}

// TestReceipt: what was done in one step is known by its receipt, over restarts,
// until that is taken away; what was not done, and is told to be never, is late.
func TestReceipt(t *testing.T) {
	x := newParticipant(t, loggedSpec())
	before := x.id("before")
	a, b := x.put("a", "new a"), x.put("b", "new b")
	x.w.phys.Advance(time.Second)
	x.p.Head() // promises that nothing older comes
	if resp := x.single(before, a, b); resp.Committed || !resp.Votes[0].Late || x.value(a) != "" {
		t.Fatalf("its time is closed: %+v", resp)
	}
	id, undone := x.id("T"), x.id("U")
	done := x.single(id, a, b)
	if !done.Committed || !done.Receipt {
		t.Fatalf("%+v", done)
	}
	x.w.phys.Advance(time.Minute)
	for range 2 {
		s := x.settle(id, a, true)
		if !s.Done || s.Never || !reflect.DeepEqual(s.Usages, []regionnode.Usage{done.Votes[0].Usage, done.Votes[1].Usage}) {
			t.Fatalf("%+v, after %+v", s, done.Votes)
		}
		if x.value(a) != "new a" || x.value(b) != "new b" {
			t.Fatal("a receipt without what it is for")
		}
		stalled := x.p.StalledMarks(1 << 62)
		if len(stalled) != 1 || stalled[0].ID != id || !regionnode.IsReceipt(stalled[0].Key) || regionnode.IsReceipt(a.Key) {
			t.Fatalf("stalled are %+v", stalled)
		}
		// Another transaction of the same row is another matter.
		if s := x.settle(undone, a, false); s.Done || s.Never {
			t.Fatalf("%+v", s)
		}
		x.restart()
	}
	if err := x.write(x.put("c", "v")); err != nil {
		t.Fatal(err)
	}
	if _, closed := x.p.Head(); !closed.Less(id.Time) {
		t.Fatalf("closed up to %v, with a receipt of %v", closed, id.Time)
	}
	forget := regionnode.Write{Key: id.Receipt(a.Key)}
	x.finish(id, false, forget)
	x.finish(id, false, forget)
	if s := x.settle(id, a, false); s.Done || s.Never {
		t.Fatalf("without its receipt: %+v", s)
	}
	if s := x.settle(undone, a, true); s.Done || !s.Never {
		t.Fatalf("what was never asked for: %+v", s)
	}
	for range 2 {
		if resp := x.single(undone, x.put("a", "undone")); resp.Committed || !resp.Votes[0].Late || x.value(a) != "new a" {
			t.Fatalf("what is told to be never: %+v", resp)
		}
		x.restart()
	}
	checkLog(t, x.p)
}

// TestReceiptYoung: nobody is told never while it may happen yet.
func TestReceiptYoung(t *testing.T) {
	x := newParticipant(t, testSpec())
	a := x.put("a", "v")
	// While transactions come, closed time stays behind.
	if resp := x.single(x.id("other"), x.put("b", "v")); !resp.Committed {
		t.Fatalf("%+v", resp)
	}
	id := x.id("T")
	if s := x.settle(id, a, true); s.Done || s.Never {
		t.Fatalf("%+v", s)
	}
	if resp := x.single(id, a); !resp.Committed {
		t.Fatalf("%+v", resp)
	}
	if s := x.settle(id, a, true); !s.Done {
		t.Fatalf("%+v", s)
	}
}

// TestReceiptRefused: a refusal leaves no receipt, nor does a table whose
// transactions are not done in one step.
func TestReceiptRefused(t *testing.T) {
	for name, spec := range map[string]partition.Spec{"refused": testSpec(), "sized": indexedSpec()} {
		t.Run(name, func(t *testing.T) {
			x := newParticipant(t, spec)
			a, none := x.put("a", "v"), x.put("b", "?")
			writes := []regionnode.Write{a}
			if name == "refused" {
				writes = append(writes, none)
				if err := x.write(x.put("b", "v")); err != nil {
					t.Fatal(err)
				}
			}
			id := x.id("T")
			resp := x.single(id, writes...)
			if resp.Committed || resp.Sized != (name == "sized") || (resp.Votes[len(writes)-1].Refusal.Code != "") != (name == "refused") {
				t.Fatalf("%+v", resp)
			}
			if s := x.settle(id, a, false); s.Done || x.value(a) != "" || len(x.p.StalledMarks(1<<62)) > 0 {
				t.Fatalf("%+v", s)
			}
		})
	}
}

// TestReceiptSplit: receipts go with their first items.
func TestReceiptSplit(t *testing.T) {
	x := newParticipant(t, testSpec())
	write := func(i int) regionnode.Write {
		it := makeItem(fmt.Sprint("p", i), "s", "v")
		return regionnode.Write{Op: regionnode.PutOp, Key: keyFor(t, it), Item: it.Encode()}
	}
	var ids []regionnode.TransactionID
	for i := range 20 {
		ids = append(ids, x.id(fmt.Sprint("T", i)))
		if resp := x.single(ids[i], write(i), x.put("other", "v")); !resp.Committed {
			t.Fatalf("%+v", resp)
		}
	}
	if _, err := x.p.Split(context.Background(), splitRequest(x.p)); err != nil {
		t.Fatal(err)
	}
	left := x.p
	right, ok := x.w.host.Partition(4)
	if !ok {
		t.Fatal("no right child")
	}
	ps := []*partition.Partition{left, right}
	if len(left.StalledMarks(1<<62)) == 0 {
		t.Fatal("no receipt stays on the left")
	}
	moved := 0
	for i := range ids {
		x.p = owner(t, ps, write(i).Key)
		if x.p == right {
			moved++
		}
		if s := x.settle(ids[i], write(i), true); !s.Done || len(s.Usages) != 2 {
			t.Errorf("receipt %d: %+v", i, s)
		}
		if _, err := x.p.Finish(context.Background(), &regionnode.FinishRequest{
			Target: at(x.p), ID: ids[i], Keys: [][]byte{ids[i].Receipt(write(i).Key)},
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range ps {
		if s := p.StalledMarks(1 << 62); len(s) > 0 {
			t.Errorf("receipts stay: %+v", s)
		}
	}
	if moved == 0 {
		t.Error("no receipt went to the right")
	}
}
