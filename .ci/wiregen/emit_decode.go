package main

import "fmt"

// emitDecoders writes one decode method for each structure. Each assumes that
// the object is open, and leaves it closed; errors stick to the decoder.
func emitDecoders(p *printer, m *model) error {
	p.f("import \"antipode/regionnode/item\"\n")
	for _, st := range m.Structs {
		p.f("func (in *%s) decode(d *decoder) {", st.Name)
		p.f("for d.next() {")
		if len(st.Members) == 0 {
			p.f("d.skip()\n}\n}\n")
			continue
		}
		p.f("switch string(d.name) {")
		for _, mm := range m.shapes[st.Shape].ordered(st) {
			p.f("case %q:", mm.Name)
			m.decodeMember(p, mm)
		}
		p.f("default:\nd.skip()\n}\n}\n}\n")
	}
	return nil
}

// scalarDecoder names the decoder's method for a scalar member.
var scalarDecoder = map[string]string{
	"string": "text", "boolean": "boolean", "integer": "integer", "long": "long", "double": "double", "timestamp": "timestamp",
}

func (m *model) decodeMember(p *printer, mm member) {
	dst := "in." + mm.Name
	if mm.Shape == "AttributeValue" {
		p.f("d.value(&%s, asField)", dst)
		return
	}
	switch mm.typ.Type {
	case "structure":
		p.f("if d.open(asField, %q) {", goName(mm.Shape))
		p.f("%s = new(%s)\n%s.decode(d)\n}", dst, goName(mm.Shape), dst)
	case "list":
		m.decodeList(p, dst, mm.Shape, "asField", 0)
	case "map":
		m.decodeMap(p, dst, mm.Shape, "asField", 0)
	default:
		p.f("d.%s(&%s)", scalarDecoder[mm.typ.Type], dst)
	}
}

// decodeList writes the loop over a list's elements into dst.
func (m *model) decodeList(p *printer, dst, name, place string, depth int) {
	elem := m.shapes[name].Member.Shape
	p.f("if d.list(%s) {", place)
	p.f("%s = []%s{}", dst, m.goType(elem, false))
	p.f("for d.element() {")
	v := m.decodeElement(p, elem, depth)
	p.f("%s = append(%s, %s)\n}\n}", dst, dst, v)
}

// decodeMap writes the loop over a map's entries into dst.
func (m *model) decodeMap(p *printer, dst, name, place string, depth int) {
	s := m.shapes[name]
	if s.Value.Shape == "AttributeValue" {
		p.f("d.item(&%s, %s)", dst, place)
		return
	}
	p.f("if d.mapping(%s, %q) {", place, m.javaType(s.Value.Shape))
	p.f("%s = Map[%s]{}", dst, m.goType(s.Value.Shape, false))
	p.f("for d.next() {")
	p.f("key%d := string(d.name)", depth)
	v := m.decodeElement(p, s.Value.Shape, depth)
	p.f("%s = put(%s, key%d, %s)\n}\n}", dst, dst, depth, v)
}

// decodeElement writes the decoding of a list element or map value, and returns
// the variable that holds it.
func (m *model) decodeElement(p *printer, name string, depth int) string {
	v := fmt.Sprintf("v%d", depth)
	if name == "AttributeValue" {
		p.f("var %s item.Value\nd.value(&%s, asElement)", v, v)
		return v
	}
	s := m.shapes[name]
	switch s.Type {
	case "structure":
		p.f("var %s %s", v, goName(name))
		p.f("if d.open(asElement, %q) {\n%s.decode(d)\n}", goName(name), v)
	case "list":
		p.f("var %s %s", v, m.goType(name, false))
		m.decodeList(p, v, name, "asElement", depth+1)
	case "map":
		p.f("var %s %s", v, m.goType(name, false))
		m.decodeMap(p, v, name, "asElement", depth+1)
	case "string":
		p.f("%s := d.str()", v)
	default:
		panic("wiregen: no element decoder for shape " + name + " of type " + s.Type)
	}
	return v
}

// javaType names a map's value type as the service's messages do.
func (m *model) javaType(name string) string {
	s := m.shapes[name]
	switch s.Type {
	case "string":
		return "java.lang.String"
	case "list":
		return "java.util.List<" + m.javaType(s.Member.Shape) + ">"
	}
	return "com.amazonaws.dynamodb.v20120810." + goName(name)
}
