package keys

import (
	"bytes"
	"testing"

	"antipode/regionnode/table"
	"antipode/replication"
	"antipode/replication/hlc"
)

func version(wall int64, region replication.Region) replication.Version {
	return replication.Version{Time: hlc.Timestamp{Wall: wall, Logical: 2}, Region: region}
}

// inOrder is one key of each kind, and neighbours of some, in the map's order.
var inOrder = []struct {
	key   []byte
	print string
}{
	{ClockBound(), `/local/"clock-bound"`},
	{Identity(), `/local/"identity"`},
	{NodeEpoch(), `/local/"node-epoch"`},
	{ReplicaPast(7), `/local/"replica/\x00\x00\x00\x00\x00\x00\x00\a"`},
	{Descriptor(1), "/partition/1/descriptor"},
	{Descriptor(300), "/partition/300/descriptor"},
	{HardState(1), "/partition/1/raft/hard-state"},
	{LogStart(1), "/partition/1/raft/log-start"},
	{LogEntry(1, 9), "/partition/1/raft/log/9"},
	{LogEntry(1, 256), "/partition/1/raft/log/256"},
	{HardState(2), "/partition/2/raft/hard-state"},
	{Applied(1), "/partition/1/applied"},
	{Position(1, "eu-west-1"), `/partition/1/position/"eu-west-1"`},
	{Position(1, "us-east-1"), `/partition/1/position/"us-east-1"`},
	{Parked(1, version(5, "a"), []byte("k")), `/partition/1/parked/5.2@"a"/"k"`},
	{Parked(1, version(5, "ab"), []byte("a")), `/partition/1/parked/5.2@"ab"/"a"`},
	{Parked(1, version(6, "a"), nil), `/partition/1/parked/6.2@"a"`},
	{Raw(1, nil), "/partition/1/raw"},
	{Raw(1, []byte("tables/x")), `/partition/1/raw/"tables/x"`},
	{IndexSource(1, 5), "/partition/1/indexed/5"},
	{IndexTombstone(1, 5, []byte("\x00\x00\x00\x00\x00\x00\x00\x01k")), `/partition/1/forget/5/"\x00\x00\x00\x00\x00\x00\x00\x01k"`},
	{IndexProgress(1, 12), "/partition/1/filled/12"},
	{Applied(2), "/partition/2/applied"},
	{Change(1, 7, 1), "/partition/1/change/7/1"},
	{Change(1, 7, 256), "/partition/1/change/7/256"},
	{Change(1, 8, 1), "/partition/1/change/8/1"},
	{Data(7, 0, []byte("\x00\x00\x00\x00\x00\x00\x00\x01k")), `/table/7/item/0000000000000001/"k"`},
	{Data(7, 0, []byte("\x01\x00\x00\x00\x00\x00\x00\x01k")), `/table/7/item/0100000000000001/"k"`},
	{Data(7, 2, []byte("\x00\x00\x00\x00\x00\x00\x00\x01k")), `/table/7/index/2/0000000000000001/"k"`},
	{Data(7, Collections, []byte("\x00\x00\x00\x00\x00\x00\x00\x01k")), `/table/7/collection/0000000000000001/"k"`},
	{Data(8, 0, nil), "/table/8/item"},
}

// TestOrder compares the keys with the map's order, and each with what the
// printer makes of it.
func TestOrder(t *testing.T) {
	for i, k := range inOrder {
		if got := Print(k.key); got != k.print {
			t.Errorf("%x prints %s, want %s", k.key, got, k.print)
		}
		if i > 0 && bytes.Compare(inOrder[i-1].key, k.key) >= 0 {
			t.Errorf("%s does not sort before %s", inOrder[i-1].print, k.print)
		}
	}
}

// TestSpans checks that each span holds its own keys and no other.
func TestSpans(t *testing.T) {
	for name, c := range map[string]struct {
		spans []Span
		want  []int // indexes into inOrder
	}{
		"descriptors":  {[]Span{Descriptors()}, []int{4, 5}},
		"log entries":  {[]Span{LogEntries(1, 9, 256)}, []int{8}},
		"positions":    {[]Span{Positions(1)}, []int{12, 13}},
		"parked":       {[]Span{ParkedRecords(1)}, []int{14, 15, 16}},
		"raw":          {[]Span{RawPrefix(1, nil)}, []int{17, 18}},
		"raw prefix":   {[]Span{RawPrefix(1, []byte("tables/"))}, []int{18}},
		"sources":      {[]Span{IndexSources(1)}, []int{19}},
		"tombstones":   {[]Span{IndexTombstones(1)}, []int{20}},
		"progress":     {[]Span{IndexProgresses(1)}, []int{21}},
		"changes":      {[]Span{Changes(1, 7, 1, 257)}, []int{23, 24}},
		"replica":      {ReplicaSpans(1), []int{4, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 25}},
		"left half":    {DataSpans(7, Hashes{0, 1 << 56}), []int{26, 28, 29}},
		"right half":   {DataSpans(7, Hashes{1 << 56, 0}), []int{27}},
		"whole table":  {DataSpans(7, Hashes{}), []int{26, 27, 28, 29}},
		"another":      {DataSpans(6, Hashes{}), nil},
		"items before": {[]Span{DataSpan(7, 0, Hashes{0, 2})}, []int{26}},
	} {
		var got []int
		for i, k := range inOrder {
			for _, s := range c.spans {
				if s.Contains(k.key) {
					got = append(got, i)
				}
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%s holds %v, want %v", name, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s holds %v, want %v", name, got, c.want)
				break
			}
		}
	}
}

// TestComparerName pins what is written into every file of a store.
func TestComparerName(t *testing.T) {
	if Comparer.Name != "leveldb.BytewiseComparator" {
		t.Fatalf("comparer is %q: existing stores cannot be opened", Comparer.Name)
	}
	if key := []byte("any key"); Comparer.Split(key) != len(key) {
		t.Fatal("the prefix is not the whole key")
	}
}

// FuzzParts takes keys apart again and compares orders of parts and of keys.
func FuzzParts(f *testing.F) {
	f.Add(uint64(1), uint64(2), uint64(3), int64(4), "eu-west-1", []byte("key"), []byte("other"))
	f.Fuzz(func(t *testing.T, id, generation, sequence uint64, wall int64, region string, a, b []byte) {
		p := table.PartitionID(id)
		if got, ok := DescriptorPartition(Descriptor(p)); !ok || got != p {
			t.Errorf("descriptor of %d, %v", got, ok)
		}
		if got, ok := LogEntryIndex(LogEntry(p, sequence)); !ok || got != sequence {
			t.Errorf("log entry %d, %v", got, ok)
		}
		if got, ok := ChangeSequence(Change(p, replication.Generation(generation), sequence)); !ok || got != sequence {
			t.Errorf("change %d, %v", got, ok)
		}
		if got, ok := PositionReader(Position(p, replication.Region(region))); !ok || string(got) != region {
			t.Errorf("position of %q, %v", got, ok)
		}
		if got, ok := RawKey(Raw(p, a)); !ok || !bytes.Equal(got, a) {
			t.Errorf("raw %q, %v", got, ok)
		}
		if got, ok := DataKey(Data(table.ID(id), 3, a)); !ok || !bytes.Equal(got, a) {
			t.Errorf("data %q, %v", got, ok)
		}
		if !bytes.Contains([]byte(region), []byte{0}) && wall >= 0 {
			v := version(wall, replication.Region(region))
			got, key, ok := ParkedVersion(Parked(p, v, a))
			if !ok || got != v || !bytes.Equal(key, a) {
				t.Errorf("parked %v %q, %v", got, key, ok)
			}
		}
		if x, y := Data(table.ID(id), 0, a), Data(table.ID(id), 0, b); bytes.Compare(x, y) != bytes.Compare(a, b) {
			t.Errorf("data keys order unlike %q and %q", a, b)
		}
	})
}

// FuzzPrint prints any bytes.
func FuzzPrint(f *testing.F) {
	for _, k := range inOrder {
		f.Add(k.key)
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		if Print(key) == "" {
			t.Errorf("%x prints as nothing", key)
		}
	})
}
