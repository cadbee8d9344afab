package wire

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"antipode/regionnode/item"
)

// This file prints values into messages. It runs only when a request is
// refused, so it may use reflection.

// javaString prints v as DynamoDB's Java does: [a, b], {k=v},
// KeySchemaElement(attributeName=pk, keyType=HASH).
func javaString(v any) string {
	var b strings.Builder
	java(&b, reflect.ValueOf(v))
	return b.String()
}

var (
	valueType = reflect.TypeFor[item.Value]()
	itemType  = reflect.TypeFor[item.Item]()
	timeType  = reflect.TypeFor[time.Time]()
)

func java(b *strings.Builder, v reflect.Value) {
	switch v.Type() {
	case valueType:
		javaValue(b, v.Interface().(item.Value))
		return
	case itemType:
		javaItem(b, v.Interface().(item.Item))
		return
	case timeType:
		b.WriteString(v.Interface().(time.Time).Format(time.RFC3339Nano))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			b.WriteString("null")
			return
		}
		java(b, v.Elem())
	case reflect.Slice:
		javaSlice(b, v)
	case reflect.Struct:
		javaStruct(b, v)
	default:
		fmt.Fprint(b, v.Interface())
	}
}

// isMap tells a Map from a list; both are slices.
func isMap(t reflect.Type) bool { return strings.HasPrefix(t.Name(), "Map[") }

// isOpt tells an optional scalar from a structure.
func isOpt(t reflect.Type) bool { return strings.HasPrefix(t.Name(), "Opt[") }

func javaSlice(b *strings.Builder, v reflect.Value) {
	left, right := "[", "]"
	if isMap(v.Type()) {
		left, right = "{", "}"
	}
	if v.IsNil() {
		b.WriteString("null")
		return
	}
	b.WriteString(left)
	for i := range v.Len() {
		if i > 0 {
			b.WriteString(", ")
		}
		e := v.Index(i)
		if isMap(v.Type()) {
			b.WriteString(e.Field(0).String() + "=")
			e = e.Field(1)
		}
		java(b, e)
	}
	b.WriteString(right)
}

func javaStruct(b *strings.Builder, v reflect.Value) {
	t := v.Type()
	if isOpt(t) {
		if !v.Field(1).Bool() {
			b.WriteString("null")
			return
		}
		java(b, v.Field(0))
		return
	}
	b.WriteString(t.Name() + "(")
	for i := range t.NumField() {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(lowerFirst(t.Field(i).Name) + "=")
		java(b, v.Field(i))
	}
	// A member that the service has and the model lacks.
	if t == reflect.TypeFor[PutRequest]() {
		b.WriteString(", workloadProfileName=null")
	}
	b.WriteString(")")
}

func javaItem(b *strings.Builder, it item.Item) {
	if it == nil {
		b.WriteString("null")
		return
	}
	b.WriteByte('{')
	for i, f := range it {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(f.Name + "=")
		javaValue(b, f.Value)
	}
	b.WriteByte('}')
}

// javaMembers are AttributeValue's members as Java prints them; some belong to
// types that the public API does not have.
var javaMembers = []struct {
	name string
	kind item.Kind
}{
	{"s", item.S}, {"n", item.N}, {"b", item.B}, {"iNT", item.Invalid}, {"dECIMAL", item.Invalid}, {"dOUBLE", item.Invalid},
	{"sS", item.SS}, {"nS", item.NS}, {"bS", item.BS}, {"iNTSET", item.Invalid}, {"dECIMALSET", item.Invalid}, {"dOUBLESET", item.Invalid},
	{"m", item.M}, {"l", item.L}, {"nULL", item.NULL}, {"bOOL", item.BOOL},
}

func javaValue(b *strings.Builder, v item.Value) {
	b.WriteString("AttributeValue(")
	for i, m := range javaMembers {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(m.name + "=")
		if m.kind == item.Invalid || m.kind != v.Kind() {
			b.WriteString("null")
			continue
		}
		javaContent(b, v)
	}
	b.WriteByte(')')
}

func javaContent(b *strings.Builder, v item.Value) {
	switch v.Kind() {
	case item.B:
		n := strconv.Itoa(len(v.Text()))
		b.WriteString("java.nio.HeapByteBuffer[pos=0 lim=" + n + " cap=" + n + "]")
	case item.N:
		b.WriteString(v.Number().String())
	case item.BOOL:
		b.WriteString(strconv.FormatBool(v.Bool()))
	case item.NULL:
		b.WriteString("true")
	case item.M:
		javaItem(b, v.Fields())
	case item.L, item.SS, item.NS, item.BS:
		b.WriteByte('[')
		for i, e := range v.Elems() {
			if i > 0 {
				b.WriteString(", ")
			}
			if v.Kind() == item.L {
				javaValue(b, e)
			} else {
				javaContent(b, e)
			}
		}
		b.WriteByte(']')
	default:
		b.WriteString(v.Text())
	}
}

// jsonString prints v as the request's JSON, absent members left out.
func jsonString(v any) string {
	w := NewWriter()
	defer w.Free()
	writeJSON(w, reflect.ValueOf(v))
	return string(w.Bytes())
}

func writeJSON(w *Writer, v reflect.Value) {
	switch x := v.Interface().(type) {
	case *BatchStatements:
		writeJSON(w, reflect.ValueOf(x.BatchExecuteStatementInput))
		return
	case *TransactActions:
		writeJSON(w, reflect.ValueOf(x.TransactWriteItemsInput))
		return
	case item.Value:
		w.Value(x)
		return
	case item.Item:
		w.Raw(x.AppendJSON(nil))
		return
	case time.Time:
		w.Time(x)
		return
	case []byte:
		w.String(base64.StdEncoding.EncodeToString(x))
		return
	}
	switch t := v.Type(); {
	case v.Kind() == reflect.Pointer:
		writeJSON(w, v.Elem())
	case v.Kind() == reflect.Slice && isMap(t):
		w.BeginObject()
		for i := range v.Len() {
			w.Name(v.Index(i).Field(0).String())
			writeJSON(w, v.Index(i).Field(1))
		}
		w.EndObject()
	case v.Kind() == reflect.Slice:
		w.BeginArray()
		for i := range v.Len() {
			writeJSON(w, v.Index(i))
		}
		w.EndArray()
	case v.Kind() == reflect.Struct && isOpt(t):
		writeJSON(w, v.Field(0))
	case v.Kind() == reflect.Struct:
		w.BeginObject()
		for i := range t.NumField() {
			if present(v.Field(i)) {
				w.Name(t.Field(i).Name)
				writeJSON(w, v.Field(i))
			}
		}
		w.EndObject()
	case v.Kind() == reflect.String:
		w.String(v.String())
	case v.Kind() == reflect.Bool:
		w.Bool(v.Bool())
	case v.Kind() == reflect.Int64:
		w.Int(v.Int())
	default:
		w.Float(v.Float())
	}
}

// present tells whether a member was in the request.
func present(v reflect.Value) bool {
	switch {
	case v.Type() == valueType:
		return v.Interface().(item.Value).Kind() != item.Invalid
	case v.Kind() == reflect.Struct:
		return v.Field(1).Bool() // Opt's Set
	}
	return !v.IsNil()
}
