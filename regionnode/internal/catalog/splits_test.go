package catalog

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"antipode/regionnode"
	"antipode/regionnode/internal/ring"
	"antipode/regionnode/table"
)

// splitScript is one script's catalog and its clock. Ids are written as their
// counters.
type splitScript struct {
	c   *Catalog
	kv  *memoryKV
	now time.Time
	tag uint16
	// seen are rows as they were when their splits began, for late calls.
	seen map[table.PartitionID]Partition
}

// TestSplits runs the scripts testdata/splits*. Commands: create, finish (plays
// the controller for tables), split, done, refused, count, due, wait, reload (as
// a new leader), addindex, partial (finishes older work), delete, rows.
func TestSplits(t *testing.T) {
	for _, file := range []string{"testdata/splits", "testdata/splits_due"} {
		t.Run(filepath.Base(file), func(t *testing.T) {
			s := &splitScript{kv: newMemoryKV(), now: time.Unix(1e9, 0), tag: ring.Tag(testRegion), seen: map[table.PartitionID]Partition{}}
			s.reload(t)
			addNode(t, s.c, "a", "")
			datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
				out, err := s.run(t, d)
				if err != nil {
					return out + err.Error() + "\n"
				}
				if out == "" {
					return "ok\n"
				}
				return out
			})
		})
	}
}

func (s *splitScript) reload(t testing.TB) {
	s.c = newCatalog(t, s.kv, func(cfg *Config) { cfg.Clock = func() time.Time { return s.now } })
}

func (s *splitScript) id(n uint64) table.PartitionID { return table.PartitionID(ring.ID(s.tag, n)) }

func arg[T any](d *datadriven.TestData, name string, value T) T {
	for _, a := range d.CmdArgs {
		if a.Key == name && len(a.Vals) == 1 {
			switch v := any(&value).(type) {
			case *uint64:
				*v, _ = strconv.ParseUint(a.Vals[0], 0, 64)
			case *string:
				*v = a.Vals[0]
			}
		}
	}
	return value
}

func (s *splitScript) run(t *testing.T, d *datadriven.TestData) (string, error) {
	ctx := t.Context()
	name := arg(d, "table", "t")
	id := s.id(arg(d, "p", uint64(0)))
	switch d.Cmd {
	case "create":
		r := request(name)
		if d.HasArg("index") {
			r = request(name, "x")
		}
		r.Partitions = int(arg(d, "partitions", uint64(1)))
		_, err := s.c.CreateTable(ctx, r)
		return "", err
	case "finish":
		finish(t, s.c)
		return s.rows(t, name), nil
	case "split":
		o := &SplitOrder{Table: name, At: arg(d, "at", uint64(0)), ByLoad: d.HasArg("load")}
		if d.HasArg("p") {
			o.Partition = id
		}
		p, err := s.c.BeginSplit(ctx, o)
		if err != nil {
			return "", err
		}
		s.seen[p.ID] = *p
		return s.row(p), nil
	case "done":
		p := s.seen[id]
		err := s.c.FinishSplit(ctx, &p, arg(d, "at", uint64(0)))
		return s.rows(t, name), err
	case "refused":
		p := s.seen[id]
		err := s.c.AbandonSplit(ctx, &p, Refusal{Reason: arg(d, "reason", "busy"), Never: d.HasArg("never")})
		return s.rows(t, name), err
	case "count":
		_, err := s.c.ReportCounts(ctx, &CountReport{Partitions: []PartitionCount{{
			Partition: id, Range: uint32(arg(d, "range", uint64(1))), Held: Count{1, int64(arg(d, "bytes", uint64(0)))},
			Locals: map[table.IndexID]Count{1: {1, int64(arg(d, "local", uint64(0)))}}, Load: uint32(arg(d, "load", uint64(0))),
		}}})
		return "", err
	case "due":
		orders, err := s.c.SplitsDue(ctx, SplitLimits{Bytes: int64(arg(d, "bytes", uint64(0))), Load: uint32(arg(d, "load", uint64(0)))})
		out := ""
		for _, o := range orders {
			out += fmt.Sprintf("%s %d byLoad=%v\n", o.Table, ring.CounterOf(uint64(o.Partition)), o.ByLoad)
		}
		if out == "" {
			out = "none\n"
		}
		return out, err
	case "wait":
		d, err := time.ParseDuration(d.CmdArgs[0].Key)
		s.now = s.now.Add(d)
		return "", err
	case "reload":
		s.reload(t)
		work, err := s.c.Work(ctx)
		if err != nil {
			return "", err
		}
		out := fmt.Sprintf("tables %v\n", work.Tables)
		for _, w := range work.Splits {
			out += fmt.Sprintf("split %s %d\n", w.Table, ring.CounterOf(uint64(w.Partition)))
		}
		return out, nil
	case "addindex":
		next := *describe(t, s.c, name)
		next.Globals = append(next.Globals, request("", "later").Descriptor.Globals...)
		_, err := s.c.UpdateTable(ctx, &regionnode.UpdateTableRequest{Descriptor: next})
		return s.rows(t, name), err
	case "partial":
		// FinishTable of work that was read before the latest changes.
		w, err := s.c.TableWork(ctx, name)
		if err != nil {
			return "", err
		}
		w.Partitions = w.Partitions[:arg(d, "knows", uint64(1))]
		err = s.c.FinishTable(ctx, w)
		return s.rows(t, name), err
	case "delete":
		_, err := s.c.DeleteTable(ctx, name)
		return s.rows(t, name), err
	case "rows":
		return s.rows(t, name), nil
	}
	t.Fatalf("unknown command %s", d.Cmd)
	return "", nil
}

func (s *splitScript) row(p *Partition) string {
	n := func(id uint64) uint64 { return ring.CounterOf(id) }
	out := fmt.Sprintf("%d %s[%016x, %016x) range=%d log=%d", n(uint64(p.ID)), p.Index, p.Start, p.End, p.Epoch.Range, n(uint64(p.Generation)))
	if p.Created {
		out += " created"
	}
	if p.Dropped {
		out += " dropped"
	}
	if x := p.Split; x != nil {
		out += fmt.Sprintf(" split{right=%d at=%x byLoad=%v logs=%d,%d}", n(uint64(x.Right)), x.At, x.ByLoad, n(uint64(x.LeftGeneration)), n(uint64(x.RightGeneration)))
	}
	return out + "\n"
}

// rows lists a table's partitions, dropped ones included.
func (s *splitScript) rows(t *testing.T, name string) string {
	w, err := s.c.TableWork(t.Context(), name)
	if err != nil {
		return err.Error() + "\n"
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s pushed=%v\n", w.Descriptor.Status, w.Pushed == w.Descriptor.Generation)
	for i := range w.Partitions {
		out.WriteString(s.row(&w.Partitions[i]))
	}
	return out.String()
}
