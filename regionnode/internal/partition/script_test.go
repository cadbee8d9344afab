package partition_test

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/expr"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/item"
	"antipode/regionnode/item/jsonscan"
	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/hlc"
)

// TestScript runs testdata/script: one partition of one table, and what splits
// make of it, its answers as a reader can check them. Lines of input: the item or
// key, then an expression, then its values. Requests for keys go to the partition
// that has them, others to the one named, or to the first.
func TestScript(t *testing.T) {
	datadriven.Walk(t, "testdata/script", func(t *testing.T, path string) {
		s := &script{t: t, w: newWorld(t, vfs.NewMem())}
		datadriven.RunTest(t, path, s.run)
	})
}

type script struct {
	t *testing.T
	w *world
	p *partition.Partition
	// ps are the partitions in the order of their hashes; p is the first.
	ps []*partition.Partition
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	s.t = t
	commands := map[string]func(*datadriven.TestData) string{
		"create": s.create, "put": s.write(regionnode.PutOp), "update": s.write(regionnode.UpdateOp),
		"delete": s.write(regionnode.DeleteOp), "get": s.get, "range": s.readRange, "log": s.log,
		"remote": s.remote, "status": s.status, "restart": s.restart, "configure-log": s.configureLog,
		"split": s.split, "cancel-split": s.cancelSplit, "ranges": s.ranges, "position": s.position, "positions": s.positions,
		"shards": s.shards, "records": s.records, "age": s.age, "mark": s.mark, "finish": s.finish, "indexed": s.indexed,
		"unpark": s.unpark, "apply-index": s.applyIndex, "index-entries": s.indexEntries,
	}
	f, ok := commands[d.Cmd]
	if !ok {
		d.Fatalf(t, "unknown command")
	}
	return f(d)
}

func (s *script) create(d *datadriven.TestData) string {
	spec := testSpec()
	if d.HasArg("indexes") {
		spec.Descriptor = indexedDescriptor()
	}
	if d.HasArg("global") {
		spec.Descriptor, spec.Log.On = globalDescriptor(1, d.HasArg("filling")), true
	}
	if d.HasArg("entries") {
		spec.Table, spec.Descriptor = 8, globalDescriptor(1, d.HasArg("filling"))
	}
	if d.HasArg("stream") {
		spec.Descriptor.Stream = &table.Stream{Enabled: true, View: "NEW_IMAGE", Label: "one"}
		spec.Log = partition.LogConfig{On: true, Stream: true}
	}
	s.p = createPartition(s.t, s.w, spec)
	s.ps = []*partition.Partition{s.p}
	return "ok\n"
}

func (s *script) configureLog(d *datadriven.TestData) string {
	c := partition.LogConfig{On: !d.HasArg("off")}
	if d.HasArg("peer") {
		c.Peers = []replication.Region{"eu-west-1"}
	}
	return result(s.named(d).ConfigureLog(context.Background(), c))
}

func (s *script) item(line string) item.Item {
	s.t.Helper()
	var scan jsonscan.Scanner
	scan.Init([]byte(line))
	it, err := item.DecodeItem(&scan)
	if err != nil {
		s.t.Fatalf("%s: %v", line, err)
	}
	return it
}

// parts are the item, the expression and its values.
func (s *script) parts(d *datadriven.TestData) (item.Item, string, map[string]item.Value) {
	lines := append(strings.Split(d.Input, "\n"), "", "")
	values := make(map[string]item.Value)
	if lines[2] != "" {
		for _, f := range s.item(lines[2]) {
			values[f.Name] = f.Value
		}
	}
	return s.item(lines[0]), lines[1], values
}

func (s *script) write(op regionnode.WriteOp) func(*datadriven.TestData) string {
	return func(d *datadriven.TestData) string {
		it, src, values := s.parts(d)
		w := regionnode.Write{Op: op, Key: keyFor(s.t, it), Item: it.Encode(), ReturnOnFailure: d.HasArg("old-on-failure")}
		if d.HasArg("return") {
			var name string
			d.ScanArgs(s.t, "return", &name)
			w.Return = map[string]regionnode.Return{
				"all-old": regionnode.ReturnAllOld, "updated-old": regionnode.ReturnUpdatedOld,
				"all-new": regionnode.ReturnAllNew, "updated-new": regionnode.ReturnUpdatedNew,
			}[name]
		}
		if op == regionnode.UpdateOp {
			w.Update = parseUpdate(s.t, src, values)
		} else if src != "" {
			w.Condition = parseCondition(s.t, src, values)
		}
		p := owner(s.t, s.ps, w.Key)
		resp, err := p.Write(context.Background(), &regionnode.WriteRequest{Target: at(p), Write: w})
		if err != nil {
			return result(err)
		}
		return describeWrite(resp)
	}
}

func describeWrite(r *regionnode.WriteResponse) string {
	var b strings.Builder
	fmt.Fprintf(&b, "size %d -> %d", r.Usage.OldSize, r.Usage.NewSize)
	if r.Usage.Collection > 0 {
		fmt.Fprintf(&b, ", collection %d", r.Usage.Collection)
	}
	b.WriteString("\n")
	for _, x := range r.Usage.Indexes {
		fmt.Fprintf(&b, "index %s: %d -> %d", x.Name, x.OldSize, x.NewSize)
		if x.Moved {
			b.WriteString(", moved")
		}
		b.WriteString("\n")
	}
	if r.Attributes != nil {
		fmt.Fprintf(&b, "%s\n", r.Attributes.AppendJSON(nil))
	}
	return b.String()
}

func result(err error) string {
	if err == nil {
		return "ok\n"
	}
	out := err.Error() + "\n"
	if api := apierr.Of(err); api != nil && len(api.Item) > 0 {
		out += fmt.Sprintf("%s\n", item.Encoded(api.Item).AppendJSON(nil))
	}
	return out
}

func (s *script) get(d *datadriven.TestData) string {
	it, src, _ := s.parts(d)
	p := owner(s.t, s.ps, keyFor(s.t, it))
	r := &regionnode.GetRequest{Target: at(p), Key: keyFor(s.t, it), Consistent: true}
	if src != "" {
		var err error
		if r.Projection, err = expr.ParseProjection(src, expr.NewSubstitutions(nil, nil)); err != nil {
			s.t.Fatal(err)
		}
	}
	got, err := p.Get(context.Background(), r)
	if err != nil {
		return result(err)
	}
	if got.Item == nil {
		return "none\n"
	}
	return fmt.Sprintf("%s (%d)\n", got.Item.AppendJSON(nil), got.Size)
}

func (s *script) readRange(d *datadriven.TestData) string {
	p := s.named(d)
	r := &regionnode.RangeRequest{Target: at(p), Consistent: true, Backward: d.HasArg("backward"), Fetch: d.HasArg("fetch"), CountOnly: d.HasArg("count")}
	d.MaybeScanArgs(s.t, "limit", &r.Limit)
	d.MaybeScanArgs(s.t, "bytes", &r.MaxBytes)
	var index int
	d.MaybeScanArgs(s.t, "index", &index)
	r.Target.Index = table.IndexID(index)
	if d.Input != "" {
		it, src, values := s.parts(d)
		prefix := table.HashPrefix(nil, []item.Value{it[0].Value})
		r.Low, r.High = prefix, item.PrefixEnd(prefix)
		p = owner(s.t, s.ps, prefix)
		index := r.Target.Index
		r.Target = at(p)
		r.Target.Index = index
		if src != "" {
			r.Filter = parseCondition(s.t, src, values)
		}
	}
	page, err := p.Range(context.Background(), r)
	if err != nil {
		return result(err)
	}
	var b strings.Builder
	for _, it := range page.Items {
		fmt.Fprintf(&b, "%s\n", it.AppendJSON(nil))
	}
	fmt.Fprintf(&b, "%d of %d, %d bytes", page.Count, page.Scanned, page.Bytes)
	if len(page.Fetched) > 0 {
		fmt.Fprintf(&b, ", fetched %v", page.Fetched)
	}
	if page.LastKey != nil {
		fmt.Fprintf(&b, ", more after %s", page.Last.AppendJSON(nil))
	}
	return b.String() + "\n"
}

// log reads the change log from its start, page by page.
func (s *script) log(d *datadriven.TestData) string {
	p := s.named(d)
	var b strings.Builder
	for at := p.LogStart(); at != p.LogEnd(); {
		recs, end, err := p.ReadLog(context.Background(), at, 2, 1<<20)
		if err != nil {
			return b.String() + result(err)
		}
		for i := range recs {
			printRecord(&b, &recs[i])
		}
		if end.Generation != at.Generation {
			fmt.Fprintf(&b, "generation %d begins behind %d\n", end.Generation, end.Sequence)
		}
		at = end
	}
	return b.String()
}

func printRecord(b *strings.Builder, r *replication.Record) {
	causes := []string{"user", "ttl", "replica", "transaction", "unchanged"}
	fmt.Fprintf(b, "%d %s by %s", r.Sequence, causes[r.Cause], r.Version.Region)
	for _, c := range r.Context {
		fmt.Fprintf(b, " seen %s", c.Region)
	}
	fmt.Fprintf(b, "\n  old %s\n  new %s\n", image(r.Old), image(r.New))
}

func image(b []byte) string {
	if b == nil {
		return "none"
	}
	return string(item.Encoded(b).AppendJSON(nil))
}

// remote applies one record whose clock is so many milliseconds ahead of ours.
func (s *script) remote(d *datadriven.TestData) string {
	var ahead int
	var region string
	d.ScanArgs(s.t, "ahead", &ahead)
	d.ScanArgs(s.t, "region", &region)
	it, _, _ := s.parts(d)
	rec := replication.Record{Key: keyFor(s.t, it), Delete: d.HasArg("delete")}
	rec.Version = replication.Version{
		Time: hlc.Timestamp{Wall: s.w.phys.Physical() + int64(ahead)*int64(time.Millisecond)}, Region: replication.Region(region),
	}
	if !rec.Delete {
		rec.New = it.Encode()
	}
	return result(owner(s.t, s.ps, rec.Key).ApplyRemote(context.Background(), []replication.Record{rec}))
}

func (s *script) status(d *datadriven.TestData) string {
	st := s.named(d).Status()
	out := fmt.Sprintf("items %d of %d bytes, log end %d, parked %d\n", st.Items, st.Bytes, st.LogEnd.Sequence, st.Parked)
	var ids []int
	for id := range st.Indexes {
		ids = append(ids, int(id))
	}
	sort.Ints(ids)
	for _, id := range ids {
		c := st.Indexes[table.IndexID(id)]
		out += fmt.Sprintf("index %d: %d of %d bytes\n", id, c.Items, c.Bytes)
	}
	return out
}

func (s *script) restart(*datadriven.TestData) string {
	s.w.stop()
	s.w.start()
	for i, p := range s.ps {
		s.ps[i], _ = s.w.host.Partition(p.ID())
		if err := s.ps[i].SetDescriptor(context.Background(), s.ps[i].Spec().Descriptor); err != nil {
			return result(err)
		}
	}
	s.p = s.ps[0]
	return "ok\n"
}
