package item

import (
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// TestMake: sorted, unique, the last of a name kept, on both sides of the
// length at which the way of sorting changes.
func TestMake(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(rapid.IntRange(0, 60), 0, 80).Draw(t, "names")
		last := map[string]int{}
		fields := make([]Field, len(names))
		for i, n := range names {
			name := strconv.Itoa(n)
			fields[i] = Field{name, Num(NumberFromInt64(int64(i)))}
			last[name] = i
		}
		it := Make(fields)
		if len(it) != len(last) || !slices.IsSortedFunc(it, func(a, b Field) int { return cmpString(a.Name, b.Name) }) {
			t.Fatalf("%v becomes %v", names, it)
		}
		for name, i := range last {
			if v, ok := it.Get(name); !ok || v.Number() != NumberFromInt64(int64(i)) {
				t.Fatalf("%s of %v is %v, want %d", name, names, v, i)
			}
		}
	})
}

func cmpString(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

// TestSetRemove: copies differ in the one attribute, originals stay.
func TestSetRemove(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		it := items(1).Draw(t, "item")
		before := it.String()
		name := rapid.String().Draw(t, "name")
		if len(it) > 0 && rapid.Bool().Draw(t, "present") {
			name = it[rapid.IntRange(0, len(it)-1).Draw(t, "index")].Name
		}
		set := it.Set(name, Str("new"))
		if v, ok := set.Get(name); !ok || v.Text() != "new" || !set.Remove(name).Equal(it.Remove(name)) {
			t.Fatalf("setting %q in %s gives %s", name, before, set)
		}
		if _, ok := set.Remove(name).Get(name); ok {
			t.Fatalf("removing %q from %s leaves it", name, set)
		}
		if it.String() != before {
			t.Fatalf("%s became %s", before, it)
		}
	})
}

// TestAccessors: asked for another kind's content, a value answers with nothing.
func TestAccessors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := values(2).Draw(t, "value")
		k := v.Kind()
		if k != S && k != B && v.Text() != "" || k != N && !v.Number().IsZero() || k != BOOL && v.Bool() ||
			k != M && v.Fields() != nil || k != L && !k.IsSet() && v.Elems() != nil {
			t.Fatalf("%v answers as another kind", v)
		}
	})
}

func TestEqual(t *testing.T) {
	a := Set(SS, []Value{Str("x"), Str("y")})
	for _, c := range []struct {
		a, b Value
		want bool
	}{
		{a, Set(SS, []Value{Str("y"), Str("x")}), true},
		{a, Set(SS, []Value{Str("y"), Str("z")}), false},
		{List([]Value{Str("x"), Str("y")}), List([]Value{Str("y"), Str("x")}), false},
		{Num(parse(t, "1.0")), Num(parse(t, "1")), true},
		{Str("a"), Bin("a"), false},
		{Bool(true), Bool(false), false},
		{Null(), Null(), true},
		{Value{}, Value{}, true},
		{Value{}, Null(), false},
		{Map(Item{{"a", a}}), Map(Item{{"a", Set(SS, []Value{Str("y"), Str("x")})}}), true},
		{Map(Item{{"a", a}}), Map(Item{{"b", a}}), false},
		{List(nil), List([]Value{}), true},
	} {
		if got := Equal(c.a, c.b); got != c.want {
			t.Errorf("%v equals %v: %v", c.a, c.b, got)
		}
		if got := Equal(c.b, c.a); got != c.want {
			t.Errorf("%v equals %v: %v", c.b, c.a, got)
		}
	}
}

// TestDocumentSize has the developer guide's rule: 3 bytes for a list or map and
// 1 for each entry.
func TestDocumentSize(t *testing.T) {
	for _, c := range []struct {
		v    Value
		want int
	}{
		{Str("héllo"), 6},
		{Bin("\x00\x01"), 2},
		{Bool(true), 1},
		{Null(), 1},
		{List(nil), 3},
		{Map(nil), 3},
		{List([]Value{Str("ab"), Null()}), 3 + 2 + 2 + 1},
		{Map(Item{{"key", Str("ab")}}), 3 + 1 + 3 + 2},
		{Set(SS, []Value{Str("ab"), Str("c")}), 3},
		{Set(NS, []Value{Num(parse(t, "100")), Num(parse(t, "-7"))}), 2 + 3},
		{Value{}, 0},
	} {
		if got := c.v.Size(); got != c.want {
			t.Errorf("%v costs %d, want %d", c.v, got, c.want)
		}
	}
}
