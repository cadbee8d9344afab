package partition_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/datadriven"

	"antipode/regionnode"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/hlc"
)

// named is the partition that a command names, the first by default.
func (s *script) named(d *datadriven.TestData) *partition.Partition {
	s.t.Helper()
	id := uint64(s.p.ID())
	d.MaybeScanArgs(s.t, "of", &id)
	for _, p := range s.ps {
		if uint64(p.ID()) == id {
			return p
		}
	}
	s.t.Fatalf("no partition %d", id)
	return nil
}

// request reads a split's request: right, and optionally at, epoch, load.
func (s *script) request(d *datadriven.TestData, p *partition.Partition) partition.SplitRequest {
	var right uint64
	d.ScanArgs(s.t, "right", &right)
	epoch := uint64(p.Spec().Epoch.Range)
	d.MaybeScanArgs(s.t, "epoch", &epoch)
	r := partition.SplitRequest{
		Range: uint32(epoch), Right: table.PartitionID(right), ByLoad: d.HasArg("load"),
		LeftGeneration: replication.Generation(10 * right), RightGeneration: replication.Generation(10*right + 1),
	}
	var at string
	if d.MaybeScanArgs(s.t, "at", &at) {
		n, err := strconv.ParseUint(at, 16, 64)
		if err != nil {
			s.t.Fatal(err)
		}
		r.At = n << 32
	}
	return r
}

func (s *script) split(d *datadriven.TestData) string {
	p := s.named(d)
	r := s.request(d, p)
	if _, err := p.Split(context.Background(), r); err != nil {
		var refused *partition.CannotSplit
		if errors.As(err, &refused) && refused.Never {
			return err.Error() + ", ever\n"
		}
		return result(err)
	}
	right, ok := s.w.host.Partition(r.Right)
	if !ok {
		return "no right child\n"
	}
	if !slices.Contains(s.ps, right) {
		s.ps = slices.Insert(s.ps, slices.Index(s.ps, p)+1, right)
	}
	return s.ranges(d)
}

func (s *script) cancelSplit(d *datadriven.TestData) string {
	p := s.named(d)
	already, err := p.CancelSplit(context.Background(), s.request(d, p))
	if err == nil && already != nil {
		return fmt.Sprintf("split already at %08x\n", already.At>>32)
	}
	return result(err)
}

// ranges lists the partitions with half of each bound.
func (s *script) ranges(*datadriven.TestData) string {
	var b strings.Builder
	for _, p := range s.ps {
		spec := p.Spec()
		fmt.Fprintf(&b, "partition %d: [%08x, %08x) epoch %d, generation %d", p.ID(), spec.Start>>32, spec.End>>32, spec.Epoch.Range, spec.Generation)
		for _, c := range spec.Closed {
			fmt.Fprintf(&b, ", closed %d at %d", c.Generation, c.End)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// position moves a reader.
func (s *script) position(d *datadriven.TestData) string {
	var peer string
	pos := replication.Position{Incarnation: s.p.Spec().Incarnation}
	var generation uint64
	d.ScanArgs(s.t, "reader", &peer)
	d.ScanArgs(s.t, "generation", &generation)
	d.ScanArgs(s.t, "sequence", &pos.Sequence)
	pos.Generation = replication.Generation(generation)
	return result(s.named(d).SetPosition(context.Background(), replication.Region(peer), pos))
}

func (s *script) positions(d *datadriven.TestData) string {
	p := s.named(d)
	var out []string
	for reader, pos := range p.Positions() {
		out = append(out, fmt.Sprintf("%s at %d/%d\n", reader, pos.Generation, pos.Sequence))
	}
	sort.Strings(out)
	from, to := p.LogStart(), p.LogEnd()
	return strings.Join(out, "") + fmt.Sprintf("log from %d/%d to %d/%d\n", from.Generation, from.Sequence, to.Generation, to.Sequence)
}

// indexed reports that the global index has all changes.
func (s *script) indexed(d *datadriven.TestData) string {
	p := s.named(d)
	p.NoteIndexed(8, p.LogEnd().Sequence)
	return "ok\n"
}

// shards lists the stream's shards.
func (s *script) shards(*datadriven.TestData) string {
	var b strings.Builder
	for _, p := range s.ps {
		resp, err := p.StreamShards(context.Background(), &regionnode.StreamShardsRequest{Target: at(p), Label: "one"})
		if err != nil {
			return result(err)
		}
		for _, sh := range resp.Shards {
			fmt.Fprintf(&b, "partition %d: shard %d, parent %d, %d to %d", p.ID(), sh.Generation, sh.Parent, sh.First, sh.End)
			if sh.Closed {
				b.WriteString(", closed")
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// records reads a shard from behind a sequence on.
func (s *script) records(d *datadriven.TestData) string {
	p := s.named(d)
	r := &regionnode.StreamRecordsRequest{Target: at(p), Label: "one", Limit: 100, MaxBytes: 1 << 20}
	d.ScanArgs(s.t, "shard", &r.Generation)
	d.MaybeScanArgs(s.t, "after", &r.After)
	resp, err := p.StreamRecords(context.Background(), r)
	if err != nil {
		return result(err)
	}
	var b strings.Builder
	for _, rec := range resp.Records {
		fmt.Fprintf(&b, "%d %s\n", rec.Sequence, rec.Keys.AppendJSON(nil))
	}
	fmt.Fprintf(&b, "up to %d", resp.Last)
	if resp.Drained {
		b.WriteString(", drained")
	}
	return b.String() + "\n"
}

// age lets so many hours pass, and trims the logs.
func (s *script) age(d *datadriven.TestData) string {
	var hours int
	d.ScanArgs(s.t, "hours", &hours)
	s.w.phys.Advance(time.Duration(hours) * time.Hour)
	for _, p := range s.ps {
		if err := p.TrimStreams(context.Background()); err != nil {
			return result(err)
		}
	}
	return "ok\n"
}

// unpark lets so much time pass that every parked record's has come.
func (s *script) unpark(*datadriven.TestData) string {
	s.w.phys.Advance(10 * time.Second)
	for _, p := range s.ps {
		for p.Status().Parked > 0 {
			s.w.host.Tick()
			runtime.Gosched() // it is done in the background
		}
	}
	return "ok\n"
}

// transaction names an attempt by the second at which it began.
func (s *script) transaction(d *datadriven.TestData) regionnode.TransactionID {
	var second int64
	d.ScanArgs(s.t, "transaction", &second)
	return regionnode.TransactionID{Row: fmt.Sprint("t", second), Time: hlc.Timestamp{Wall: 1_000_000_000_000 + second*int64(time.Second)}}
}

// mark prepares the writes of items, one a line.
func (s *script) mark(d *datadriven.TestData) string {
	id := s.transaction(d)
	if behind := id.Time.Wall - s.w.phys.Physical(); behind > 0 {
		s.w.phys.Advance(time.Duration(behind))
	}
	var b strings.Builder
	for _, line := range strings.Split(d.Input, "\n") {
		it := s.item(line)
		key := keyFor(s.t, it)
		p := owner(s.t, s.ps, key)
		w := regionnode.Write{Op: regionnode.PutOp, Key: key, Item: it.Encode()}
		if d.HasArg("check") {
			w = regionnode.Write{Op: regionnode.CheckOp, Key: key}
		}
		resp, err := p.Prepare(context.Background(), &regionnode.PrepareRequest{
			Target: at(p), ID: id, Until: s.w.phys.Physical() + int64(time.Second), Writes: []regionnode.Write{w},
		})
		if err != nil {
			return result(err)
		}
		vote := resp.Votes[0]
		fmt.Fprintf(&b, "partition %d: marked %v, late %v%s\n", p.ID(), vote.Marked, vote.Late, vote.Refusal.Code)
	}
	return b.String()
}

// finish commits the writes of items, one a line.
func (s *script) finish(d *datadriven.TestData) string {
	for _, line := range strings.Split(d.Input, "\n") {
		key := keyFor(s.t, s.item(line))
		p := owner(s.t, s.ps, key)
		r := &regionnode.FinishRequest{Target: at(p), ID: s.transaction(d), Commit: !d.HasArg("cancel"), Keys: [][]byte{key}}
		if _, err := p.Finish(context.Background(), r); err != nil {
			return result(err)
		}
	}
	return "ok\n"
}

// applyIndex writes or, with gone, removes entries of the index, one a line: sort
// key and v of the item, and the version.
func (s *script) applyIndex(d *datadriven.TestData) string {
	b := &regionnode.IndexBatch{Source: 4}
	d.ScanArgs(s.t, "term", &b.Term)
	d.ScanArgs(s.t, "through", &b.Through)
	e := entries{t: s.t}
	shares := map[*partition.Partition][]regionnode.IndexChange{}
	for _, line := range strings.Split(d.Input, "\n") {
		f := strings.Fields(line)
		version, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			s.t.Fatal(err)
		}
		c := e.change(b.Through, f[0], f[1], version, d.HasArg("gone"))
		p := owner(s.t, s.ps, c.Key)
		shares[p] = append(shares[p], c)
	}
	var out strings.Builder
	for _, p := range s.ps {
		if b.Changes = shares[p]; len(b.Changes) == 0 {
			continue
		}
		slices.SortFunc(b.Changes, func(x, y regionnode.IndexChange) int { return bytes.Compare(x.Key, y.Key) })
		b.Target = at(p)
		fmt.Fprintf(&out, "partition %d: %s", p.ID(), result(p.ApplyIndex(context.Background(), b)))
	}
	return out.String()
}

// indexEntries lists the entries, or with complete the index's state afterwards
// as its back-fill ends.
func (s *script) indexEntries(d *datadriven.TestData) string {
	ctx := context.Background()
	var b strings.Builder
	for _, p := range s.ps {
		if d.HasArg("complete") {
			if err := p.SetDescriptor(ctx, globalDescriptor(2, false)); err != nil {
				return result(err)
			}
			if err := p.ForgetTombstones(ctx); err != nil {
				return result(err)
			}
		}
		recs, _, err := p.ScanVersionsHere(nil, 100, 1<<20)
		if err != nil {
			return result(err)
		}
		for _, r := range recs {
			fmt.Fprintf(&b, "partition %d: %s as of %d\n", p.ID(), image(r.New), r.Version.Time.Wall)
		}
	}
	return b.String()
}
