package expr

import (
	"bytes"
	"encoding"
	"strconv"
	"strings"
	"testing"

	"antipode/regionnode/item"

	"pgregory.net/rapid"
)

// placeholders prints trees as DynamoDB takes them: every name and value as a
// placeholder.
func placeholders() (*printer, *Substitutions) {
	s := NewSubstitutions(map[string]string{}, map[string]item.Value{})
	return &printer{
		name: func(name string) string {
			key := "#n" + strconv.Itoa(len(s.names))
			s.names[key] = name
			return key
		},
		value: func(v item.Value) string {
			key := ":v" + strconv.Itoa(len(s.values))
			s.values[key] = v
			return key
		},
	}, s
}

// sample is what fuzzed expressions are about.
func sample(t testing.TB) (item.Item, *Substitutions) {
	values := map[string]item.Value{}
	for key, src := range map[string]string{
		":s": `{"S":"a"}`, ":n": `{"N":"1"}`, ":b": `{"B":"YQ=="}`, ":t": `{"BOOL":true}`, ":z": `{"NULL":true}`,
		":l": `{"L":[{"S":"x"}]}`, ":m": `{"M":{"k":{"N":"2"}}}`, ":ss": `{"SS":["a","b"]}`, ":ns": `{"NS":["1"]}`,
		":bs": `{"BS":["YQ=="]}`, ":k": `{"S":"S"}`,
	} {
		values[key] = decodeValue(t, src)
	}
	names := map[string]string{"#a": "a", "#b": "b", "#c": "odd name", "#d": ""}
	it := decodeItem(t, `{"a":{"S":"abc"},"b":{"N":"5"},"c":{"L":[{"S":"x"},{"M":{"d":{"N":"1"}}}]},
		"d":{"M":{"e":{"SS":["a","c"]},"f":{"M":{"g":{"S":"deep"}}}}},"odd name":{"NS":["1","2"]},"t":{"BOOL":true}}`)
	return it, NewSubstitutions(names, values)
}

var seeds = []string{
	`a = :s`, `NOT (a < :n OR b > :n) AND #c <> :ns`, `a BETWEEN :n AND b AND c[0] IN (:s, d.e)`,
	`attribute_exists(a) AND attribute_not_exists(d.f.x)`, `attribute_type(a, :k) OR begins_with(a, :s)`,
	`contains(d.e, :s) AND size(c) >= :n`, `((a = :s) OR (a = b))`, `(size(a)) > :n`,
	`SET a = :s, c[1].d = b + :n REMOVE d.f.g ADD #c :ns DELETE d.e :ss`, `SET x = if_not_exists(y, (:n))`,
	`SET c = list_append(c, if_not_exists(z, :l)), b = (b - :n)`, `REMOVE c[0], c[1]`, `ADD b :n`,
	`a, c[0], d.f.g, #c`, `a.b.c[1][2].d`, `#d`, `a = :s AND`, `((a = :s))`, `!!!`, `ü`, `a[99999999999]`,
}

// FuzzParse checks that whatever parses prints as an expression that parses to
// the same tree, and that the tree survives its binary form and can be
// evaluated.
func FuzzParse(f *testing.F) {
	for _, src := range seeds {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		it, s := sample(t)
		if c, err := ParseCondition(ConditionExpression, src, s); err == nil {
			roundTripCondition(t, it, c)
		} else if strings.HasPrefix(message(err), "not a") {
			t.Fatal(err)
		}
		if u, err := ParseUpdate(src, s); err == nil {
			roundTripUpdate(t, it, u)
		}
		if p, err := ParseProjection(src, s); err == nil {
			printed, again := placeholders()
			printed.projection(p)
			q, err := ParseProjection(printed.String(), again)
			sameTree(t, src, p, q, err)
			var decoded Projection
			reencode(t, p, &decoded)
			if b, err := p.Append(nil, it.Encode()); it != nil && (err != nil || string(b) != string(p.Apply(it).Encode())) {
				t.Fatalf("Append of %s gives %x, %v", it, b, err)
			}
			if a, b := p.Apply(it), decoded.Apply(it); !a.Equal(b) {
				t.Fatalf("%s: %s, decoded %s", src, a, b)
			}
		}
		_, _ = ParseKeyCondition(src, s)
	})
}

func roundTripCondition(t *testing.T, it item.Item, c *Condition) {
	printed, again := placeholders()
	printed.node(&c.root)
	if len(printed.String()) <= maxExpression {
		d, err := ParseCondition(ConditionExpression, printed.String(), again)
		sameTree(t, printed.String(), c, d, err)
	}
	var decoded Condition
	reencode(t, c, &decoded)
	want, _ := c.Eval(it)
	if got, _ := decoded.Eval(it); got != want {
		t.Fatalf("%s: %v, decoded %v", c, want, got)
	}
	printed, again = placeholders()
	printed.node(&node{op: opNot, args: []node{c.root}})
	not := strings.Replace(printed.String(), "NOT ", "NOT (", 1) + ")"
	if d, err := ParseCondition(ConditionExpression, not, again); err == nil {
		if got, _ := d.Eval(it); got == want {
			t.Fatalf("%s and its opposite are both %v", c, got)
		}
	}
}

func roundTripUpdate(t *testing.T, it item.Item, u *Update) {
	printed, again := placeholders()
	printed.update(u)
	if len(printed.String()) <= maxExpression {
		v, err := ParseUpdate(printed.String(), again)
		sameTree(t, printed.String(), u, v, err)
	}
	var decoded Update
	reencode(t, u, &decoded)
	before := it.String()
	got, err := u.Apply(it)
	got2, err2 := decoded.Apply(it)
	if (err == nil) != (err2 == nil) || !got.Equal(got2) {
		t.Fatalf("%s: %s %v, decoded %s %v", u, got, err, got2, err2)
	}
	if it.String() != before {
		t.Fatalf("%s changed the old item", u)
	}
	if err != nil && strings.HasPrefix(message(err), "not a") {
		t.Fatal(err)
	}
	for i := 1; i < len(got); i++ {
		if got[i-1].Name >= got[i].Name {
			t.Fatalf("%s: attributes out of order: %s", u, got)
		}
	}
}

// sameTree fails unless src parsed to the tree of want.
func sameTree(t *testing.T, src string, want, got encoding.BinaryMarshaler, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s printed: %v", src, err)
	}
	a, _ := want.MarshalBinary()
	b, _ := got.MarshalBinary()
	if !bytes.Equal(a, b) {
		t.Fatalf("%s: %v parsed again is %v", src, want, got)
	}
}

// reencode decodes from into to and fails unless to encodes the same.
func reencode(t *testing.T, from encoding.BinaryMarshaler, to interface {
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}) {
	t.Helper()
	a, err := from.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if err := to.UnmarshalBinary(a); err != nil {
		t.Fatalf("%v: %v", from, err)
	}
	if b, _ := to.MarshalBinary(); !bytes.Equal(a, b) {
		t.Fatalf("%v: encoded again is %v", from, to)
	}
}

// FuzzUnmarshal checks that no bytes make a tree that breaks its evaluation.
func FuzzUnmarshal(f *testing.F) {
	_, s := sample(f)
	for _, src := range seeds {
		var m encoding.BinaryMarshaler
		if c, err := ParseCondition(ConditionExpression, src, s); err == nil {
			m = c
		} else if u, err := ParseUpdate(src, s); err == nil {
			m = u
		} else if p, err := ParseProjection(src, s); err == nil {
			m = p
		} else {
			continue
		}
		b, _ := m.MarshalBinary()
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		it, _ := sample(t)
		var c Condition
		if c.UnmarshalBinary(b) == nil {
			_, _ = c.Eval(it)
			_ = c.String()
		}
		var u Update
		if u.UnmarshalBinary(b) == nil {
			_, _ = u.Apply(it)
			_ = u.Updated(it)
			_ = u.String()
		}
		var p Projection
		if p.UnmarshalBinary(b) == nil {
			_ = p.Apply(it)
			_ = p.String()
		}
	})
}

// TestLogic evaluates random conditions over attributes that exist or do not,
// and compares with the same formula worked out directly.
func TestLogic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		exists := rapid.SliceOfN(rapid.Bool(), 4, 4).Draw(t, "exists")
		it := item.Item{}
		for i, e := range exists {
			if e {
				it = it.Set("x"+strconv.Itoa(i), item.Null())
			}
		}
		var formula func(depth int) (string, bool)
		formula = func(depth int) (string, bool) {
			kind := rapid.IntRange(0, 4).Draw(t, "kind")
			if depth == 0 || kind == 0 {
				i := rapid.IntRange(0, 3).Draw(t, "attribute")
				return "attribute_exists(x" + strconv.Itoa(i) + ")", exists[i]
			}
			a, x := formula(depth - 1)
			if kind == 1 {
				return "NOT " + wrapped(a), !x
			}
			b, y := formula(depth - 1)
			if kind == 2 {
				return wrapped(a) + " AND " + wrapped(b), x && y
			}
			return a + " OR " + b, x || y
		}
		src, want := formula(4)
		c, err := ParseCondition(FilterExpression, src, nil)
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		if got, _ := c.Eval(it); got != want {
			t.Fatalf("%s is %v, want %v", src, got, want)
		}
	})
}

func wrapped(src string) string {
	if strings.Contains(src, " ") {
		return "(" + src + ")"
	}
	return src
}

// TestSet checks that SET at a random place puts the value there, and leaves
// everything else.
func TestSet(t *testing.T) {
	base, s := sample(t)
	rapid.Check(t, func(t *rapid.T) {
		path := rapid.SampledFrom([]string{
			"a", "b", "c", "c[0]", "c[1]", "c[1].d", "c[1].x", "d", "d.e", "d.f", "d.f.g", "d.x", "#c", "#d", "x",
		}).Draw(t, "path")
		value := rapid.SampledFrom([]string{":s", ":n", ":l", ":m", ":ss"}).Draw(t, "value")
		u, err := ParseUpdate("SET "+path+" = "+value, s)
		if err != nil {
			t.Fatal(err)
		}
		updated, err := u.Apply(base)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := u.actions[0].path.lookup(updated); !ok || !got.Equal(s.values[value]) {
			t.Fatalf("%s: %s", u, updated)
		}
		if part := u.Updated(updated); len(part) != 1 || part[0].Name != u.Attributes()[0] {
			t.Fatalf("%s: updated part %s", u, part)
		}
		// Putting back what was there makes the item what it was.
		back := &Update{}
		if old, ok := u.actions[0].path.lookup(base); ok {
			back = newUpdate([]node{{op: opSet, path: u.actions[0].path, args: []node{{op: opValue, val: old}}}})
		} else {
			back = newUpdate([]node{{op: opRemove, path: u.actions[0].path}})
		}
		if restored, err := back.Apply(updated); err != nil || !restored.Equal(base) {
			t.Fatalf("%s then %s: %s", u, back, restored)
		}
	})
}
