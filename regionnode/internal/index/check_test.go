package index_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"antipode/regionnode"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/hlc"
)

var (
	seeds     = flag.Int("seeds", 30, "how many random lives of indexes TestIndexEqualsTable checks")
	firstSeed = flag.Uint64("first-seed", 1, "the first of them")
)

const (
	baseID   = table.ID(7)
	bornID   = table.ID(8) // an index that comes with the table
	addedID  = table.ID(9) // one that is added to it
	keyCount = 40
)

// TestIndexEqualsTable leads tables and their indexes through random writes,
// crashes, lost and repeated batches and new leaders, adds an index meanwhile,
// and compares every index with its table once all is quiet.
func TestIndexEqualsTable(t *testing.T) {
	for i := range *seeds {
		seed := *firstSeed + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) { newLife(t, seed).run() })
	}
}

// life is one random history.
type life struct {
	*world
	t    *testing.T
	rng  *rand.Rand
	base *table.Descriptor
	log  partition.LogConfig
	// born tells whether the table has an index from the beginning.
	born       bool
	partitions int
	members    int

	clock *hlc.Clock // of another region
}

func newLife(t *testing.T, seed uint64) *life {
	rng := rand.New(rand.NewPCG(seed, 3))
	l := &life{t: t, rng: rng, born: rng.IntN(4) > 0, partitions: 1 + rng.IntN(3), members: 1 + 2*rng.IntN(2)}
	l.world = newWorld(t, seed, 3)
	var err error
	if l.clock, err = hlc.New(hlc.Config{}); err != nil {
		t.Fatal(err)
	}
	l.base = &table.Descriptor{
		ID: baseID, Name: "T", Generation: 1, BillingMode: "PAY_PER_REQUEST",
		Attributes: []table.Attribute{{Name: "pk", Type: "S"}, {Name: "sk", Type: "N"}, {Name: "a", Type: "S"}, {Name: "b", Type: "N"}},
		Key:        table.KeySchema{Hash: []string{"pk"}, Range: []string{"sk"}},
	}
	l.log.Tombstones = rng.IntN(2) == 0
	if l.born {
		l.base.Globals = []table.Index{l.index(bornID, false)}
		l.log.On = true
	}
	return l
}

// index is a random index.
func (l *life) index(id table.ID, filling bool) table.Index {
	x := table.Index{Name: fmt.Sprint("x", id), Table: id, Status: table.Creating, Backfilling: filling}
	x.Key = [...]table.KeySchema{
		{Hash: []string{"a"}},
		{Hash: []string{"a"}, Range: []string{"b"}},
		{Hash: []string{"a", "b"}},
		{Hash: []string{"b"}, Range: []string{"a", "sk"}},
	}[l.rng.IntN(4)]
	x.Projection = [...]table.Projection{
		{Type: "ALL"}, {Type: "KEYS_ONLY"}, {Type: "INCLUDE", NonKey: []string{"v"}},
	}[l.rng.IntN(3)]
	return x
}

func (l *life) run() {
	l.create(l.base, baseID, l.partitions, l.members, l.log)
	if l.born {
		l.create(l.base, bornID, 1+l.rng.IntN(3), l.members, partition.LogConfig{})
	}
	l.setFaults(l.rng.IntN(20))
	l.phase(1 + l.rng.IntN(4))
	added := l.rng.IntN(4) > 0
	if added {
		l.add()
	}
	l.phase(1 + l.rng.IntN(6))
	if added {
		l.finish()
		l.phase(l.rng.IntN(3))
	}
	if added && l.rng.IntN(5) == 0 {
		added = false
		l.remove(addedID)
		l.phase(1)
	}
	l.setFaults(0)
	l.quiet()
	l.compare(added)
	l.repeat()
	l.compare(added)
	l.t.Logf("%d splits", l.splits)
}

func (l *life) setFaults(percent int) {
	l.mu.Lock()
	l.world.faults = percent
	l.mu.Unlock()
}

// phase writes and breaks things for a while.
func (l *life) phase(events int) {
	for range events {
		var ended sync.WaitGroup
		for range 3 {
			rng := rand.New(rand.NewPCG(l.rng.Uint64(), 4))
			ended.Go(func() {
				for range 10 + rng.IntN(60) {
					l.write(rng)
				}
			})
		}
		if l.rng.IntN(2) == 0 {
			ended.Go(l.splitting())
		}
		victim := table.NodeID(1 + l.rng.IntN(len(l.nodes)))
		switch l.rng.IntN(4) {
		case 0:
			l.crash(victim, l.rng.IntN(101))
		case 1:
			l.restartFollowers(victim)
		}
		ended.Wait()
	}
}

// write does one random write; its outcome does not matter.
func (l *life) write(rng *rand.Rand) {
	it := randomItem(rng)
	key, err := l.base.Key.Key(nil, it)
	if err != nil {
		l.t.Error(err)
		return
	}
	m, _ := l.world.partitions(context.Background(), baseID)
	p := owner(m, key)
	kind := rng.IntN(10)
	for _, h := range p.Replicas {
		err := l.at(h.Node, p.ID, func(ctx context.Context, replica *partition.Partition) error {
			return l.writeTo(ctx, replica, p, kind, key, it)
		})
		var notLeader *regionnode.NotLeader
		if !errors.As(err, &notLeader) {
			return
		}
	}
}

func (l *life) writeTo(ctx context.Context, p *partition.Partition, row *regionnode.Partition, kind int, key []byte, it item.Item) error {
	target := regionnode.Target{Table: baseID, Partition: p.ID(), Range: row.Epoch.Range}
	w := regionnode.Write{Op: regionnode.PutOp, Key: key, Item: it.Encode()}
	switch kind {
	case 0, 1, 2:
		w = regionnode.Write{Op: regionnode.DeleteOp, Key: key}
	case 3:
		if !l.log.Tombstones {
			break
		}
		r := replication.Record{Key: key, Version: replication.Version{Time: l.clock.Now(), Region: "eu-west-1"}, New: it.Encode()}
		if key[len(key)-1]%2 == 0 {
			r.New, r.Delete = nil, true
		}
		return p.ApplyRemote(ctx, []replication.Record{r})
	}
	_, err := p.Write(ctx, &regionnode.WriteRequest{Target: target, Write: w})
	return err
}

// randomItem is one of few items, so that they meet often. Some are in no index.
func randomItem(rng *rand.Rand) item.Item {
	n := rng.IntN(keyCount)
	fields := []item.Field{
		{Name: "pk", Value: item.Str(fmt.Sprint("p", n/4))},
		{Name: "sk", Value: item.Num(item.NumberFromInt64(int64(n % 4)))},
		{Name: "v", Value: item.Num(item.NumberFromInt64(rng.Int64N(3)))},
		{Name: "w", Value: item.Num(item.NumberFromInt64(rng.Int64N(3)))},
	}
	switch rng.IntN(8) {
	case 0:
	case 1:
		fields = append(fields, item.Field{Name: "a", Value: item.Null()}) // no key: as an old item may have it
	default:
		fields = append(fields, item.Field{Name: "a", Value: item.Str(fmt.Sprint("a", rng.IntN(4)))})
	}
	if rng.IntN(6) > 0 {
		fields = append(fields, item.Field{Name: "b", Value: item.Num(item.NumberFromInt64(rng.Int64N(3)))})
	}
	return item.Make(fields)
}

// add adds an index as a controller does: its partitions first.
func (l *life) add() {
	d := *l.base
	d.Generation++
	d.Globals = append(append([]table.Index(nil), d.Globals...), l.index(addedID, true))
	l.base = &d
	l.create(&d, addedID, 1+l.rng.IntN(3), l.members, partition.LogConfig{})
	l.log.On = true
	l.push()
}

func (l *life) push() {
	l.describe(baseID, l.base, l.log)
	for i := range l.base.Globals {
		l.describe(l.base.Globals[i].Table, l.base, partition.LogConfig{})
	}
}

// finish waits until the added index has all items, and makes it complete.
func (l *life) finish() {
	l.setFaults(l.rng.IntN(5))
	l.each(baseID, func(_ context.Context, p *partition.Partition) error {
		if !p.Status().Leading {
			return errNetwork
		}
		_, all, err := p.IndexFilled(addedID)
		if err == nil && !all {
			err = errors.New("not filled yet")
		}
		return err
	})
	d := *l.base
	d.Generation++
	d.Globals = append([]table.Index(nil), d.Globals...)
	for i := range d.Globals {
		d.Globals[i].Backfilling, d.Globals[i].Status = false, table.Active
	}
	l.base = &d
	l.push()
	l.each(addedID, func(ctx context.Context, p *partition.Partition) error { return p.ForgetTombstones(ctx) })
}

func (l *life) remove(id table.ID) {
	d := *l.base
	d.Generation++
	d.Globals = nil
	for _, x := range l.base.Globals {
		if x.Table != id {
			d.Globals = append(d.Globals, x)
		}
	}
	l.base = &d
	l.log.On = len(d.Globals) > 0
	l.push()
}

// quiet waits until every index has everything.
func (l *life) quiet() {
	l.eventually("every partition has a leader", func() bool {
		ok := l.settled(baseID)
		for i := range l.base.Globals {
			ok = ok && l.settled(l.base.Globals[i].Table)
		}
		return ok
	})
	if len(l.base.Globals) == 0 {
		return
	}
	l.eventually("every follower is at the log's end", func() bool {
		m, _ := l.world.partitions(context.Background(), baseID)
		followers := 0
		for i := range l.nodes {
			followers += len(l.nodes[i].Load().group.Stats())
		}
		return followers == len(m.Partitions)*len(l.base.Globals) && !l.lagging()
	})
}

// repeat delivers every late batch once more.
func (l *life) repeat() {
	l.mu.Lock()
	late := l.late
	l.mu.Unlock()
	for _, b := range late {
		n := l.node(b.to)
		_ = n.deliver(context.Background(), b.to, b.b) // whatever comes of it
	}
}

// compare holds every index against the projection of the table.
func (l *life) compare(added bool) {
	l.t.Helper()
	items := l.read(baseID)
	var size int64
	for _, image := range items {
		size += int64(image.Size())
	}
	l.counted("the table", baseID, int64(len(items)), size)
	for i := range l.base.Globals {
		x := &l.base.Globals[i]
		if x.Table == addedID && !added {
			continue
		}
		entries, want := l.base.Entries(x), map[string]item.Encoded{}
		var bytesWanted int64
		for _, image := range items {
			e, ok, err := entries.Of(image)
			if err != nil {
				l.t.Fatal(err)
			}
			if ok {
				want[string(e.Key)] = e.Image
				bytesWanted += int64(e.Image.Size())
			}
		}
		got := l.read(x.Table)
		for _, image := range got {
			key, err := l.base.IndexKey(x).KeyOf(nil, image)
			if err != nil {
				l.t.Fatal(err)
			}
			if !bytes.Equal(want[string(key)], image) {
				l.t.Errorf("index %+v holds %x, the table %x", x, image, want[string(key)])
			}
			delete(want, string(key))
		}
		for key := range want {
			l.t.Errorf("index %+v lacks %x", x, key)
		}
		l.counted("index "+x.Name, x.Table, int64(len(got)), bytesWanted)
	}
}

// counted holds the counters of a table's partitions, or an index's, against what
// it has.
func (l *life) counted(what string, id table.ID, items, size int64) {
	l.t.Helper()
	var sum partition.Count
	l.each(id, func(_ context.Context, p *partition.Partition) error {
		s := p.Status()
		if !s.Leading {
			return errNetwork
		}
		sum.Items += s.Items
		sum.Bytes += s.Bytes
		return nil
	})
	if sum.Items != items || sum.Bytes != size {
		l.t.Errorf("%s counts %+v, and has %d items of %d bytes", what, sum, items, size)
	}
}

// read lists everything of a table or an index.
func (l *life) read(id table.ID) []item.Encoded {
	l.t.Helper()
	var out []item.Encoded
	l.each(id, func(ctx context.Context, p *partition.Partition) error {
		target := regionnode.Target{Table: id, Partition: p.ID(), Range: p.Spec().Epoch.Range}
		resp, err := p.Range(ctx, &regionnode.RangeRequest{Target: target, Consistent: true})
		if err == nil {
			out = append(out, resp.Items...)
		}
		return err
	})
	return out
}
