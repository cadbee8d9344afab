package partition_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/hlc"
)

// streamed is a partition whose table has a stream from the beginning.
func streamed(t testing.TB, w *world, view string) *partition.Partition {
	spec := testSpec()
	spec.Descriptor.Stream = &table.Stream{Enabled: true, View: view, Label: "one"}
	spec.Log = partition.LogConfig{On: true, Stream: true}
	return createPartition(t, w, spec)
}

func write(t testing.TB, p *partition.Partition, op regionnode.WriteOp, it item.Item) {
	t.Helper()
	w := regionnode.Write{Op: op, Key: keyFor(t, it)}
	if op == regionnode.PutOp {
		w.Item = it.Encode()
	}
	if _, err := p.Write(context.Background(), &regionnode.WriteRequest{Target: target, Write: w}); err != nil {
		t.Fatal(err)
	}
}

func shardsOf(t testing.TB, p *partition.Partition, label string) []regionnode.StreamShard {
	t.Helper()
	resp, err := p.StreamShards(context.Background(), &regionnode.StreamShardsRequest{Target: target, Label: label})
	if err != nil {
		t.Fatal(err)
	}
	return resp.Shards
}

// readShard reads a shard from its oldest record to its end, limit records at a
// time.
func readShard(t testing.TB, p *partition.Partition, label string, sh regionnode.StreamShard, limit int) (recs []regionnode.StreamRecord, drained bool) {
	t.Helper()
	for after := sh.First - 1; ; {
		resp, err := p.StreamRecords(context.Background(), &regionnode.StreamRecordsRequest{
			Target: target, Label: label, Generation: sh.Generation, After: after, Limit: limit, MaxBytes: 1 << 20,
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(resp.Records) > limit {
			t.Fatalf("%d records in a page of %d", len(resp.Records), limit)
		}
		recs = append(recs, resp.Records...)
		if resp.Drained || resp.Last == after {
			return recs, resp.Drained
		}
		after = resp.Last
	}
}

// shown is a record as a test compares it.
func shown(r regionnode.StreamRecord) string {
	text := func(e item.Encoded) string {
		if e == nil {
			return "-"
		}
		v, _, _ := e.Get("v")
		return v.Text()
	}
	sk, _, _ := r.Keys.Get("sk")
	return fmt.Sprintf("%d %s %s>%s", r.Event, sk.Text(), text(r.Old), text(r.New))
}

func allShown(recs []regionnode.StreamRecord) []string {
	var out []string
	for _, r := range recs {
		out = append(out, shown(r))
	}
	return out
}

// TestStreamViews writes the same to four tables: one record for each change,
// none for what changed nothing, and the images that the view has.
func TestStreamViews(t *testing.T) {
	for view, want := range map[string][]string{
		"KEYS_ONLY":          {"1 k ->-", "2 k ->-", "3 k ->-"},
		"NEW_IMAGE":          {"1 k ->a", "2 k ->b", "3 k ->-"},
		"OLD_IMAGE":          {"1 k ->-", "2 k a>-", "3 k b>-"},
		"NEW_AND_OLD_IMAGES": {"1 k ->a", "2 k a>b", "3 k b>-"},
	} {
		w := newWorld(t, vfs.NewMem())
		p := streamed(t, w, view)
		write(t, p, regionnode.DeleteOp, makeItem("p", "k", ""))
		write(t, p, regionnode.PutOp, makeItem("p", "k", "a"))
		write(t, p, regionnode.PutOp, makeItem("p", "k", "a"))
		write(t, p, regionnode.PutOp, makeItem("p", "k", "b"))
		write(t, p, regionnode.DeleteOp, makeItem("p", "k", ""))
		recs, drained := readShard(t, p, "one", shardsOf(t, p, "one")[0], 1)
		if diff := cmp.Diff(want, allShown(recs)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", view, diff)
		}
		if drained {
			t.Error("an open shard is drained")
		}
		for _, r := range recs {
			if r.Size != r.Keys.Size()+r.Old.Size()+r.New.Size() || r.Keys.Len() != 2 || r.At != w.phys.Physical()/1e6 || r.Expired {
				t.Errorf("%s: record %+v", view, r)
			}
		}
	}
}

// setStream puts the next descriptor and the log that goes with it into force,
// in the order in which a controller does.
func setStream(t testing.TB, p *partition.Partition, change func(*table.Descriptor)) {
	t.Helper()
	d := p.Spec().Descriptor.Clone()
	d.Generation++
	change(d)
	if err := p.SetDescriptor(context.Background(), d); err != nil {
		t.Fatal(err)
	}
	on := d.Stream != nil && d.Stream.Enabled
	if err := p.ConfigureLog(context.Background(), partition.LogConfig{On: on, Stream: on}); err != nil {
		t.Fatal(err)
	}
}

// TestStreamWindows switches streams on and off: each shows what happened while
// it was on, also after a restart, until its records are a day old.
func TestStreamWindows(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, vfs.NewMem())
	p := createPartition(t, w, testSpec())
	now := func() time.Time { return time.Unix(0, w.phys.Physical()) }
	start := func(label string) {
		setStream(t, p, func(d *table.Descriptor) {
			d.StartStream(&table.Stream{Enabled: true, View: "NEW_IMAGE", Label: label}, now())
		})
	}
	end := func() {
		setStream(t, p, func(d *table.Descriptor) { d.Stream.Enabled, d.Stream.Ended = false, now().UnixMilli() })
	}
	expect := func(label string, drained bool, want ...string) {
		t.Helper()
		shards := shardsOf(t, p, label)
		if len(shards) != 1 {
			t.Fatalf("stream %s has %d shards", label, len(shards))
		}
		recs, done := readShard(t, p, label, shards[0], 10)
		if diff := cmp.Diff(want, allShown(recs)); diff != "" || done != drained || shards[0].Closed != drained {
			t.Errorf("%s: drained %v, closed %v (-want +got):\n%s", label, done, shards[0].Closed, diff)
		}
	}
	write(t, p, regionnode.PutOp, makeItem("p", "0", "before"))
	start("one")
	write(t, p, regionnode.PutOp, makeItem("p", "1", "one"))
	end()
	write(t, p, regionnode.PutOp, makeItem("p", "2", "between"))
	expect("one", true, "1 1 ->one")
	start("two")
	write(t, p, regionnode.PutOp, makeItem("p", "3", "two"))
	w.stop()
	w.start()
	p, _ = w.host.Partition(3)
	expect("one", true, "1 1 ->one")
	expect("two", false, "1 3 ->two")
	if none := shardsOf(t, p, "three"); len(none) != 0 {
		t.Errorf("an unknown stream has shards %v", none)
	}
	_, err := p.StreamRecords(ctx, &regionnode.StreamRecordsRequest{Target: target, Label: "two", Generation: 77, Limit: 1, MaxBytes: 1})
	if !apierr.Is(err, apierr.ResourceNotFound) {
		t.Errorf("a shard of no generation: %v", err)
	}

	w.phys.Advance(table.StreamRetention / 2)
	write(t, p, regionnode.PutOp, makeItem("p", "4", "later"))
	w.phys.Advance(table.StreamRetention/2 + time.Second)
	old := shardsOf(t, p, "two")[0]
	if !p.Streamed() {
		t.Error("nothing to trim")
	}
	if err := p.TrimStreams(ctx); err != nil {
		t.Fatal(err)
	}
	expect("one", true)
	expect("two", false, "1 4 ->later")
	_, err = p.StreamRecords(ctx, &regionnode.StreamRecordsRequest{
		Target: target, Label: "two", Generation: old.Generation, After: old.First - 1, Limit: 1, MaxBytes: 1,
	})
	if !apierr.Is(err, apierr.TrimmedDataAccess) {
		t.Errorf("before the oldest record: %v", err)
	}

	end()
	w.phys.Advance(2 * table.StreamRetention)
	if err := p.TrimStreams(ctx); err != nil {
		t.Fatal(err)
	}
	if p.LogStart() != p.LogEnd() || p.Streamed() {
		t.Errorf("log from %v to %v after the last stream", p.LogStart(), p.LogEnd())
	}
}

// TestStreamKeepsForReaders: a link that is behind holds the log, however old it
// is.
func TestStreamKeepsForReaders(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, vfs.NewMem())
	spec := testSpec()
	spec.Descriptor.Stream = &table.Stream{Enabled: true, View: "NEW_IMAGE", Label: "one"}
	spec.Log = partition.LogConfig{On: true, Stream: true, Peers: []replication.Region{"far"}}
	p := createPartition(t, w, spec)
	if err := p.SetPosition(ctx, "far", p.LogEnd()); err != nil {
		t.Fatal(err)
	}
	putMany(t, p, "", 10)
	w.phys.Advance(2 * table.StreamRetention)
	before := p.LogStart()
	if err := p.TrimStreams(ctx); err != nil {
		t.Fatal(err)
	}
	if p.LogStart() != before {
		t.Errorf("trimmed to %v although a reader is at %v", p.LogStart(), before)
	}
	if err := p.SetPosition(ctx, "far", p.LogEnd()); err != nil {
		t.Fatal(err)
	}
	if err := p.TrimStreams(ctx); err != nil {
		t.Fatal(err)
	}
	if p.LogStart() != p.LogEnd() {
		t.Errorf("log from %v to %v after its reader has passed", p.LogStart(), p.LogEnd())
	}
}

// TestStreamOfReplica: what comes from another region is in the stream if it
// changes something, and a replicated delete has no service identity.
func TestStreamOfReplica(t *testing.T) {
	w := newWorld(t, vfs.NewMem())
	p := streamed(t, w, "NEW_AND_OLD_IMAGES")
	wall := w.phys.Physical() - int64(10*time.Second)
	apply := func(v int64, sk string, text string) {
		t.Helper()
		it := makeItem("p", sk, text)
		rec := replication.Record{Key: keyFor(t, it), Version: replication.Version{Time: hlc.Timestamp{Wall: wall + v}, Region: "far"}, Cause: replication.ByTTL}
		if text == "" {
			rec.Delete = true
		} else {
			rec.New = it.Encode()
		}
		if err := p.ApplyRemote(context.Background(), []replication.Record{rec}); err != nil {
			t.Fatal(err)
		}
	}
	apply(2, "k", "a")
	apply(1, "k", "older")
	apply(2, "k", "a")
	apply(3, "k", "a") // another write of the same image
	apply(4, "k", "")
	apply(5, "k", "")
	recs, _ := readShard(t, p, "one", shardsOf(t, p, "one")[0], 100)
	if diff := cmp.Diff([]string{"1 k ->a", "3 k a>-"}, allShown(recs)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, r := range recs {
		if r.Expired || r.At != w.phys.Physical()/1e6 {
			t.Errorf("record %+v", r)
		}
	}
}

// TestStreamProperties: whatever is written, a stream's records are the changes,
// in order for each key, read in pages of any size.
func TestStreamProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, vfs.NewMem())
		defer w.stop()
		p := streamed(t, w, "NEW_AND_OLD_IMAGES")
		held, want := map[string]string{}, []string(nil)
		for range rapid.IntRange(0, 40).Draw(rt, "writes") {
			sk := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "key")
			v := rapid.SampledFrom([]string{"", "x", "y"}).Draw(rt, "value")
			op := regionnode.PutOp
			if v == "" {
				op = regionnode.DeleteOp
			}
			write(t, p, op, makeItem("p", sk, v))
			switch old := held[sk]; {
			case old == v:
			case old == "":
				want = append(want, fmt.Sprintf("1 %s ->%s", sk, v))
			case v == "":
				want = append(want, fmt.Sprintf("3 %s %s>-", sk, old))
			default:
				want = append(want, fmt.Sprintf("2 %s %s>%s", sk, old, v))
			}
			held[sk] = v
		}
		recs, _ := readShard(t, p, "one", shardsOf(t, p, "one")[0], rapid.IntRange(1, 50).Draw(rt, "limit"))
		if diff := cmp.Diff(want, allShown(recs)); diff != "" {
			rt.Fatalf("(-want +got):\n%s", diff)
		}
		for i, r := range recs {
			if i > 0 && r.Sequence <= recs[i-1].Sequence {
				rt.Fatalf("sequence %d behind %d", r.Sequence, recs[i-1].Sequence)
			}
		}
	})
}

// expiring makes an item whose attribute "x" is v.
func expiring(sk string, v item.Value) item.Item {
	return item.Make([]item.Field{{Name: "pk", Value: item.Str("p")}, {Name: "sk", Value: item.Str(sk)}, {Name: "x", Value: v}})
}

func numberOf(t testing.TB, s string) item.Value {
	n, err := item.ParseNumber(s)
	if err != nil {
		t.Fatal(err)
	}
	return item.Num(n)
}

// TestExpire deletes exactly what has expired, in pages, and says so in the
// stream.
func TestExpire(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, vfs.NewMem())
	spec := testSpec()
	spec.Descriptor.Stream = &table.Stream{Enabled: true, View: "OLD_IMAGE", Label: "one"}
	spec.Descriptor.TTL = &table.TTL{Attribute: "x", Status: "ENABLED"}
	spec.Log = partition.LogConfig{On: true, Stream: true}
	p := createPartition(t, w, spec)
	now := time.Unix(1_700_000_000, 0)
	for sk, v := range map[string]item.Value{
		"past": numberOf(t, "1699999999"), "now": numberOf(t, "1700000000"), "fraction": numberOf(t, "1699999999.5"),
		"soon": numberOf(t, "1700000007"), "sooner": numberOf(t, "1700000004.25"), "ancient": numberOf(t, "1500000000"),
		"negative": numberOf(t, "-5"), "huge": numberOf(t, "1e100"), "text": item.Str("1699999999"), "null": item.Null(),
		"nested": item.Map(item.Item{{Name: "x", Value: numberOf(t, "1699999999")}}),
	} {
		write(t, p, regionnode.PutOp, expiring(sk, v))
	}
	write(t, p, regionnode.PutOp, makeItem("p", "without", "v"))
	if _, ok := p.Expires(); !ok {
		t.Fatal("does not expire")
	}
	var keys [][]byte
	next, after, pages := int64(math.MaxInt64), []byte(nil), 0
	for {
		page, err := p.ScanExpired(ctx, after, now, 1)
		if err != nil {
			t.Fatal(err)
		}
		keys, next, pages = append(keys, page.Keys...), min(next, page.Next), pages+1
		if after = page.Last; after == nil {
			break
		}
	}
	if len(keys) != 3 || next != 1_700_000_005 || pages != 13 {
		t.Fatalf("found %d, next %d, in %d pages", len(keys), next, pages)
	}
	// One of them is renewed before it is deleted.
	write(t, p, regionnode.PutOp, expiring("now", numberOf(t, "1800000000")))
	if n, err := p.Expire(ctx, keys, now); n != 2 || err != nil {
		t.Fatalf("deleted %d, %v", n, err)
	}
	if n, err := p.Expire(ctx, keys, now); n != 0 || err != nil {
		t.Fatalf("deleted %d again, %v", n, err)
	}
	if items := p.Status().Items; items != 10 {
		t.Errorf("%d items are left", items)
	}
	recs, _ := readShard(t, p, "one", shardsOf(t, p, "one")[0], 100)
	expired := 0
	for _, r := range recs {
		if r.Expired {
			expired++
		}
		if r.Expired != (r.Event == regionnode.StreamRemove) {
			t.Errorf("record %+v", r)
		}
	}
	if expired != 2 {
		t.Errorf("%d records of expiry", expired)
	}
	setStream(t, p, func(d *table.Descriptor) { d.TTL.Status = "DISABLED" })
	if _, ok := p.Expires(); ok {
		t.Error("expires after it was switched off")
	}
	if n, err := p.Expire(ctx, [][]byte{keyFor(t, expiring("soon", item.Null()))}, now.Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("deleted %d after it was switched off, %v", n, err)
	}
}

// BenchmarkScanExpired is what a look at an item costs that does not expire.
func BenchmarkScanExpired(b *testing.B) {
	w := newWorld(b, vfs.NewMem())
	spec := testSpec()
	spec.Descriptor.TTL = &table.TTL{Attribute: "x", Status: "ENABLED"}
	p := createPartition(b, w, spec)
	text := item.Str(string(make([]byte, 1000)))
	for i := range 2000 {
		it := append(expiring(fmt.Sprint(i), numberOf(b, "1800000000")), item.Field{Name: "z", Value: text})
		write(b, p, regionnode.PutOp, it)
	}
	b.ReportAllocs()
	for b.Loop() {
		page, err := p.ScanExpired(context.Background(), nil, time.Unix(1_700_000_000, 0), math.MaxInt)
		if err != nil || len(page.Keys) > 0 {
			b.Fatal(page, err)
		}
		b.SetBytes(int64(page.Bytes))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2000, "ns/item")
}
