package partiql

import (
	"fmt"
	"strings"
	"testing"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
	"antipode/regionnode/item/jsonscan"
	"antipode/regionnode/table"

	"github.com/cockroachdb/datadriven"
)

// TestScripts runs the scripts in testdata/scripts: statements, one a line, and
// what each is printed as (parse), or planned as on the table of plannedTable
// (plan, get), or the error's message.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out strings.Builder
			for _, line := range strings.Split(strings.TrimSpace(d.Input), "\n") {
				result, err := script(t, d.Cmd, line)
				if err != nil {
					result = "error: " + apierr.Of(err).Message
				}
				fmt.Fprintf(&out, "%s\n  %s\n", line, strings.ReplaceAll(result, "\n", "\n  "))
			}
			return out.String()
		})
	})
}

func script(t *testing.T, cmd, line string) (string, error) {
	src, params, _ := strings.Cut(line, " ?? ")
	s, err := Parse(src)
	if err != nil {
		return "", err
	}
	if cmd == "parse" {
		return s.String(), nil
	}
	b, err := s.Bind(values(t, params))
	if err != nil {
		return "", err
	}
	d := plannedTable()
	switch {
	case cmd == "get":
		key, _, ok, err := b.Get(d)
		if err != nil || !ok {
			return "not by the key alone", err
		}
		return string(key.AppendJSON(nil)), nil
	case s.Kind() == Select:
		r, err := b.Read(d, false)
		if err != nil {
			return "", err
		}
		return readText(d, r), nil
	}
	w, err := b.Write(d)
	if err != nil {
		return "", err
	}
	return writeText(w), nil
}

// values are attribute values in DynamoDB JSON, with blanks between them.
func values(t *testing.T, text string) []item.Value {
	t.Helper()
	var out []item.Value
	for _, part := range strings.Fields(text) {
		var s jsonscan.Scanner
		s.Init([]byte(part))
		v, err := item.DecodeValue(&s)
		if err != nil {
			t.Fatalf("%s: %v", part, err)
		}
		out = append(out, v)
	}
	return out
}

// plannedTable has the key pk (S), sk (N), a local index l on pk and ls (S) and
// a global one g on gh (B), both of keys only.
func plannedTable() *table.Descriptor {
	keys := table.Projection{Type: "KEYS_ONLY"}
	return &table.Descriptor{
		ID: 1, Name: "t", Status: table.Active,
		Attributes: []table.Attribute{{Name: "pk", Type: "S"}, {Name: "sk", Type: "N"}, {Name: "ls", Type: "S"}, {Name: "gh", Type: "B"}},
		Key:        table.KeySchema{Hash: []string{"pk"}, Range: []string{"sk"}},
		Locals:     []table.Index{{Name: "l", Local: 1, Status: table.Active, Key: table.KeySchema{Hash: []string{"pk"}, Range: []string{"ls"}}, Projection: keys}},
		Globals:    []table.Index{{Name: "g", Table: 2, Status: table.Active, Key: table.KeySchema{Hash: []string{"gh"}}, Projection: keys}},
	}
}

// readText tells a read's runs by the key values that bound them.
func readText(d *table.Descriptor, r *Read) string {
	var out []string
	if r.Index != nil {
		out = append(out, "index "+r.Index.Name)
	}
	if r.Backward {
		out = append(out, "backward")
	}
	if r.Projection != nil {
		out = append(out, "attributes "+r.Projection.String())
	}
	for _, c := range r.Columns {
		out = append(out, "column "+c.Name)
	}
	if r.Fetch {
		out = append(out, "fetch")
	}
	if r.Runs == nil {
		text := "scan"
		if r.Filter != nil {
			text += " where " + r.Filter.String()
		}
		out = append(out, text)
	}
	for i := range r.Runs {
		run := &r.Runs[i]
		text := "run " + keyText(run.Low) + " to " + keyText(run.High)
		if run.Empty() {
			text += " (empty)"
		}
		if run.Filter != nil {
			text += " where " + run.Filter.String()
		}
		out = append(out, text)
	}
	return strings.Join(out, "\n")
}

// keyText shows a bound: the values in it, and the hex of what is none.
func keyText(key []byte) string {
	var parts []string
	rest := key[min(table.HashLen, len(key)):]
	for len(rest) > 0 {
		v, after, err := item.DecodeOrdered(rest)
		if err != nil {
			parts = append(parts, fmt.Sprintf("%x", rest))
			break
		}
		parts = append(parts, v.String())
		rest = after
	}
	return strings.Join(parts, ",")
}

var opNames = map[regionnode.WriteOp]string{
	regionnode.PutOp: "put", regionnode.UpdateOp: "update", regionnode.DeleteOp: "delete", regionnode.CheckOp: "check",
}

func writeText(w *Write) string {
	it := w.Key
	if w.Op == regionnode.PutOp {
		it = w.Item
	}
	text := opNames[w.Op] + " " + string(it.AppendJSON(nil))
	if w.Update != nil {
		text += "\n" + w.Update.String()
	}
	if w.Condition != nil {
		text += "\nif " + w.Condition.String()
	}
	if w.Return != regionnode.ReturnNone {
		text += fmt.Sprintf("\nreturns %d", w.Return)
	}
	return text
}

// FuzzParse: what parses prints as a statement that prints the same again, and
// nothing that parses fails to bind or plan with anything but a refusal.
func FuzzParse(f *testing.F) {
	for _, src := range []string{
		`SELECT * FROM t`, `SELECT a.b[0], "c d" FROM "t"."l" WHERE pk = 'x' AND (sk > 1 OR NOT sk IN [1, 2]) ORDER BY sk DESC`,
		`SELECT a FROM t WHERE pk IN ['a', ?] AND begins_with(x, 'y') AND n BETWEEN -1 AND +2.5e3 AND m IS NOT MISSING`,
		`INSERT INTO t VALUE {'pk': 'a', 'l': [1, {'k': null}], 's': <<'a', 'b'>>, 'b': true}`,
		`UPDATE t SET a = list_append(a, [1]), b = b - 1 REMOVE c[1] SET s = set_add(s, <<1>>) WHERE pk = 'a' AND sk = 1 RETURNING ALL NEW *`,
		`FROM t WHERE pk = 'a' AND sk = 1 REMOVE a.b`, `DELETE FROM t WHERE pk = 'a' AND sk = 1 RETURNING ALL OLD *`,
		`EXISTS(SELECT * FROM t WHERE pk = 'a' AND sk = 1 AND attribute_exists(b) = true)`,
		`x IS DOUBLE PRECISION`, `SLECT * FROM t`, `select/**/"" from t -- c`, `SELECT a FROM t WHERE ((1))`, `'it''s' = 1;`,
	} {
		f.Add(src)
	}
	d := plannedTable()
	f.Fuzz(func(t *testing.T, src string) {
		s, err := Parse(src)
		if err != nil {
			refused(t, src, err)
			return
		}
		text := s.String()
		again, err := Parse(text)
		if err != nil {
			t.Fatalf("%q prints as %q, which is refused: %v", src, text, err)
		}
		if got := again.String(); got != text {
			t.Fatalf("%q prints as %q, then as %q", src, text, got)
		}
		b, err := s.Bind([]item.Value{item.Str("a"), item.Num(item.NumberFromInt64(1))})
		if err != nil {
			refused(t, src, err)
			return
		}
		if s.Kind() != Select {
			_, err = b.Write(d)
			refused(t, src, err)
			return
		}
		_, err = b.Read(d, false)
		refused(t, src, err)
		_, _, _, err = b.Get(d)
		refused(t, src, err)
	})
}

func refused(t *testing.T, src string, err error) {
	t.Helper()
	if err != nil && apierr.Of(err) == nil {
		t.Fatalf("%q: %v is no refusal", src, err)
	}
}
