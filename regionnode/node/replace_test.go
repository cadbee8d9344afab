package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode"
	"antipode/regionnode/client"
	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// band is a region of nodes in this process, the first three of which start it.
type band struct {
	t      *testing.T
	gossip []string
	disks  []vfs.FS
	nodes  []*Node // nil where one is down
	client *client.Client
	d      *table.Descriptor

	mu    sync.Mutex
	acked map[string]string // by key, the newest
	fails []string
}

func newBand(t *testing.T, nodes int) *band {
	t.Helper()
	b := &band{t: t, gossip: gossipAddrs(t, nodes), nodes: make([]*Node, nodes), acked: map[string]string{}}
	var started sync.WaitGroup
	errs := make([]error, nodes)
	for i := range nodes {
		b.disks = append(b.disks, vfs.NewMem())
		started.Go(func() { b.nodes[i], errs[i] = Start(t.Context(), b.config(i)) })
	}
	started.Wait()
	t.Cleanup(func() {
		if b.client != nil {
			_ = b.client.Close()
		}
		for i := range b.nodes {
			b.stop(i)
		}
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	b.connect()
	return b
}

func (b *band) config(i int) Config {
	return Config{
		Region: "us-east-1", Name: fmt.Sprintf("n%d", i), Zone: fmt.Sprintf("z%d", i%3), Dir: "db", FS: b.disks[i],
		Gossip: b.gossip[i], Join: b.gossip, Replication: 3, Partitions: 3, ReplaceAfter: time.Second,
		BootstrapExpect: map[bool]int{true: 3}[i < 3],
		Log:             slog.New(slog.NewTextHandler(b.t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})).With("node", i),
	}
}

func (b *band) connect() {
	b.t.Helper()
	var seeds []string
	for _, n := range b.nodes {
		seeds = append(seeds, n.rpcAddr)
	}
	var err error
	if b.client, err = client.New(client.Config{Cluster: "antipode", Region: "us-east-1", Seeds: seeds, Silence: client.ReplicatedSilence}); err != nil {
		b.t.Fatal(err)
	}
	b.until("the table is made", func() error {
		b.d, err = b.client.CreateTable(b.t.Context(), &regionnode.CreateTableRequest{Descriptor: table.Descriptor{
			Name: "t", Attributes: []table.Attribute{{Name: "pk", Type: "S"}}, Key: table.KeySchema{Hash: []string{"pk"}}, BillingMode: "PAY_PER_REQUEST",
		}})
		return err
	})
	b.until("the table is active", func() error {
		b.d, err = b.client.DescribeTable(b.t.Context(), "t")
		if err == nil && b.d.Status != table.Active {
			err = errors.New(string(b.d.Status))
		}
		return err
	})
}

func (b *band) stop(i int) {
	if b.nodes[i] != nil {
		if err := b.nodes[i].Close(); err != nil {
			b.t.Error(err)
		}
		b.nodes[i] = nil
	}
}

func (b *band) start(i int) error {
	var err error
	b.nodes[i], err = Start(b.t.Context(), b.config(i))
	return err
}

// until waits for f to be without an error.
func (b *band) until(what string, f func() error) {
	b.t.Helper()
	deadline := time.Now().Add(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for err := f(); err != nil; err = f() {
		if time.Now().After(deadline) {
			b.t.Fatalf("it never came to: %s: %v", what, err)
		}
		<-tick.C
	}
}

// load writes without pause until its end is called, which reads back what was
// acknowledged and reports failed requests.
func (b *band) load() (end func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				key, value := fmt.Sprintf("k%d-%d", w, n%50), fmt.Sprint(n)
				err := b.put(key, value)
				b.mu.Lock()
				if err == nil {
					b.acked[key] = value
				} else {
					b.fails = append(b.fails, err.Error())
				}
				b.mu.Unlock()
			}
		})
	}
	return func() {
		b.t.Helper()
		cancel()
		writers.Wait()
		b.read()
	}
}

func (b *band) key(pk string) (item.Item, []byte) {
	it := item.Make([]item.Field{{Name: "pk", Value: item.Str(pk)}})
	key, err := table.KeySchema{Hash: []string{"pk"}}.Key(nil, it)
	if err != nil {
		panic(err)
	}
	return it, key
}

func (b *band) put(pk, value string) error {
	it, key := b.key(pk)
	_, err := b.client.Write(context.WithoutCancel(b.t.Context()), &regionnode.WriteRequest{
		Target: regionnode.Target{Table: b.d.ID},
		Write:  regionnode.Write{Op: regionnode.PutOp, Key: key, Item: it.Set("v", item.Str(value)).Encode()},
	})
	return err
}

// read compares everything that was acknowledged with what is there.
func (b *band) read() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for pk, want := range b.acked {
		_, key := b.key(pk)
		got, err := b.client.Get(b.t.Context(), &regionnode.GetRequest{Target: regionnode.Target{Table: b.d.ID}, Key: key, Consistent: true})
		if err != nil {
			b.t.Fatalf("read %s: %v", pk, err)
		}
		v, _, _ := got.Item.Get("v")
		// A write of unknown outcome may have come behind the acknowledged one.
		if v.Text() != want && len(b.fails) == 0 {
			b.t.Fatalf("%s is %q, acknowledged was %q", pk, v.Text(), want)
		}
	}
	if len(b.acked) == 0 {
		b.t.Fatal("nothing was acknowledged")
	}
}

// row finds a partition in the catalog, over all tables.
func (b *band) place() ([]catalog.Partition, error) {
	for _, n := range b.nodes {
		if n == nil {
			continue
		}
		if p, err := n.catalog.Placement(b.t.Context()); err == nil {
			return p.Partitions, nil
		}
	}
	return nil, errors.New("nobody leads the catalog")
}

// rest tells whether all partitions, that of the catalog among them, have three
// members on nodes other than these, which have them and nothing else.
func (b *band) rest(without ...int) error {
	rows, err := b.place()
	if err != nil {
		return err
	}
	if len(rows) != 4 {
		return fmt.Errorf("%d partitions", len(rows))
	}
	wanted := map[table.NodeID]int{}
	for _, row := range rows {
		if row.Move != nil || len(row.Replicas) != 3 {
			return fmt.Errorf("partition %d: %x, %+v", row.ID, row.Replicas, row.Move)
		}
		for _, id := range row.Replicas {
			wanted[id]++
		}
	}
	for i, n := range b.nodes {
		if n == nil {
			continue
		}
		held := n.partitions.Partitions()
		if slices.Contains(without, i) && wanted[n.id] > 0 || len(held) != wanted[n.id] {
			return fmt.Errorf("node %d holds %d, and shall hold %d", i, len(held), wanted[n.id])
		}
		delete(wanted, n.id)
		for _, p := range held {
			if s := p.Status(); s.Waiting || s.Leader == 0 {
				return fmt.Errorf("partition %d on node %d: %+v", s.ID, i, s)
			}
		}
	}
	if len(wanted) > 0 {
		return fmt.Errorf("on nodes that are away: %v", wanted)
	}
	return nil
}

// failed is the requests that failed since the last call.
func (b *band) failed() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.fails
	b.fails = nil
	return out
}

// TestANodeThatIsGoneIsReplaced ends one of four nodes for good, under load: its
// replicas, the catalog's among them, come back to three on the others, and no
// acknowledged write is lost. Then it returns with its disk, and holds nothing;
// and with an empty one, which is not let in under its name while it would
// matter.
func TestANodeThatIsGoneIsReplaced(t *testing.T) {
	b := newBand(t, 4)
	end := b.load()
	b.stop(1)
	b.until("everything is on the other three", func() error { return b.rest(1) })
	end()
	if err := b.start(1); err != nil {
		t.Fatal(err)
	}
	b.until("the node has come back as an empty one", func() error { return b.rest() })
	b.stop(2)
	b.until("the node that came back holds what another held", func() error { return b.rest(2) })
	b.read()
	if n, err := Start(t.Context(), func() Config {
		b.disks[3] = vfs.NewMem()
		b.stop(3)
		return b.config(3)
	}()); err == nil {
		_ = n.Close()
		t.Fatal("a wiped disk came back under its old name")
	} else if !strings.Contains(err.Error(), "this disk is empty") {
		t.Fatal(err)
	}
}

// TestANodeIsDrained drains every node in turn, the catalog's leader among them,
// under load: no request fails. A drained node is removed, and not let in again.
func TestANodeIsDrained(t *testing.T) {
	b := newBand(t, 4)
	end := b.load()
	for i := range b.nodes {
		if err := b.nodes[0].nodeAction(t.Context(), fmt.Sprintf("n%d", i), "drain"); err != nil {
			t.Fatal(err)
		}
		b.until(fmt.Sprintf("node %d is drained", i), func() error { return b.rest(i) })
		if i == 3 {
			break
		}
		if err := b.nodes[0].nodeAction(t.Context(), fmt.Sprintf("n%d", i), "undrain"); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.nodes[0].nodeAction(t.Context(), "n3", "remove"); err != nil {
		t.Fatal(err)
	}
	b.stop(3)
	end()
	if fails := b.failed(); len(fails) > 0 {
		t.Fatalf("%d requests failed: %s", len(fails), fails[0])
	}
	if err := b.start(3); err == nil || !strings.Contains(err.Error(), "was removed from the region") {
		t.Fatalf("a removed node came back: %v", err)
	}
}

// TestANodeComesToTheAddressOfAnother ends one of four nodes for good, and has a
// new one with an empty disk come to its addresses before anybody has missed it.
// The old one is gone for everybody all the same: the region takes it out, and
// what is meant for it, such as the end of its replicas, does not reach the new
// one, which holds its part in the end.
func TestANodeComesToTheAddressOfAnother(t *testing.T) {
	b := newBand(t, 4)
	end := b.load()
	b.until("the region is at rest", func() error { return b.rest() })
	listen := b.nodes[2].rpcAddr
	b.stop(2)
	b.disks[2] = vfs.NewMem()
	config := b.config(2)
	config.Name, config.Listen, config.BootstrapExpect = "another", listen, 0
	var err error
	if b.nodes[2], err = Start(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	b.until("the old node is taken out", func() error {
		if err := b.nodes[0].nodeAction(t.Context(), "n2", "remove"); err != nil {
			return err
		}
		members, err := b.nodes[0].Members(t.Context())
		if err == nil && slices.ContainsFunc(members.Nodes, func(m RegionMember) bool { return m.Name == "n2" }) {
			err = errors.New("it is still a member")
		}
		return err
	})
	b.until("everything has three replicas", func() error { return b.rest() })
	end()
	for _, i := range []int{0, 1, 3} {
		if err := b.nodes[0].nodeAction(t.Context(), b.nodes[i].config.Name, "drain"); err != nil {
			t.Fatal(err)
		}
		b.until("a node is drained", func() error { return b.rest(i) })
		if err := b.nodes[0].nodeAction(t.Context(), b.nodes[i].config.Name, "undrain"); err != nil {
			t.Fatal(err)
		}
		b.read()
	}
}
