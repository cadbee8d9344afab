package node

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// neighbours are ids whose items lie in the first partition of four, and one
// that does not.
func (b *bench) neighbours(n int) (near []string, far string) {
	for i := 0; len(near) < n || far == ""; i++ {
		id := fmt.Sprint("counter", i)
		if _, key := b.key(id); table.Hash(key)>>62 == 0 {
			near = append(near, id)
		} else {
			far = id
		}
	}
	return near[:n], far
}

// TestTokens counts with transactions whose coordinators die, and sends each
// again with its token, by two clients at once, until one succeeds: it must have
// happened once. Most of them are one partition's, some are not.
func TestTokens(t *testing.T) {
	b := newBench(t)
	near, far := b.neighbours(3)
	ids := append(near, far)
	one := item.Num(item.NumberFromInt64(1))
	want := make([]atomic.Int64, len(ids))
	var again, replayed, running atomic.Int64
	var work sync.WaitGroup
	for i := range 4 {
		work.Go(func() {
			random := rand.New(rand.NewPCG(3, uint64(i)))
			for n := range 25 {
				at := random.Perm(len(near))[:1+random.IntN(len(near))]
				if random.IntN(4) == 0 {
					at = append(at, len(near))
				}
				r := &regionnode.TransactWriteRequest{Token: fmt.Sprint(i, "/", n), Digest: []byte("as it was")}
				for _, k := range at {
					r.Writes = append(r.Writes, b.update(ids[k], "SET n = if_not_exists(n, :zero) + :v", "", one))
					want[k].Add(1)
				}
				send := func(dies int64) {
					for err := b.transact(dies, r); err != nil && !t.Failed(); {
						resp, next := b.node.TransactWrite(t.Context(), r)
						switch {
						case next == nil && resp.Replayed:
							replayed.Add(1)
						case apierr.Is(next, apierr.TransactionInProgress):
							running.Add(1)
							if err := b.healer.Sweep(t.Context()); err != nil {
								t.Error(err)
							}
						case next != nil && !refused(next):
							t.Error(next)
						}
						again.Add(1)
						err = next
					}
				}
				var second sync.WaitGroup
				if random.IntN(2) == 0 {
					second.Go(func() { send(0) })
				}
				send(int64(random.IntN(7)))
				second.Wait()
				other := *r
				other.Digest = []byte("otherwise")
				if _, err := b.node.TransactWrite(t.Context(), &other); !apierr.Is(err, apierr.IdempotentParameterMismatch) {
					t.Errorf("the token with other parameters: %v", err)
				}
				if resp, err := b.node.TransactWrite(t.Context(), r); err != nil || !resp.Replayed || len(resp.Usages) != len(r.Writes) || resp.Usages[0].NewSize == 0 {
					t.Errorf("once more: %+v, %v", resp, err)
				}
			}
		})
	}
	work.Wait()
	for len(b.node.stalled(1<<62)) > 0 {
		if err := b.healer.Heal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := b.region.TransactGet(t.Context(), b.reads(ids))
	if err != nil {
		t.Fatal(err)
	}
	for k := range ids {
		if n := number(t, resp.Items[k].Item, "n"); n != want[k].Load() {
			t.Errorf("%s counts %d of %d transactions", ids[k], n, want[k].Load())
		}
	}
	t.Logf("sent %d times again, of which %d found it done and %d running", again.Load(), replayed.Load(), running.Load())
	if again.Load() == 0 || replayed.Load() == 0 || running.Load() == 0 {
		t.Error("not all of that happened")
	}
}
