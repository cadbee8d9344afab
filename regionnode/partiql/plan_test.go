package partiql

import (
	"bytes"
	"fmt"
	"testing"

	"antipode/regionnode/apierr"
	"antipode/regionnode/item"

	"pgregory.net/rapid"
)

// where generates conditions on pk, sk and x, as text.
func where(t *rapid.T, depth int) string {
	if depth > 0 {
		switch rapid.IntRange(0, 6).Draw(t, "how") {
		case 0:
			return "(" + where(t, depth-1) + " OR " + where(t, depth-1) + ")"
		case 1, 2:
			return "(" + where(t, depth-1) + " AND " + where(t, depth-1) + ")"
		case 3:
			return "NOT " + where(t, depth-1)
		case 4:
			return "pk = 'a' AND (" + where(t, depth-1) + ")"
		}
	}
	hash := rapid.SampledFrom([]string{"'a'", "'b'", "'c'"})
	number := rapid.IntRange(0, 4)
	switch rapid.IntRange(0, 7).Draw(t, "leaf") {
	case 0, 1:
		return "pk = " + hash.Draw(t, "hash")
	case 2:
		return fmt.Sprintf("pk IN [%s, %s]", hash.Draw(t, "hash"), hash.Draw(t, "hash"))
	case 3, 4:
		op := rapid.SampledFrom([]string{"=", "<>", "<", "<=", ">", ">="}).Draw(t, "op")
		return fmt.Sprintf("sk %s %d", op, number.Draw(t, "sk"))
	case 5:
		low := number.Draw(t, "low")
		return fmt.Sprintf("sk BETWEEN %d AND %d", low, low+number.Draw(t, "more"))
	case 6:
		return fmt.Sprintf("sk IN [%d, %d]", number.Draw(t, "sk"), number.Draw(t, "sk"))
	}
	return fmt.Sprintf("x = %d", number.Draw(t, "x"))
}

// TestRunsAgree: whatever a WHERE clause is taken apart into finds each item
// that it holds for, once, and no other.
func TestRunsAgree(t *testing.T) {
	d := plannedTable()
	var items []item.Item
	for _, pk := range []string{"a", "b", "c"} {
		for sk := range int64(5) {
			for _, x := range []int64{0, 1} {
				items = append(items, item.Make([]item.Field{{Name: "pk", Value: item.Str(pk)},
					{Name: "sk", Value: item.Num(item.NumberFromInt64(sk))}, {Name: "x", Value: item.Num(item.NumberFromInt64(x))}}))
			}
		}
	}
	planned, keyed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		src := "SELECT * FROM t WHERE " + where(t, rapid.IntRange(0, 4).Draw(t, "depth"))
		s, err := Parse(src)
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.Bind(nil)
		if err != nil {
			if apierr.Of(err) == nil {
				t.Fatal(err)
			}
			return
		}
		r, err := b.Read(d, false)
		if err != nil {
			if apierr.Of(err) == nil {
				t.Fatal(err)
			}
			return
		}
		planned++
		if r.Runs != nil {
			keyed++
		}
		whole := b.where.compile().Condition()
		for _, it := range items {
			holds, err := whole.Eval(it)
			if err != nil {
				t.Fatal(err)
			}
			want := 0
			if holds {
				want = 1
			}
			if got := found(t, r, it); got != want {
				t.Fatalf("%s finds %s %d times, want %d:\n%s", src, it.AppendJSON(nil), got, want, readText(d, r))
			}
		}
	})
	if planned == 0 || keyed == 0 {
		t.Errorf("%d plans, %d of them with a key", planned, keyed)
	}
}

// found counts how often a read comes upon an item.
func found(t *rapid.T, r *Read, it item.Item) int {
	if r.Runs == nil {
		if holds, err := r.Filter.Eval(it); err != nil || holds {
			return 1
		}
		return 0
	}
	key, err := plannedTable().Key.Key(nil, it)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i := range r.Runs {
		run := &r.Runs[i]
		if bytes.Compare(key, run.Low) < 0 || bytes.Compare(key, run.High) >= 0 {
			continue
		}
		if holds, err := run.Filter.Eval(it); err != nil || holds {
			n++
		}
	}
	return n
}
