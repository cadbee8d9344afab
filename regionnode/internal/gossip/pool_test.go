package gossip

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t testing.TB, cfg Config) *Pool {
	t.Helper()
	cfg.Local = true
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	p, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p
}

// awaitMembers reads p's events until its members satisfy want.
func awaitMembers(t *testing.T, p *Pool, want func([]Member) bool) {
	t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for !want(p.Members()) {
		select {
		case <-p.Events():
		case <-limit.C:
			t.Fatalf("members are %+v", p.Members())
		}
	}
}

func status(name string, s Status) func([]Member) bool {
	return func(ms []Member) bool {
		return slices.ContainsFunc(ms, func(m Member) bool { return m.Name == name && m.Status == s })
	}
}

func alive(n int) func([]Member) bool {
	return func(ms []Member) bool {
		ms = slices.DeleteFunc(ms, func(m Member) bool { return m.Status != Alive })
		return len(ms) == n
	}
}

func TestThreeMeetAndOneDies(t *testing.T) {
	a := start(t, Config{Region: "eu-west-1", Name: "a", Node: 0xfeed00000001, Zone: "z1", RPCAddr: "127.0.0.1:7001"})
	b := start(t, Config{Region: "eu-west-1", Name: "b", Seeds: []string{a.LocalAddr()}})
	c := start(t, Config{Region: "eu-west-1", Name: "c", Seeds: []string{a.LocalAddr()}})
	for _, p := range []*Pool{a, b, c} {
		awaitMembers(t, p, alive(3))
	}
	got := b.Members()[0]
	want := Member{"a", 0xfeed00000001, "eu-west-1", "z1", "127.0.0.1:7001", a.LocalAddr(), 0, Alive}
	if got != want {
		t.Errorf("b sees %+v, want %+v", got, want)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	awaitMembers(t, a, status("c", Failed))
	awaitMembers(t, b, status("c", Failed))
}

func TestLeaveIsNoFailure(t *testing.T) {
	a := start(t, Config{Region: "eu-west-1", Name: "a"})
	b := start(t, Config{Region: "eu-west-1", Name: "b", Seeds: []string{a.LocalAddr()}})
	awaitMembers(t, a, alive(2))
	awaitMembers(t, b, alive(2))
	if err := b.Leave(context.Background()); err != nil {
		t.Fatal(err)
	}
	awaitMembers(t, a, status("b", Left))
}

func TestSeedThatComesLater(t *testing.T) {
	a := start(t, Config{Region: "eu-west-1", Name: "a"})
	addr := a.LocalAddr()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	b := start(t, Config{Region: "eu-west-1", Name: "b", Seeds: []string{addr}})
	start(t, Config{Region: "eu-west-1", Name: "a", Bind: addr})
	awaitMembers(t, b, alive(2))
}

func TestAnnounce(t *testing.T) {
	a := start(t, Config{Region: "eu-west-1", Name: "a"})
	b := start(t, Config{Region: "eu-west-1", Name: "b", Seeds: []string{a.LocalAddr()}})
	awaitMembers(t, b, alive(2))
	if err := a.Announce(77, "10.0.0.1:99"); err != nil {
		t.Fatal(err)
	}
	awaitMembers(t, b, func(ms []Member) bool {
		return slices.ContainsFunc(ms, func(m Member) bool { return m.Node == 77 && m.RPCAddr == "10.0.0.1:99" })
	})
}

func TestPoolsOfOthersAreRefused(t *testing.T) {
	key := slices.Repeat([]byte{7}, 32)
	a := start(t, Config{Region: "eu-west-1", Name: "a", Keyring: [][]byte{key}})
	for name, cfg := range map[string]Config{
		"region":  {Region: "us-east-1", Name: "b", Keyring: [][]byte{key}},
		"cluster": {Region: "eu-west-1", Name: "b", Cluster: "other", Keyring: [][]byte{key}},
		"scope":   {Region: "eu-west-1", Name: "b", Scope: WideScope, Keyring: [][]byte{key}},
		"key":     {Region: "eu-west-1", Name: "b", Keyring: [][]byte{slices.Repeat([]byte{8}, 32)}},
		"no key":  {Region: "eu-west-1", Name: "b"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := start(t, cfg).Join(a.LocalAddr()); err == nil {
				t.Error("joined")
			}
		})
	}
	if ms := a.Members(); len(ms) != 1 {
		t.Errorf("a knows %+v", ms)
	}
	// The same address answers a member with the right key and label.
	b := start(t, Config{Region: "eu-west-1", Name: "b", Keyring: [][]byte{slices.Repeat([]byte{8}, 32), key}})
	if err := b.Join(a.LocalAddr()); err == nil {
		t.Error("joined with a primary key that a does not have")
	}
	c := start(t, Config{Region: "eu-west-1", Name: "c", Keyring: [][]byte{key}})
	if err := c.Join(a.LocalAddr()); err != nil {
		t.Error(err)
	}
}

func TestWidePoolSpansRegions(t *testing.T) {
	a := start(t, Config{Scope: WideScope, Region: "eu-west-1", Name: "n1"})
	b := start(t, Config{Scope: WideScope, Region: "us-east-1", Name: "n1", Seeds: []string{a.LocalAddr()}})
	awaitMembers(t, a, alive(2))
	awaitMembers(t, b, alive(2))
	if ms := b.Members(); ms[0].Region != "eu-west-1" || ms[1].Region != "us-east-1" || ms[0].Name != ms[1].Name {
		t.Errorf("members are %+v", ms)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no name":   {Region: "r"},
		"no region": {Name: "n"},
		"dot":       {Region: "r.s", Name: "n"},
		"slash":     {Region: "r", Name: "n/m"},
		"bind":      {Region: "r", Name: "n", Bind: "nowhere"},
		"port":      {Region: "r", Name: "n", Bind: "127.0.0.1:port"},
		"key":       {Region: "r", Name: "n", Keyring: [][]byte{{1, 2, 3}}},
		"tags":      {Region: "r", Name: "n", Zone: string(make([]byte, 600))},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Start(cfg)
			if err == nil {
				p.Close()
				t.Error("started")
			}
		})
	}
}

// BenchmarkStart is the cost of a node that is alone, as on a laptop.
func BenchmarkStart(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		p, err := Start(Config{Region: "eu-west-1", Name: "a", Local: true})
		if err != nil {
			b.Fatal(err)
		}
		if err := p.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
