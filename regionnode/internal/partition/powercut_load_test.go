package partition_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"antipode/localstack/chaos/history"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/item"
	"antipode/replication"
	"antipode/replication/hlc"
)

// cutLoad is what clients of a cutWorld did and were told.
type cutLoad struct {
	*cutWorld
	registers *history.Registers
	writes    *history.Tally // of register values, by change record
	counters  *history.Tally
	transfers *history.Tally // by account

	mu   sync.Mutex // below cutWorld.mu
	step int        // names what is written once
	// open are transactions without an end, with what is decided about them.
	open map[regionnode.TransactionID]decision
	// sent are images of records of another region by version; newest, by key, is
	// what was acknowledged.
	sent   map[replication.Version]replication.Record
	newest map[string]replication.Version
}

type decision struct {
	commit bool
	keys   [][]byte
	ids    []string
}

func newCutLoad(w *cutWorld) *cutLoad {
	return &cutLoad{
		cutWorld: w, registers: history.New(),
		writes: history.NewTally(), counters: history.NewTally(), transfers: history.NewTally(),
		open: map[regionnode.TransactionID]decision{},
		sent: map[replication.Version]replication.Record{}, newest: map[string]replication.Version{},
	}
}

const (
	cutRegisters = 4
	cutCounters  = 2
	cutAccounts  = 3
	cutRemotes   = 3
)

// padding makes values long enough for logs and memtables to fill.
var padding = strings.Repeat("p", 300)

func (c *cutLoad) name(kind string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step++
	return fmt.Sprintf("%s-%d", kind, c.step)
}

// run has clients work until ctx ends.
func (c *cutLoad) run(ctx context.Context, seed uint64) *sync.WaitGroup {
	var clients sync.WaitGroup
	begin := func(n int, one func(context.Context, *rand.Rand, int)) {
		for range n {
			random := rand.New(rand.NewPCG(seed, uint64(c.random.IntN(1<<30))))
			id := int(random.Uint32())
			clients.Go(func() {
				for ctx.Err() == nil {
					one(ctx, random, id)
				}
			})
		}
	}
	c.cutWorld.mu.Lock()
	defer c.cutWorld.mu.Unlock()
	begin(4, c.register)
	begin(2, c.count)
	begin(2, c.transfer)
	begin(1, c.remote)
	begin(1, c.describe)
	return &clients
}

// outcome is what a client learned of a write.
func outcome(err error) history.Outcome {
	switch api := apierr.Of(err); {
	case err == nil:
		return history.Done
	case api == nil || api.Code == apierr.InternalServerError:
		return history.Unknown
	case api.Code == apierr.ConditionalCheckFailed:
		return history.Refused
	}
	return history.Undone
}

func (c *cutLoad) registerItem(k int, v string) item.Item {
	return indexedItem("register", fmt.Sprint(k), len(v)%5).Set("v", item.Str(v+padding))
}

// valueOf is v without its padding, "" when there is no item.
func valueOf(t testing.TB, e item.Encoded) string {
	if e == nil {
		return ""
	}
	v, _, err := e.Get("v")
	if err != nil {
		t.Error(err)
	}
	return strings.TrimSuffix(v.Text(), padding)
}

func (c *cutLoad) register(ctx context.Context, random *rand.Rand, id int) {
	k := random.IntN(cutRegisters)
	in := history.Input{Kind: history.Kind(random.IntN(3)), Key: fmt.Sprint(k)}
	if in.Kind == history.Get {
		c.read(ctx, random.IntN(3), id, k)
		return
	}
	in.New = c.name("v")
	if in.Kind == history.Swap {
		var ok bool
		if in.Old, ok = c.read(ctx, random.IntN(3), id, k); !ok {
			return
		}
	}
	it := c.registerItem(k, in.New)
	r := &regionnode.WriteRequest{Target: target, Write: regionnode.Write{Op: regionnode.PutOp, Key: keyFor(c.t, it), Item: it.Encode(), ReturnOnFailure: true}}
	switch {
	case in.Kind == history.Swap && in.Old == "":
		r.Write.Condition = parseCondition(c.t, "attribute_not_exists(pk)", nil)
	case in.Kind == history.Swap:
		r.Write.Condition = parseCondition(c.t, "v = :v", map[string]item.Value{":v": item.Str(in.Old + padding)})
	}
	c.writes.Begin(in.New)
	call := c.registers.Now()
	err := c.ask(ctx, random.IntN(3), func(ctx context.Context, _ *life, p *partition.Partition) error {
		_, err := p.Write(ctx, r)
		return err
	})
	out := history.Output{Outcome: outcome(err)}
	if out.Outcome == history.Refused {
		out.Found = valueOf(c.t, apierr.Of(err).Item)
	}
	c.registers.Add(id, call, in, out)
	c.writes.End(in.New, out.Outcome)
	if out.Outcome == history.Done {
		c.acked()
	}
}

// read reads a register strongly.
func (c *cutLoad) read(ctx context.Context, at, client, k int) (string, bool) {
	in := history.Input{Kind: history.Get, Key: fmt.Sprint(k)}
	var got *regionnode.GetResponse
	call := c.registers.Now()
	err := c.ask(ctx, at, func(ctx context.Context, _ *life, p *partition.Partition) (err error) {
		got, err = p.Get(ctx, &regionnode.GetRequest{Target: target, Key: keyFor(c.t, c.registerItem(k, "")), Consistent: true})
		return err
	})
	if err != nil {
		return "", false
	}
	v := valueOf(c.t, got.Item)
	c.registers.Add(client, call, in, history.Output{Found: v})
	return v, true
}

// adding is an update that adds to n and notes an id, so that doing it twice
// shows.
func (c *cutLoad) adding(pk string, k int, amount int64, id string) regionnode.Write {
	it := makeItem(pk, fmt.Sprint(k), "").Remove("v")
	return regionnode.Write{
		Op: regionnode.UpdateOp, Key: keyFor(c.t, it), Item: it.Encode(), Return: regionnode.ReturnAllNew,
		Update: parseUpdate(c.t, "SET n = if_not_exists(n, :zero) + :n, ids = list_append(if_not_exists(ids, :none), :id)", map[string]item.Value{
			":zero": item.Num(item.NumberFromInt64(0)), ":n": item.Num(item.NumberFromInt64(amount)),
			":none": item.List(nil), ":id": item.List([]item.Value{item.Str(id)}),
		}),
	}
}

func (c *cutLoad) count(ctx context.Context, random *rand.Rand, _ int) {
	id := c.name("c")
	r := &regionnode.WriteRequest{Target: target, Write: c.adding("counter", random.IntN(cutCounters), 1, id)}
	c.counters.Begin(id)
	err := c.ask(ctx, random.IntN(3), func(ctx context.Context, _ *life, p *partition.Partition) error {
		_, err := p.Write(ctx, r)
		return err
	})
	if c.counters.End(id, outcome(err)); err == nil {
		c.acked()
	}
}

// transfer moves an amount between two accounts in two phases; its coordinator
// stays alive.
func (c *cutLoad) transfer(ctx context.Context, random *rand.Rand, _ int) {
	a, id := random.IntN(cutAccounts), c.name("t")
	b, amount := (a+1+random.IntN(cutAccounts-1))%cutAccounts, 1+random.Int64N(9)
	prepare := &regionnode.PrepareRequest{
		Target: target, ID: regionnode.TransactionID{Row: id}, Until: c.phys.Load() + int64(time.Second),
		Writes: []regionnode.Write{c.adding("account", a, -amount, id), c.adding("account", b, amount, id)},
	}
	d := decision{keys: [][]byte{prepare.Writes[0].Key, prepare.Writes[1].Key}, ids: []string{fmt.Sprintf("%s@%d", id, a), fmt.Sprintf("%s@%d", id, b)}}
	var resp *regionnode.PrepareResponse
	err := c.ask(ctx, random.IntN(3), func(ctx context.Context, l *life, p *partition.Partition) (err error) {
		if prepare.ID.Time == (hlc.Timestamp{}) {
			prepare.ID.Time = l.clock.Now()
			c.decide(prepare.ID, d)
		}
		resp, err = p.Prepare(ctx, prepare)
		return err
	})
	if d.commit = err == nil; d.commit {
		for _, v := range resp.Votes {
			d.commit = d.commit && v.Marked && !v.Late && v.Refusal.Code == ""
		}
	}
	c.decide(prepare.ID, d)
	if err == nil && c.finish(ctx, random.IntN(3), prepare.ID, d) && d.commit {
		c.acked()
	}
}

func (c *cutLoad) decide(id regionnode.TransactionID, d decision) {
	if id.Time == (hlc.Timestamp{}) {
		return // nobody was asked
	}
	o := history.Undone
	if d.commit {
		o = history.Done
	}
	for _, id := range d.ids {
		c.transfers.End(id, o)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[id] = d
}

func (c *cutLoad) finish(ctx context.Context, at int, id regionnode.TransactionID, d decision) bool {
	err := c.ask(ctx, at, func(ctx context.Context, _ *life, p *partition.Partition) error {
		_, err := p.Finish(ctx, &regionnode.FinishRequest{Target: target, ID: id, Commit: d.commit, Keys: d.keys})
		return err
	})
	if err != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, id)
	return true
}

// describe changes the settings under the writes' feet: what was evaluated before
// is dropped, and evaluated anew.
func (c *cutLoad) describe(ctx context.Context, random *rand.Rand, _ int) {
	c.pause(random.IntN(20))
	d := indexedDescriptor()
	c.mu.Lock()
	c.step++
	d.Generation = uint64(c.step)
	c.mu.Unlock()
	_ = c.ask(ctx, random.IntN(3), func(ctx context.Context, _ *life, p *partition.Partition) error { return p.SetDescriptor(ctx, d) })
}

// remote brings a record of another region, now and then one that was brought
// before or whose clock is too far ahead.
func (c *cutLoad) remote(ctx context.Context, random *rand.Rand, _ int) {
	it := indexedItem("remote", fmt.Sprint(random.IntN(cutRemotes)), random.IntN(3)).Set("v", item.Str(c.name("r")+padding))
	rec := replication.Record{
		Key: keyFor(c.t, it), New: it.Encode(),
		Version: replication.Version{Region: "eu-west-1", Time: hlc.Timestamp{Wall: c.phys.Load()}},
	}
	c.mu.Lock()
	rec.Version.Time.Logical = uint32(c.step)
	if random.IntN(10) == 0 {
		rec.Version.Time.Wall += int64(800 * time.Millisecond)
	}
	c.sent[rec.Version] = rec
	recs := []replication.Record{rec}
	if random.IntN(4) == 0 {
		for _, old := range c.sent { // any
			recs = append(recs, old)
			break
		}
	}
	c.mu.Unlock()
	err := c.ask(ctx, random.IntN(3), func(ctx context.Context, _ *life, p *partition.Partition) error { return p.ApplyRemote(ctx, recs) })
	if err != nil {
		return
	}
	c.acked()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range recs {
		if key := string(recs[i].Key); c.newest[key].Compare(recs[i].Version) < 0 {
			c.newest[key] = recs[i].Version
		}
	}
}
