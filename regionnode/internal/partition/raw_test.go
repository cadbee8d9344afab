package partition_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"antipode/regionnode/internal/partition"
	"antipode/regionnode/table"
)

func systemSpec() partition.Spec {
	return partition.Spec{ID: 3, Table: 1, Members: []table.NodeID{1}}
}

// TestRaw goes through each kind of expectation, and through a restart.
func TestRaw(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, vfs.NewMem())
	p := createPartition(t, w, systemSpec())
	type op = partition.RawOp
	k := func(s string) []byte { return []byte(s) }
	for _, c := range []struct {
		name string
		ops  []op
		err  error
	}{
		{"create", []op{{Key: k("a"), Value: k("1"), ExpectAbsent: true}, {Key: k("b"), Value: []byte{}, Unconditional: true}}, nil},
		{"create again", []op{{Key: k("a"), Value: k("2"), ExpectAbsent: true}}, partition.ErrConflict},
		{"empty is not absent", []op{{Key: k("b"), Value: k("2"), ExpectAbsent: true}}, partition.ErrConflict},
		{"all or nothing", []op{{Key: k("c"), Value: k("3"), Unconditional: true}, {Key: k("a"), Value: k("2"), Expect: k("0")}}, partition.ErrConflict},
		{"swap", []op{{Key: k("a"), Value: k("2"), Expect: k("1")}}, nil},
		{"delete", []op{{Key: k("b"), Expect: []byte{}}}, nil},
	} {
		watch := p.WatchRaw()
		if err := p.ApplyRaw(ctx, c.ops); !errors.Is(err, c.err) {
			t.Fatalf("%s: %v", c.name, err)
		}
		if c.err == nil {
			<-watch
		}
	}
	check := func(p *partition.Partition) {
		t.Helper()
		pairs, err := p.ScanRaw(ctx, nil)
		if err != nil || fmt.Sprintf("%s", pairs) != "[{a 2}]" {
			t.Fatalf("%s %v", pairs, err)
		}
		if v, ok, err := p.GetRaw(ctx, k("a")); string(v) != "2" || !ok || err != nil {
			t.Fatal(v, ok, err)
		}
		if _, ok, err := p.GetRaw(ctx, k("b")); ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	check(p)
	w.stop()
	w.start()
	p, _ = w.host.Partition(3)
	check(p)
	if err := p.ApplyRaw(ctx, []op{{Key: k("a"), Unconditional: true}, {Key: k("a"), Unconditional: true}}); err == nil {
		t.Fatal("one key twice was accepted")
	}
}

// TestRawCounter counts up by compare-and-set from many goroutines; none is lost.
func TestRawCounter(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, vfs.NewMem())
	p := createPartition(t, w, systemSpec())
	key := []byte("n")
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for done := 0; done < 20; {
				old, ok, err := p.GetRaw(ctx, key)
				if err != nil {
					t.Error(err)
					return
				}
				n, _ := strconv.Atoi(string(old))
				err = p.ApplyRaw(ctx, []partition.RawOp{{
					Key: key, Value: []byte(strconv.Itoa(n + 1)), Expect: old, ExpectAbsent: !ok,
				}})
				if err == nil {
					done++
				} else if !errors.Is(err, partition.ErrConflict) {
					t.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	if v, _, err := p.GetRaw(ctx, key); string(v) != "160" {
		t.Fatalf("%s %v", v, err)
	}
}
