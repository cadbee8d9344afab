package partition_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"antipode/regionnode"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/table"
)

// TestMembers runs testdata/members: a partition on some of several nodes, and
// what happens to its membership.
func TestMembers(t *testing.T) {
	datadriven.Walk(t, "testdata/members", func(t *testing.T, path string) {
		s := &membersScript{t: t}
		datadriven.RunTest(t, path, s.run)
	})
}

type membersScript struct {
	t *testing.T
	c *cluster
	n int64 // writes so far
}

func (s *membersScript) run(t *testing.T, d *datadriven.TestData) string {
	s.t = t
	commands := map[string]func(*datadriven.TestData) string{
		"nodes": s.nodes, "put": s.put, "learner": s.learner, "change": s.change, "transfer": s.transfer,
		"await": s.await, "cut": s.cut, "heal": s.cut, "restart": s.restart, "destroy": s.destroy,
		"create": s.create, "confirm": s.confirm, "fill-until-stranded": s.fill,
		"spec": s.spec, "check": s.check, "replica": s.replica,
	}
	f, ok := commands[d.Cmd]
	if !ok {
		d.Fatalf(t, "unknown command")
	}
	return f(d)
}

func ids(t *testing.T, d *datadriven.TestData, arg string) []table.NodeID {
	t.Helper()
	var out []table.NodeID
	for _, a := range d.CmdArgs {
		if a.Key != arg {
			continue
		}
		for i := range a.Vals {
			var n int
			a.Scan(t, i, &n)
			out = append(out, table.NodeID(n))
		}
	}
	return out
}

func number(t *testing.T, d *datadriven.TestData, arg string) (n int) {
	t.Helper()
	if d.HasArg(arg) {
		d.ScanArgs(t, arg, &n)
	}
	return n
}

func (s *membersScript) nodes(d *datadriven.TestData) string {
	var change []func(*partition.Config)
	if d.HasArg("max-log") {
		change = append(change, func(c *partition.Config) { c.MaxRaftLogBytes = maxRaftLog })
	}
	s.c = newCluster(s.t, number(s.t, d, "n"), change...)
	s.c.createOn(testSpec(), ids(s.t, d, "members")...)
	return s.spec(d)
}

// put writes items of their own through whoever leads.
func (s *membersScript) put(d *datadriven.TestData) string {
	for range max(1, number(s.t, d, "n")) {
		s.n++
		k := newCounter(s.t, "x")
		if !s.c.call(s.t.Context(), s.c.leader(), func(ctx context.Context, p *partition.Partition) error {
			_, err := p.Write(ctx, k.unique(s.t, s.n))
			return err
		}) {
			return "no answer\n"
		}
	}
	return "ok\n"
}

// create makes a replica that begins with the log, as the first members' do.
func (s *membersScript) create(d *datadriven.TestData) string {
	for _, id := range ids(s.t, d, "node") {
		spec := testSpec()
		spec.Members, spec.Epoch.Members = ids(s.t, d, "members"), 1
		if err := s.c.nodes[id].host.Load().Create(s.t.Context(), spec); err != nil {
			return err.Error() + "\n"
		}
	}
	return "ok\n"
}

func (s *membersScript) learner(d *datadriven.TestData) string {
	for _, id := range ids(s.t, d, "node") {
		if err := s.c.nodes[id].host.Load().CreateLearner(s.t.Context(), 3, 7, uint32(number(s.t, d, "epoch"))); err != nil {
			return err.Error() + "\n"
		}
	}
	return "ok\n"
}

// lead is the leader's replica, or at's.
func (s *membersScript) lead(d *datadriven.TestData) *partition.Partition {
	if at := ids(s.t, d, "at"); at != nil {
		return s.c.replica(at[0])
	}
	return s.c.replica(s.c.leader())
}

func (s *membersScript) change(d *datadriven.TestData) string {
	c := partition.Change{
		Epoch:       uint32(number(s.t, d, "epoch")),
		AddLearners: ids(s.t, d, "add"), Promote: ids(s.t, d, "promote"), Remove: ids(s.t, d, "remove"),
	}
	return s.settled(d, func() string {
		spec, err := s.lead(d).ChangeMembers(s.t.Context(), c)
		if err != nil {
			return describeRefusal(err)
		}
		return describeSpec(spec)
	})
}

// settled tries again what was refused and is not expected to be: on a slow
// machine there may be an election at any moment.
func (s *membersScript) settled(d *datadriven.TestData, try func() string) string {
	out := try()
	until(s.t, func() bool {
		if d.Expected == "" || out == d.Expected || !strings.HasPrefix(out, "refused") && out != "another leads\n" {
			return true
		}
		out = try()
		return false
	})
	return out
}

// confirm asks the leader for the members in force.
func (s *membersScript) confirm(d *datadriven.TestData) string {
	spec, err := s.lead(d).ConfirmMembers(s.t.Context())
	if err != nil {
		return describeRefusal(err)
	}
	return describeSpec(spec)
}

// fill writes until the log is cut off above a node.
func (s *membersScript) fill(d *datadriven.TestData) string {
	node, k := ids(s.t, d, "node")[0], newCounter(s.t, strings.Repeat("x", 1000))
	for n := int64(0); !slices.Contains(s.c.replica(s.c.leader()).Status().Stranded, node); n++ {
		s.c.call(s.t.Context(), s.c.leader(), func(ctx context.Context, p *partition.Partition) error {
			_, err := p.Write(ctx, k.request(n))
			return err
		})
	}
	s.n++
	return "ok\n"
}

func describeRefusal(err error) string {
	var no *partition.CannotChange
	var stale *regionnode.Stale
	var notLeader *regionnode.NotLeader
	switch {
	case errors.As(err, &no):
		return "refused: " + no.Reason + "\n"
	case errors.As(err, &stale):
		return "stale: " + stale.Reason + "\n"
	case errors.As(err, &notLeader):
		return "another leads\n"
	}
	return "open\n"
}

func describeSpec(s *partition.Spec) string {
	out := fmt.Sprintf("epoch %d members %v", s.Epoch.Members, s.Members)
	if len(s.Learners) > 0 {
		out += fmt.Sprintf(" learners %v", s.Learners)
	}
	if len(s.Outgoing) > 0 {
		out += fmt.Sprintf(" outgoing %v", s.Outgoing)
	}
	return out + "\n"
}

func (s *membersScript) transfer(d *datadriven.TestData) string {
	to := ids(s.t, d, "to")[0]
	return s.settled(d, func() string {
		if err := s.lead(d).TransferLeader(s.t.Context(), to); err != nil {
			return describeRefusal(err)
		}
		s.c.awaitLeader(to)
		return "ok\n"
	})
}

// await waits until all of something is so.
func (s *membersScript) await(d *datadriven.TestData) string {
	for _, id := range ids(s.t, d, "caught-up") {
		s.until(func() bool { return s.c.replica(s.c.leader()).Progress()[id].CaughtUp })
	}
	for _, id := range ids(s.t, d, "dead") {
		s.until(func() bool { pr, ok := s.c.replica(s.c.leader()).Progress()[id]; return ok && !pr.Alive })
	}
	for _, id := range ids(s.t, d, "removed") {
		s.until(func() bool { return s.c.replica(id).Status().Removed })
	}
	for _, id := range ids(s.t, d, "applied") {
		s.until(func() bool {
			return s.c.replica(id).Status().Applied >= s.c.replica(s.c.leader()).Status().Applied
		})
	}
	for _, id := range ids(s.t, d, "deposed") {
		s.until(func() bool { return !s.c.replica(id).Status().Leading })
	}
	for _, id := range ids(s.t, d, "leads") {
		s.c.awaitLeader(id)
	}
	return "ok\n"
}

func (s *membersScript) until(f func() bool) { until(s.t, f) }

// until waits for a condition that nothing announces.
func until(t testing.TB, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	pause := time.NewTicker(time.Millisecond)
	defer pause.Stop()
	for !f() {
		if time.Now().After(deadline) {
			t.Fatal("waited for a minute")
		}
		<-pause.C
	}
}

func (s *membersScript) cut(d *datadriven.TestData) string {
	for _, id := range ids(s.t, d, "node") {
		s.c.setCut(id, d.Cmd == "cut")
	}
	return "ok\n"
}

func (s *membersScript) restart(d *datadriven.TestData) string {
	for _, id := range ids(s.t, d, "node") {
		s.c.stop(s.c.nodes[id])
		s.c.start(s.c.nodes[id])
	}
	return "ok\n"
}

func (s *membersScript) destroy(d *datadriven.TestData) string {
	for _, id := range ids(s.t, d, "node") {
		if err := s.c.nodes[id].host.Load().DestroyRemoved(s.t.Context(), 3, uint32(number(s.t, d, "epoch"))); err != nil {
			return describeRefusal(err)
		}
	}
	return "ok\n"
}

func (s *membersScript) spec(d *datadriven.TestData) string {
	return describeSpec(s.lead(d).Spec())
}

// replica is one node's view of itself.
func (s *membersScript) replica(d *datadriven.TestData) string {
	p := s.c.replica(ids(s.t, d, "node")[0])
	if p == nil {
		return "none\n"
	}
	st := p.Status()
	switch {
	case st.Waiting:
		return "waiting\n"
	case st.Removed:
		return "removed\n"
	}
	return describeSpec(p.Spec())
}

// check wants all items on the replicas of some nodes, alike.
func (s *membersScript) check(d *datadriven.TestData) string {
	nodes := ids(s.t, d, "nodes")
	s.c.convergeOn(nodes...)
	items := s.c.replica(nodes[0]).Status().Items
	if items != s.n {
		return fmt.Sprintf("%d items, want %d\n", items, s.n)
	}
	return "ok\n"
}

// createOn makes a partition on some nodes.
func (c *cluster) createOn(spec partition.Spec, members ...table.NodeID) {
	c.t.Helper()
	spec.Members = members
	spec.Epoch.Members = 1
	for _, id := range members {
		if err := c.nodes[id].host.Load().Create(context.Background(), spec); err != nil {
			c.t.Fatal(err)
		}
	}
}

// convergeOn waits until some nodes' replicas have applied what the leader has,
// and compares them.
func (c *cluster) convergeOn(nodes ...table.NodeID) {
	c.t.Helper()
	var dumps [][]string
	until(c.t, func() bool {
		lead := c.replica(c.leader()).Status().Applied
		dumps = nil
		for _, id := range nodes {
			dumps = append(dumps, c.dump(id))
		}
		for _, id := range nodes {
			if c.replica(id).Status().Applied != lead {
				return false
			}
		}
		// An entry that came in between shows in the dumps' applied states.
		return appliedIn(dumps) == 1
	})
	for i, id := range nodes {
		for _, line := range differences(dumps[0], dumps[i]) {
			c.t.Errorf("nodes %d and %d differ: %s", nodes[0], id, line)
		}
	}
}

// dump is everything that a node's replica holds but raft's log and hard state,
// span by span.
func (c *cluster) dump(id table.NodeID) []string {
	c.t.Helper()
	p := c.replica(id)
	return dumpReplica(c.t, c.nodes[id].store, p)
}
