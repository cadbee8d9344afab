package expr

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"antipode/regionnode/item"
)

// TestLimits checks each limit at and beyond its edge.
func TestLimits(t *testing.T) {
	one := map[string]item.Value{":v": item.Str("x")}
	parse := func(src string) string {
		_, err := ParseCondition(FilterExpression, src, NewSubstitutions(nil, one))
		if err == nil {
			return ""
		}
		return strings.TrimPrefix(message(err), "Invalid FilterExpression: ")
	}
	joined := func(n int, operand string) string {
		return strings.Repeat(operand+" OR ", n-1) + operand
	}
	for _, c := range []struct{ name, src, want string }{
		{"empty", "", "The expression can not be empty;"},
		{"4096 bytes", strings.Repeat("a", 4091) + " = :v", ""},
		{"4097 bytes", strings.Repeat("a", 4092) + " = :v",
			"Expression size has exceeded the maximum allowed size; expression size: 4097"},
		{"size before syntax", strings.Repeat("!", 5000),
			"Expression size has exceeded the maximum allowed size; expression size: 5000"},
		// n comparisons have n-1 ORs between them.
		{"299 operators", joined(150, "a=:v"), ""},
		{"301 operators", joined(151, "a=:v"), "The expression contains too many operators; operator count: 301"},
		{"401 operators", joined(201, "a=:v"), "The expression contains too many operators; operator count: 301"},
		{"operators before words", joined(151, "b=:v") + " OR status=:v", "The expression contains too many operators; operator count: 301"},
		{"100 operands of IN", "a IN (" + strings.Repeat(":v,", 99) + ":v)", ""},
		{"101 operands of IN", "a IN (" + strings.Repeat(":v,", 100) + ":v)",
			"The IN operator is provided with too many operands; number of operands: 101"},
		{"32 levels", "a" + strings.Repeat("[0]", 31) + " = :v", ""},
		{"33 levels", "a" + strings.Repeat("[0]", 32) + " = :v",
			"The document path has too many nesting levels; nesting levels: 33"},
		{"parentheses without end", strings.Repeat("(", 4096), `Syntax error; token: "<EOF>", near: "("`},
		{"NOT without end", strings.Repeat("NOT ", 1000), `Syntax error; token: "<EOF>", near: "NOT "`},
		{"nested conditions", strings.Repeat("(a=:v OR ", 140) + "a=:v" + strings.Repeat(")", 140), ""},
	} {
		if got := parse(c.src); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestReserved checks the list's length and the words at its edges.
func TestReserved(t *testing.T) {
	if len(reservedWords) != 573 {
		t.Errorf("%d reserved words, want 573", len(reservedWords))
	}
	for _, w := range []string{"ABORT", "abort", "Zone", "status", "size", "name", "LOCALTIMESTAMP", "set"} {
		if !isReserved(w) {
			t.Errorf("%s is not reserved", w)
		}
	}
	for _, w := range []string{"", "pk", "remove", "abort_", "id", "zones", strings.Repeat("A", 100)} {
		if isReserved(w) {
			t.Errorf("%q is reserved", w)
		}
	}
}

// TestAttributes checks what an expression says of the attributes it is about.
func TestAttributes(t *testing.T) {
	s := NewSubstitutions(map[string]string{"#k": "pk"}, map[string]item.Value{":v": item.Str("x"), ":n": item.Num(item.NumberFromInt64(1))})
	c, err := ParseCondition(FilterExpression, "a = :v AND (size(b.c) > :n OR #k = a) AND NOT attribute_exists(l[0])", s)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("condition", c.Attributes(), "a", "b", "pk", "l")
	check("condition, nested", c.NestedAttributes(), "b", "l")
	u, err := ParseUpdate("SET a = b.x, c.d = :v, e = f + :n REMOVE g[0] ADD n :n", s)
	if err != nil {
		t.Fatal(err)
	}
	check("update", u.Attributes(), "a", "c", "e", "g", "n")
	check("update, nested", u.NestedAttributes(), "b", "c", "g")
	for name, want := range map[string]item.Kind{"a": item.Invalid, "c": item.Invalid, "e": item.N, "g": item.Invalid, "n": item.N, "x": item.Invalid} {
		if got := u.TypeOf(name); got != want {
			t.Errorf("type of %s: %v, want %v", name, got, want)
		}
	}
	p, err := ParseProjection("a, b.c, b.d, #k", s)
	if err != nil {
		t.Fatal(err)
	}
	check("projection", p.Attributes(), "a", "b", "pk")
	check("projection, nested", p.NestedAttributes(), "b")
	check("projection of names", ProjectAttributes([]string{"x", "y", "x"}).Attributes(), "x", "y")
	if err := s.Unused(); err != nil {
		t.Error(err)
	}
}

// TestCreates checks which updates make an item where there is none.
func TestCreates(t *testing.T) {
	s := NewSubstitutions(nil, map[string]item.Value{":n": item.Num(item.NumberFromInt64(1)), ":s": item.Set(item.SS, []item.Value{item.Str("a")})})
	for src, want := range map[string]bool{
		"SET a = :n": true, "ADD a :n": true, "REMOVE a": false, "DELETE a :s": false, "REMOVE a DELETE b :s": false, "REMOVE a SET b = :n": true,
	} {
		u, err := ParseUpdate(src, s)
		if err != nil {
			t.Fatal(err)
		}
		if u.Creates() != want {
			t.Errorf("%s: %v, want %v", src, !want, want)
		}
	}
	if !(&Update{}).Creates() {
		t.Error("an update that does nothing makes an item")
	}
}

// TestNoItem checks projections and conditions on an item that does not exist.
func TestNoItem(t *testing.T) {
	p := ProjectAttributes([]string{"a"})
	if got := p.Apply(nil); got != nil {
		t.Errorf("projection of no item: %v", got)
	}
	if got := p.Apply(item.Item{}); got == nil {
		t.Error("the projection of an item without the attribute is no item")
	}
	var none *Condition
	if ok, _ := none.Eval(nil); !ok {
		t.Error("no condition does not hold")
	}
	if got := none.Attributes(); len(got) > 0 {
		t.Errorf("no condition reads %v", got)
	}
}

// TestMalformed checks that trees which no expression makes are refused.
func TestMalformed(t *testing.T) {
	path := node{op: opPath, path: Path{Name: "a"}}
	value := node{op: opValue, val: item.Str("x")}
	for _, n := range []node{
		{op: opEQ, args: []node{path}},
		{op: opAnd},
		{op: opNot, args: []node{path}},
		{op: opBetween, args: []node{path, value}},
		{op: opIn, args: []node{path}},
		{op: opSize, args: []node{path}},
		{op: opSet, path: path.path, args: []node{value}},
		path,
	} {
		b, _ := (&Condition{root: n}).MarshalBinary()
		if err := new(Condition).UnmarshalBinary(b); !errors.Is(err, errCodec) {
			t.Errorf("condition of %v %v: %v", n.op, n.args, err)
		}
	}
	for _, n := range []node{
		{op: opSet, path: path.path},
		{op: opSet, path: path.path, args: []node{{op: opIfNotExists, args: []node{value, value}}}},
		{op: opAdd, path: path.path, args: []node{path}},
		{op: opEQ, args: []node{path, value}},
	} {
		b, _ := (&Update{actions: []node{n}}).MarshalBinary()
		if err := new(Update).UnmarshalBinary(b); !errors.Is(err, errCodec) {
			t.Errorf("update of %v %v: %v", n.op, n.args, err)
		}
	}
	if err := new(Projection).UnmarshalBinary([]byte{9}); err == nil {
		t.Error("a projection of an unknown version was decoded")
	}
}

// TestAllocations holds the evaluation of a condition to no allocation at all.
func TestAllocations(t *testing.T) {
	it, s := sample(t)
	c, err := ParseCondition(FilterExpression,
		"(a = :s OR begins_with(a, :s)) AND b BETWEEN :n AND :n OR NOT contains(d.e, :k) AND size(c) > :n AND c[1].d IN (:s, :n) AND b > :n", s)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if ok, _ := c.Eval(it); !ok {
			t.Fatal("does not hold")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParseUpdate(b *testing.B) {
	_, s := sample(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseUpdate("SET a = :s, b = b + :n REMOVE d.f", s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	it, s := sample(b)
	u, err := ParseUpdate("SET a = :s, b = b + :n REMOVE d.f", s)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := u.Apply(it); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEval(b *testing.B) {
	it, s := sample(b)
	c, err := ParseCondition(FilterExpression, "begins_with(a, :s) AND b > :n AND NOT contains(d.e, :k)", s)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = c.Eval(it)
	}
}
