package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/client"
	"antipode/regionnode/expr"
	"antipode/regionnode/internal/transaction"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// bench is a node with a table of four partitions, a coordinator that recovers,
// and coordinators that die.
type bench struct {
	t      *testing.T
	node   *Node
	region *client.Client
	d      *table.Descriptor
	healer *transaction.Coordinator
}

// patience is short, so that what dead coordinators leave is soon taken up.
const patience = 20 * time.Millisecond

func newBench(t *testing.T) *bench {
	t.Helper()
	ctx := t.Context()
	n, err := Start(ctx, Config{Region: "us-east-1", Name: "a", InMemory: true, Partitions: 4})
	if err != nil {
		t.Fatal(err)
	}
	region, err := NewClient(n)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, node: n, region: region}
	d, err := region.CreateTable(ctx, &regionnode.CreateTableRequest{Descriptor: table.Descriptor{
		Name: "t", Key: table.KeySchema{Hash: []string{"id"}}, Attributes: []table.Attribute{{Name: "id", Type: "S"}}, BillingMode: "PAY_PER_REQUEST",
	}})
	for err == nil && d.Status != table.Active {
		d, err = region.DescribeTable(ctx, "t")
	}
	if err != nil {
		t.Fatal(err)
	}
	b.d = d
	b.healer = b.coordinator(region)
	healing, stop := context.WithCancel(context.Background())
	var healed sync.WaitGroup
	healed.Go(func() { b.healer.Run(healing) })
	t.Cleanup(func() {
		stop()
		healed.Wait()
		b.healer.Close()
		if err := errors.Join(region.Close(), n.Close()); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) coordinator(region transaction.Region) *transaction.Coordinator {
	return transaction.New(transaction.Config{
		Region: region, Clock: b.node.clock, Random: rand.Uint64, Stalled: b.node.stalled, Led: b.node.led, Patience: patience,
	})
}

func (b *bench) key(id string) (item.Item, []byte) {
	it := item.Make([]item.Field{{Name: "id", Value: item.Str(id)}})
	key, err := b.d.Key.Key(nil, it)
	if err != nil {
		b.t.Fatal(err)
	}
	return it, key
}

// update is an update of one item, with :v in both expressions.
func (b *bench) update(id, update, condition string, v item.Value) regionnode.TableWrite {
	it, key := b.key(id)
	values := map[string]item.Value{":v": v, ":none": item.List(nil), ":zero": item.Num(item.NumberFromInt64(0))}
	w := regionnode.Write{Op: regionnode.UpdateOp, Key: key, Item: it.Encode()}
	var err error
	if w.Update, err = expr.ParseUpdate(update, expr.NewSubstitutions(nil, values)); err != nil {
		b.t.Fatal(err)
	}
	if condition != "" {
		if w.Condition, err = expr.ParseCondition(expr.ConditionExpression, condition, expr.NewSubstitutions(nil, values)); err != nil {
			b.t.Fatal(err)
		}
	}
	return regionnode.TableWrite{Table: b.d.ID, Write: w}
}

func (b *bench) reads(ids []string) *regionnode.TransactGetRequest {
	r := &regionnode.TransactGetRequest{}
	for _, id := range ids {
		_, key := b.key(id)
		r.Reads = append(r.Reads, regionnode.TableRead{Table: b.d.ID, Key: key})
	}
	return r
}

// mortal is a region as a coordinator sees it that dies after some calls: those
// that it has made arrive, and it hears of nothing any more.
type mortal struct {
	transaction.Region
	left atomic.Int64
	die  func()
}

var errDead = errors.New("the coordinator is dead")

func (m *mortal) call(f func()) error {
	left := m.left.Add(-1)
	if left < 0 {
		return errDead
	}
	f()
	if left == 0 {
		m.die()
		return errDead
	}
	return nil
}

func (m *mortal) Write(ctx context.Context, r *regionnode.WriteRequest) (resp *regionnode.WriteResponse, err error) {
	if dead := m.call(func() { resp, err = m.Region.Write(ctx, r) }); dead != nil {
		return nil, dead
	}
	return resp, err
}

func (m *mortal) Get(ctx context.Context, r *regionnode.GetRequest) (resp *regionnode.GetResponse, err error) {
	if dead := m.call(func() { resp, err = m.Region.Get(ctx, r) }); dead != nil {
		return nil, dead
	}
	return resp, err
}

func (m *mortal) Prepare(ctx context.Context, r *regionnode.PrepareRequest) (resp *regionnode.PrepareResponse, err error) {
	if dead := m.call(func() { resp, err = m.Region.Prepare(ctx, r) }); dead != nil {
		return nil, dead
	}
	return resp, err
}

func (m *mortal) Settle(ctx context.Context, r *regionnode.SettleRequest) (resp *regionnode.SettleResponse, err error) {
	if dead := m.call(func() { resp, err = m.Region.Settle(ctx, r) }); dead != nil {
		return nil, dead
	}
	return resp, err
}

func (m *mortal) Finish(ctx context.Context, r *regionnode.FinishRequest) (resp *regionnode.FinishResponse, err error) {
	// Only the first key is reached by a coordinator that dies in the middle.
	part := *r
	if m.left.Load() == 1 {
		part.Keys = r.Keys[:1]
	}
	if dead := m.call(func() { resp, err = m.Region.Finish(ctx, &part) }); dead != nil {
		return nil, dead
	}
	return resp, err
}

// transact runs a write transaction on a coordinator that dies after some calls;
// 0 lets it live.
func (b *bench) transact(dies int64, r *regionnode.TransactWriteRequest) error {
	if dies == 0 {
		_, err := b.node.TransactWrite(b.t.Context(), r)
		return err
	}
	m := &mortal{Region: b.region}
	m.left.Store(dies)
	c := b.coordinator(m)
	var closing sync.WaitGroup
	m.die = func() { closing.Go(c.Close) }
	_, err := c.TransactWrite(b.t.Context(), r)
	closing.Wait()
	c.Close()
	return err
}

// refused tells an outcome that is known to be that nothing happened.
func refused(err error) bool {
	return apierr.Is(err, apierr.TransactionCanceled) || apierr.Is(err, apierr.TransactionConflict)
}

// settled waits until no transaction is under way, nor in the ledger.
func (b *bench) settled() {
	for len(b.node.stalled(1<<62)) > 0 {
		if err := b.healer.Heal(b.t.Context()); err != nil {
			b.t.Fatal(err)
		}
	}
	for b.rows() > 0 {
		if err := b.healer.Sweep(b.t.Context()); err != nil {
			b.t.Fatal(err)
		}
	}
}

// rows counts what the ledger holds. Nothing asks for the rows of transactions
// without a token, so they go.
func (b *bench) rows() (n int) {
	ctx := b.t.Context()
	d, err := b.region.DescribeTable(ctx, table.Ledger)
	if err != nil {
		b.t.Fatal(err)
	}
	parts, err := b.region.Partitions(ctx, d.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, p := range parts.Partitions {
		page, err := b.region.Range(ctx, &regionnode.RangeRequest{
			Target: regionnode.Target{Table: d.ID, Partition: p.ID, Range: p.Epoch.Range}, Consistent: true, CountOnly: true,
		})
		if err != nil {
			b.t.Fatal(err)
		}
		n += page.Count
	}
	return n
}

func number(t *testing.T, image item.Encoded, name string) int64 {
	t.Helper()
	v, ok, err := image.Get(name)
	if err != nil || !ok {
		t.Fatalf("no %s: %v", name, err)
	}
	n, _ := v.Number().Int64()
	return n
}

// TestBank moves money between accounts while coordinators die: whoever reads
// all accounts finds the same sum, and none of the transfers that succeeded is
// lost.
func TestBank(t *testing.T) {
	b := newBench(t)
	const each = 100
	var ids []string
	for i := range 8 {
		ids = append(ids, fmt.Sprint("account", i))
		w := b.update(ids[i], "SET b = :v", "", item.Num(item.NumberFromInt64(each)))
		if _, err := b.region.Write(t.Context(), &regionnode.WriteRequest{Target: regionnode.Target{Table: w.Table}, Write: w.Write}); err != nil {
			t.Fatal(err)
		}
	}
	sum := func(resp *regionnode.TransactGetResponse) (n int64) {
		for i := range resp.Items {
			n += number(t, resp.Items[i].Item, "b")
		}
		return n
	}
	var moved, looked, died atomic.Int64
	var work, watch sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		watch.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				resp, err := b.region.TransactGet(t.Context(), b.reads(ids))
				if refused(err) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n := sum(resp); n != each*int64(len(ids)) {
					t.Errorf("the accounts sum up to %d", n)
					return
				}
				looked.Add(1)
			}
		})
	}
	for i := range 4 {
		work.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			for left := 50; left > 0 && !t.Failed(); {
				order := random.Perm(len(ids))
				amount := item.Num(item.NumberFromInt64(int64(random.IntN(20))))
				r := &regionnode.TransactWriteRequest{Writes: []regionnode.TableWrite{
					b.update(ids[order[0]], "SET b = b - :v", "b >= :v", amount),
					b.update(ids[order[1]], "SET b = b + :v", "", amount),
				}}
				var dies int64
				if random.IntN(4) == 0 {
					dies = int64(1 + random.IntN(6))
				}
				switch err := b.transact(dies, r); {
				case err == nil:
					moved.Add(1)
					left--
				case dies > 0:
					died.Add(1)
					left--
				case !refused(err):
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	close(done)
	watch.Wait()
	b.settled()
	resp, err := b.region.TransactGet(t.Context(), b.reads(ids))
	if err != nil {
		t.Fatal(err)
	}
	if n := sum(resp); n != each*int64(len(ids)) {
		t.Errorf("the accounts sum up to %d in the end", n)
	}
	t.Logf("%d transfers succeeded, %d coordinators died, %d looks at all accounts", moved.Load(), died.Load(), looked.Load())
	if moved.Load() == 0 || died.Load() == 0 || looked.Load() == 0 {
		t.Error("not all of that happened")
	}
}

// listOp is one operation on the lists: a read of them, or an append of one
// value to some.
type listOp struct {
	read  bool
	lists []int
	value int
}

// lists is a state: the values of each list, in words, so that it compares.
const listCount = 3

// listModel is what the table is to its users: all lists change together, and
// grow towards what they are in the end.
func listModel(last [listCount]string) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return [listCount]string{} },
		Step: func(state, input, output any) (bool, any) {
			s, in := state.([listCount]string), input.(listOp)
			if in.read {
				return s == output.([listCount]string), s
			}
			for _, i := range in.lists {
				if s[i] += fmt.Sprint(in.value, " "); !strings.HasPrefix(last[i], s[i]) {
					return false, s
				}
			}
			return true, s
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprint(input, " → ", output) },
	}
}

// TestLists appends to lists and reads them while coordinators die and single
// writes come in between: there is one order of all of it, in which what was over
// came before what began later.
func TestLists(t *testing.T) {
	b := newBench(t)
	ids := []string{"list0", "list1", "list2"}
	appendTo := func(i, value int) regionnode.TableWrite {
		return b.update(ids[i], "SET l = list_append(if_not_exists(l, :none), :v)", "", item.List([]item.Value{item.Num(item.NumberFromInt64(int64(value)))}))
	}
	var mu sync.Mutex
	var history, unknown []porcupine.Operation
	var next atomic.Int64
	start := time.Now()
	record := func(client int, in listOp, call int64, out any, known bool) {
		mu.Lock()
		defer mu.Unlock()
		op := porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: time.Since(start).Nanoseconds()}
		if known {
			history = append(history, op)
		} else {
			unknown = append(unknown, op)
		}
	}
	read := func(client int) {
		call := time.Since(start).Nanoseconds()
		resp, err := b.region.TransactGet(t.Context(), b.reads(ids))
		if err != nil {
			if !refused(err) {
				t.Error(err)
			}
			return
		}
		var out [listCount]string
		for i := range resp.Items {
			out[i] = b.values(resp.Items[i].Item)
		}
		record(client, listOp{read: true}, call, out, true)
	}
	var work sync.WaitGroup
	for i := range 4 {
		work.Go(func() {
			random := rand.New(rand.NewPCG(2, uint64(i)))
			for n := 0; n < 60 && !t.Failed(); {
				if random.IntN(2) == 0 {
					read(i)
					continue
				}
				in := listOp{lists: random.Perm(listCount)[:1+random.IntN(listCount)], value: int(next.Add(1))}
				call := time.Since(start).Nanoseconds()
				var err error
				var dies int64
				if len(in.lists) == 1 && random.IntN(2) == 0 {
					w := appendTo(in.lists[0], in.value)
					_, err = b.region.Write(t.Context(), &regionnode.WriteRequest{Target: regionnode.Target{Table: w.Table}, Write: w.Write})
				} else {
					if random.IntN(4) == 0 {
						// Behind the prepares, the decision or a part of the commits; what
						// one partition does in one step has none of these.
						dies = int64(3 + random.IntN(3))
						in.lists = random.Perm(listCount)
					}
					r := &regionnode.TransactWriteRequest{}
					for _, l := range in.lists {
						r.Writes = append(r.Writes, appendTo(l, in.value))
					}
					err = b.transact(dies, r)
				}
				if refused(err) {
					continue
				}
				if err != nil && dies == 0 {
					t.Error(err)
				}
				record(i, in, call, nil, err == nil)
				n++
			}
		})
	}
	work.Wait()
	b.settled()
	end := time.Since(start).Nanoseconds()
	read(9)
	// What became of those whose coordinator died shows in the end.
	last, happened := history[len(history)-1].Output.([listCount]string), 0
	for _, op := range unknown {
		in := op.Input.(listOp)
		for _, l := range in.lists {
			if slices.Contains(strings.Fields(last[l]), fmt.Sprint(in.value)) {
				op.Return = end
				history = append(history, op)
				happened++
				break
			}
		}
	}
	if got, _ := porcupine.CheckOperationsVerbose(listModel(last), history, time.Minute); got != porcupine.Ok {
		t.Errorf("%d operations have no serial order: %v", len(history), got)
	}
	t.Logf("%d operations, of %d that got no answer %d happened", len(history), len(unknown), happened)
	if happened == 0 || happened == len(unknown) {
		t.Error("coordinators did not die before and behind the decision")
	}
}

// values prints a list's values as the model does.
func (b *bench) values(image item.Encoded) string {
	if image == nil {
		return ""
	}
	v, _, err := image.Get("l")
	if err != nil {
		b.t.Error(err)
	}
	var out strings.Builder
	for _, e := range v.Elems() {
		fmt.Fprint(&out, e.Number(), " ")
	}
	return out.String()
}
