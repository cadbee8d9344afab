package main

import (
	"fmt"
	"sort"
	"strings"
)

// emitChecks writes the rules of scalar shapes and one check method for each
// structure that has anything to check.
func emitChecks(p *printer, m *model) error {
	c := &checks{model: m, rules: map[string]string{}, worth: map[string]bool{}}
	c.findWorth()
	body := new(printer)
	for _, st := range m.Structs {
		c.structure(body, st)
	}
	names := make([]string, 0, len(c.rules))
	for name := range c.rules {
		names = append(names, name)
	}
	sort.Strings(names)
	p.f("// The rules of the model's scalar shapes.")
	p.f("var (")
	for _, name := range names {
		p.f("%s = rule{%s}", name, c.rules[name])
	}
	p.f(")\n")
	_, err := p.Write(body.Bytes())
	return err
}

type checks struct {
	*model
	rules map[string]string // variable name to its literal's fields
	worth map[string]bool   // shapes that have something to check
}

// findWorth marks structures from the leaves up until nothing changes.
func (c *checks) findWorth() {
	for changed := true; changed; {
		changed = false
		for _, st := range c.Structs {
			if c.worth[st.Shape] {
				continue
			}
			worth := len(st.Required) > 0
			for _, mm := range st.Members {
				worth = worth || c.matters(mm.Shape) || bounds[st.Name+"."+mm.Name] != bound{}
			}
			if worth {
				c.worth[st.Shape], changed = true, true
			}
		}
	}
}

// matters tells whether a value of the shape can violate anything.
func (c *checks) matters(name string) bool {
	if name == "AttributeValue" || unchecked[name] {
		return false
	}
	s := c.shapes[name]
	switch s.Type {
	case "structure":
		return c.worth[name]
	case "list":
		return s.Min != nil || s.Max != nil || c.matters(s.Member.Shape)
	case "map":
		return s.Min != nil || s.Max != nil || tableRefs[s.Key.Shape] || s.Value.Shape != "AttributeValue" && c.matters(s.Value.Shape)
	}
	return s.Min != nil || s.Max != nil || s.Pattern != "" || len(s.Enum) > 0 || tableRefs[name]
}

func (c *checks) structure(p *printer, st *structure) {
	if !c.worth[st.Shape] {
		if st.Input {
			p.f("func (in *%s) check(*validator) {}\n", st.Name)
		}
		return
	}
	p.f("func (in *%s) check(v *validator) {", st.Name)
	for _, mm := range st.Members {
		c.member(p, st, mm)
	}
	p.f("}\n")
}

func (c *checks) member(p *printer, st *structure, mm member) {
	key, field := st.Name+"."+mm.Name, "in."+mm.Name
	if st.Required[mm.Name] {
		p.f("if %s {", c.absent(mm))
		switch {
		case missing[key] != "":
			p.f("v.bare(%q)", missing[key])
		case st.Input && mm.Name == "TableName":
			p.f("v.noTable()")
		default:
			p.f("v.null(%q)", mm.Name)
		}
		p.f("}")
	}
	if mm.Shape == "AttributeValue" {
		return
	}
	switch mm.typ.Type {
	case "structure":
		if c.worth[mm.Shape] {
			p.f("if %s != nil {\nv.enter(%q)\n%s.check(v)\nv.leave()\n}", field, mm.Name, field)
		}
	case "list":
		b := c.bounds(key, mm.typ)
		c.length(p, b, field, mm.Name)
		c.elements(p, field, mm.Name, mm.typ.Member.Shape)
	case "map":
		c.mapping(p, st, mm, field)
	default:
		c.scalar(p, key, mm, field)
	}
}

// absent is the Go condition for a member that is not there.
func (c *checks) absent(mm member) string {
	field := "in." + mm.Name
	switch {
	case mm.Shape == "AttributeValue":
		return field + ".Kind() == item.Invalid"
	case mm.typ.Type == "structure" || mm.typ.Type == "list" || mm.typ.Type == "map":
		return field + " == nil"
	}
	return "!" + field + ".Set"
}

func (c *checks) bounds(key string, s *shape) bound {
	if b, ok := bounds[key]; ok {
		return b
	}
	b := bound{0, -1}
	if s.Min != nil {
		b.min = *s.Min
	}
	if s.Max != nil {
		b.max = *s.Max
	}
	return b
}

// length writes the check of a list's or map's length; max -1 is unbounded.
func (c *checks) length(p *printer, b bound, field, name string) {
	var cond []string
	if b.min > 0 {
		cond = append(cond, fmt.Sprintf("len(%s) < %d", field, b.min))
	}
	if b.max >= 0 {
		cond = append(cond, fmt.Sprintf("len(%s) > %d", field, b.max))
	}
	if len(cond) == 0 {
		return
	}
	p.f("if %s != nil && (%s) {", field, strings.Join(cond, " || "))
	p.f("v.length(%q, len(%s), %d, %d, %s)\n}", name, field, b.min, b.max, field)
}

// elements writes the loop over a list whose elements can violate something.
func (c *checks) elements(p *printer, field, name, elem string) {
	if !c.matters(elem) {
		return
	}
	s := c.shapes[elem]
	p.f("for i := range %s {", field)
	p.f("v.enterAt(%q, i)", name)
	switch s.Type {
	case "structure":
		p.f("%s[i].check(v)", field)
	case "string":
		p.f("v.element(%s[i], &%s)", field, c.rule(elem, s))
	default:
		panic("wiregen: no check for a list of " + elem)
	}
	p.f("v.leave()\n}")
}

func (c *checks) mapping(p *printer, st *structure, mm member, field string) {
	s := mm.typ
	if !c.matters(mm.Shape) {
		return
	}
	c.length(p, c.bounds("", s), field, mm.Name)
	if s.Value.Shape == "AttributeValue" {
		return
	}
	value := c.shapes[s.Value.Shape]
	if tableRefs[s.Key.Shape] {
		p.f("if %sbadTableKey(%s) {\nv.tableKeys(%q, %s)\n}", c.lastly(st), field, mm.Name, field)
	}
	if value.Type == "list" {
		b := c.bounds("", value)
		p.f("for i := range %s {", field)
		p.f("if n := len(%s[i].Value); n < %d || n > %d {", field, b.min, b.max)
		p.f("v.values(%q, %d, %d, %s)\nbreak\n}\n}", mm.Name, b.min, b.max, field)
	}
	p.f("for i := range %s {", field)
	p.f("v.enterKey(%q, %s[i].Key)", mm.Name, field)
	switch value.Type {
	case "structure":
		p.f("%s[i].Value.check(v)", field)
	case "string":
		p.f("v.element(%s[i].Value, &%s)", field, c.rule(s.Value.Shape, value))
	case "list":
		p.f("for j := range %s[i].Value {", field)
		p.f("v.enterElement(j)\n%s[i].Value[j].check(v)\nv.leave()\n}", field)
	}
	p.f("v.leave()\n}")
}

// lastly: BatchWriteItem reports a malformed table name only when nothing else
// is wrong.
func (c *checks) lastly(st *structure) string {
	if st.Name == "BatchWriteItemInput" {
		return "v.clean() && "
	}
	return ""
}

func (c *checks) scalar(p *printer, key string, mm member, field string) {
	s := mm.typ
	if !c.matters(mm.Shape) {
		return
	}
	switch s.Type {
	case "string":
		rule := c.rule(mm.Shape, s)
		if set, ok := namelessEnums[key]; ok {
			inside, lone := loneEnums[key]
			p.f("v.nameless(%q, %s, &%s, %q, %v, %v)", mm.Name, field, rule, set, lone, !lone || inside)
			return
		}
		p.f("v.text(%q, %s, &%s)", mm.Name, field, rule)
	case "integer", "long":
		b := bound{noMin, noMax}
		if s.Min != nil {
			b.min = *s.Min
		}
		if s.Max != nil {
			b.max = *s.Max
		}
		p.f("v.number(%q, %s, %s, %s)", mm.Name, field, number(b.min), number(b.max))
	}
}

const (
	noMin = -1 << 63
	noMax = 1<<63 - 1
)

func number(n int64) string {
	switch n {
	case noMin:
		return "noMin"
	case noMax:
		return "noMax"
	}
	return fmt.Sprint(n)
}

// rule names the rule of a string shape and records it.
func (c *checks) rule(name string, s *shape) string {
	var fields []string
	if tableRefs[name] {
		fields = append(fields, "table: true")
	}
	if s.Min != nil {
		fields = append(fields, fmt.Sprintf("min: %d", *s.Min))
	}
	if s.Max != nil {
		fields = append(fields, fmt.Sprintf("max: %d", *s.Max))
	}
	if s.Pattern != "" {
		fields = append(fields, fmt.Sprintf("pattern: %q", s.Pattern))
		if s.Pattern == "[a-zA-Z0-9_.-]+" {
			fields = append(fields, "match: isName")
		} else {
			fields = append(fields, fmt.Sprintf("match: lazily(%q)", goPattern(s.Pattern)))
		}
	}
	if len(s.Enum) > 0 {
		order := enumOrder[name]
		if order == nil {
			order = hashOrder(s.Enum)
		}
		fields = append(fields, fmt.Sprintf("enum: %#v", order))
	}
	v := "rule" + name
	c.rules[v] = strings.Join(fields, ", ")
	return v
}
