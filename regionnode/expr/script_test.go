package expr

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
	"antipode/regionnode/item/jsonscan"
	"antipode/regionnode/table"

	"github.com/cockroachdb/datadriven"
)

// TestScripts runs the scripts in testdata. names, values and item set what the
// directives after them use; the others take one expression a line and answer
// each with what it parses to, what it does, or the error's message.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &script{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return s.run(t, d)
		})
	})
}

// script is the state of one script.
type script struct {
	names  map[string]string
	values map[string]item.Value
	it     item.Item
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "names":
		s.names = map[string]string{}
		for _, line := range lines(d.Input) {
			key, name, _ := strings.Cut(line, " ")
			s.names[key] = name
		}
		return ""
	case "values":
		s.values = map[string]item.Value{}
		for _, line := range lines(d.Input) {
			key, value, _ := strings.Cut(line, " ")
			s.values[key] = decodeValue(t, value)
		}
		return ""
	case "item":
		s.it = decodeItem(t, d.Input)
		return ""
	case "no-item":
		s.it = nil
		return ""
	}
	if f := s.legacy(t, d); f != nil {
		return f()
	}
	var out strings.Builder
	for _, line := range lines(d.Input) {
		result, err := s.expression(t, d, line, NewSubstitutions(s.names, s.values))
		if err != nil {
			result = "error: " + message(err)
		}
		fmt.Fprintf(&out, "%s\n  %s\n", line, result)
	}
	return out.String()
}

func (s *script) expression(t *testing.T, d *datadriven.TestData, src string, subs *Substitutions) (string, error) {
	switch d.Cmd {
	case "parse-condition", "eval":
		c, err := ParseCondition(ConditionExpression, src, subs)
		if err != nil {
			return "", err
		}
		if d.Cmd == "parse-condition" {
			return c.String(), nil
		}
		ok, err := c.Eval(s.it)
		return fmt.Sprint(ok), err
	case "parse-update", "update", "updated":
		u, err := ParseUpdate(src, subs)
		if err != nil {
			return "", err
		}
		return s.update(u, d.Cmd)
	case "parse-projection", "project":
		p, err := ParseProjection(src, subs)
		if err != nil {
			return "", err
		}
		if d.Cmd == "parse-projection" {
			return p.String(), nil
		}
		projected := p.Apply(s.it)
		if s.it != nil {
			// The encoded form is projected by other code.
			if b, err := p.Append(nil, s.it.Encode()); err != nil || string(b) != string(projected.Encode()) {
				return "", fmt.Errorf("Append gives %x, %v", b, err)
			}
		}
		return projected.String(), nil
	case "bind":
		k, err := ParseKeyCondition(src, subs)
		if err != nil {
			return "", err
		}
		return bind(d, k)
	case "unused":
		if _, err := ParseCondition(FilterExpression, src, subs); err != nil {
			return "", err
		}
		return "all used", subs.Unused()
	}
	t.Fatalf("%s: unknown directive %s", d.Pos, d.Cmd)
	return "", nil
}

func (s *script) update(u *Update, cmd string) (string, error) {
	if cmd == "parse-update" {
		return u.String(), nil
	}
	updated, err := u.Apply(s.it)
	if err != nil || cmd == "update" {
		return updated.String(), err
	}
	return "old " + u.Updated(s.it).String() + " new " + u.Updated(updated).String(), nil
}

// bind binds to the schema in the directive's arguments: hash=(a:S, b:N)
// range=(c:S).
func bind(d *datadriven.TestData, k *KeyCondition) (string, error) {
	types := map[string]string{}
	attributes := func(arg string) []string {
		var list []string
		for _, a := range d.CmdArgs {
			for _, v := range a.Vals {
				if a.Key == arg {
					name, kind, _ := strings.Cut(v, ":")
					types[name] = kind
					list = append(list, name)
				}
			}
		}
		return list
	}
	schema := table.KeySchema{Hash: attributes("hash"), Range: attributes("range")}
	r, err := k.Bind(schema, func(name string) string { return types[name] })
	if err != nil {
		return "", err
	}
	ops := [...]string{"", " =", " <", " <=", " >", " >=", " between", " begins"}
	out := fmt.Sprintf("hash %v", r.Hash)
	if len(r.RangeEq) > 0 {
		out += fmt.Sprintf(" equal %v", r.RangeEq)
	}
	if out += ops[r.Op]; r.Op != RangeNone {
		out += " " + r.Low.String()
	}
	if r.Op == RangeBetween {
		out += " and " + r.High.String()
	}
	return out, nil
}

// legacy gives what runs a directive of the older parameters, whose input is
// the parameter's JSON.
func (s *script) legacy(t *testing.T, d *datadriven.TestData) func() string {
	operator := ""
	d.MaybeScanArgs(t, "operator", &operator)
	condition := func(c *Condition, err error) string {
		if err != nil {
			return "error: " + message(err)
		}
		ok, _ := c.Eval(s.it)
		return fmt.Sprintf("%s\n%v", c, ok)
	}
	switch d.Cmd {
	case "expected":
		return func() string { return condition(FromExpected(legacyExpected(t, d.Input), operator)) }
	case "filter":
		return func() string { return condition(FromFilter(legacyConditions(t, d.Input), operator)) }
	case "key-conditions":
		return func() string {
			k, err := FromKeyConditions(legacyConditions(t, d.Input))
			result := ""
			if err == nil {
				result, err = bind(d, k)
			}
			if err != nil {
				return "error: " + message(err)
			}
			return result
		}
	case "attribute-updates":
		return func() string {
			u, err := FromAttributeUpdates(legacyUpdates(t, d.Input))
			result := ""
			if err == nil {
				result, err = s.update(u, "update")
			}
			if err != nil {
				return "error: " + message(err)
			}
			return u.String() + "\n" + result
		}
	}
	return nil
}

// legacyEntry has the members of all older parameters.
type legacyEntry struct {
	ComparisonOperator string
	AttributeValueList []json.RawMessage
	Value              json.RawMessage
	Exists             *bool
	Action             string
}

func legacyEntries(t *testing.T, input string) map[string]legacyEntry {
	var m map[string]legacyEntry
	if err := json.Unmarshal([]byte(input), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func (e legacyEntry) values(t *testing.T) []item.Value {
	var vs []item.Value
	for _, raw := range e.AttributeValueList {
		vs = append(vs, decodeValue(t, string(raw)))
	}
	return vs
}

func (e legacyEntry) value(t *testing.T) item.Value {
	if e.Value == nil {
		return item.Value{}
	}
	return decodeValue(t, string(e.Value))
}

func legacyExpected(t *testing.T, input string) map[string]LegacyExpected {
	m := map[string]LegacyExpected{}
	for name, e := range legacyEntries(t, input) {
		m[name] = LegacyExpected{
			Operator: e.ComparisonOperator, Values: e.values(t), HasList: e.AttributeValueList != nil,
			Value: e.value(t), Exists: e.Exists,
		}
	}
	return m
}

func legacyConditions(t *testing.T, input string) map[string]LegacyCondition {
	m := map[string]LegacyCondition{}
	for name, e := range legacyEntries(t, input) {
		m[name] = LegacyCondition{Operator: e.ComparisonOperator, Values: e.values(t)}
	}
	return m
}

func legacyUpdates(t *testing.T, input string) map[string]LegacyUpdate {
	m := map[string]LegacyUpdate{}
	for name, e := range legacyEntries(t, input) {
		m[name] = LegacyUpdate{Action: e.Action, Value: e.value(t)}
	}
	return m
}

// message is what a client would read; only refusals that reach clients may
// come out of this package.
func message(err error) string {
	if e := apierr.Of(err); e != nil && e.Code == apierr.Validation {
		return e.Message
	}
	return fmt.Sprintf("not a ValidationException: %v", err)
}

func lines(input string) []string {
	return strings.Split(strings.TrimSuffix(input, "\n"), "\n")
}

func decodeItem(t testing.TB, src string) item.Item {
	var sc jsonscan.Scanner
	sc.Init([]byte(src))
	it, err := item.DecodeItem(&sc)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	return it
}

func decodeValue(t testing.TB, src string) item.Value {
	var sc jsonscan.Scanner
	sc.Init([]byte(src))
	v, err := item.DecodeValue(&sc)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	return v
}
