package functions

import (
	"testing"
	"time"

	"antipode/regionnode/table"
)

// FuzzIterator: an iterator says what was put into it, and nothing else is one.
func FuzzIterator(f *testing.F) {
	f.Add("arn:aws:dynamodb:us-east-1:000000000000:table/T/stream/L", int64(1), uint64(2), uint64(3), uint64(4), int64(5), byte(9))
	f.Fuzz(func(t *testing.T, arn string, made int64, partition, generation, after uint64, since int64, flip byte) {
		it := iterator{arn: arn, made: time.UnixMilli(made), partition: table.PartitionID(partition), generation: generation, after: after, since: since}
		text := it.String()
		if back, err := parseIterator(text); err == nil && back.String() != text {
			t.Fatalf("%s came back as %s", text, back)
		} else if err != nil && arnFits(arn) {
			t.Fatal(err)
		}
		bad := []byte(text)
		at := len(arn) + int(flip)%(len(bad)-len(arn))
		if bad[at] ^= 1 | flip&2; string(bad) == text {
			return
		}
		if back, err := parseIterator(string(bad)); err == nil && back.String() == text {
			t.Fatalf("%s passed for %s", bad, text)
		}
	})
}

// arnFits: no ARN has what ends it in an iterator.
func arnFits(arn string) bool {
	for i := range arn {
		if arn[i] == '|' {
			return false
		}
	}
	return true
}

func TestSequenceNumber(t *testing.T) {
	last := ""
	for _, n := range []uint64{0, 1, 9, 10, 1<<63 + 5, 1<<64 - 1} {
		s := sequenceNumber(n)
		back, ok := parseSequenceNumber(s)
		if len(s) != 21 || back != n || !ok || s <= last {
			t.Errorf("%d is %s is %d, %v", n, s, back, ok)
		}
		last = s
	}
	for _, bad := range []string{"", "1", "000000000000000000001", "118446744073709551616", "12345678901234567890a", "1000000000000000000001"} {
		if n, ok := parseSequenceNumber(bad); ok {
			t.Errorf("%s passed for %d", bad, n)
		}
	}
}

func TestSplitStreamARN(t *testing.T) {
	name, label, ok := splitStreamARN("arn:aws:dynamodb:eu-west-1:123456789012:table/T.x/stream/2026-01-01T00:00:00.000")
	if name != "T.x" || label != "2026-01-01T00:00:00.000" || !ok {
		t.Errorf("got %q %q %v", name, label, ok)
	}
	for _, bad := range []string{"", "arn:aws:dynamodb:eu-west-1:1:table/T", "arn:a:table/T/stream/", "arn:a:table//stream/x", "x:table/T/stream/x", "arn:a:table/T/stream/x/y"} {
		if _, _, ok := splitStreamARN(bad); ok {
			t.Errorf("%q passed", bad)
		}
	}
}
