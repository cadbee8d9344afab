package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/cockroachdb/datadriven"
)

// TestOperations runs the scripts in testdata/operations, a file for each group
// of operations. A command is an operation, its input the request in DynamoDB
// JSON, its output what the SDK makes of the answer: the result, or the error's
// code, message and details.
//
// In requests and answers, $T and other capitals behind a dollar are tables,
// $R is the region and $P tells this run from others; «N*TEXT» in a request is N times TEXT. Arguments:
//
//	table          CreateTable with a body that leaves name and billing out;
//	               name=U makes $U instead of $T
//	show=(A.B,C)   only these members of the answer
//	sort           lists of items in an order that no partition decides
//	until=TEXT     ask again until the answer has TEXT, as indexes follow late
//	wait=T         wait afterwards until the table is ACTIVE
func TestOperations(t *testing.T) {
	datadriven.Walk(t, "testdata/operations", func(t *testing.T, path string) {
		s := &script{region: target.regions[0], tables: map[string]string{}}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return s.run(t, d) })
	})
}

// runID tells one run of the suite from another against the same endpoint.
var runID = time.Now().UnixNano()

// script is the state of one file: its tables by their names in the file.
type script struct {
	region string
	tables map[string]string
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	if d.Cmd == "table" {
		s.create(t, d)
		return ""
	}
	out := s.call(t, d)
	if d.HasArg("until") {
		var want string
		d.ScanArgs(t, "until", &want)
		eventually(t, d.Pos+": "+want, func(context.Context) (string, bool) {
			out = s.call(t, d)
			return out, strings.Contains(out, want)
		})
	}
	if d.HasArg("wait") {
		var name string
		d.ScanArgs(t, "wait", &name)
		awaitTable(t, s.region, s.tables[name])
	}
	return out
}

func (s *script) create(t *testing.T, d *datadriven.TestData) {
	t.Helper()
	name := "T"
	d.MaybeScanArgs(t, "name", &name)
	s.tables[name] = tableName(t)
	in := &dynamodb.CreateTableInput{TableName: aws.String(s.tables[name]), BillingMode: types.BillingModePayPerRequest}
	assign(t, reflect.ValueOf(in).Elem(), s.body(t, d))
	if _, err := s.client().CreateTable(t.Context(), in); err != nil {
		t.Fatalf("create table: %v", err)
	}
	t.Cleanup(func() {
		_, _ = s.client().DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: in.TableName})
	})
	awaitTable(t, s.region, *in.TableName)
}

func (s *script) client() *dynamodb.Client { return in(s.region) }

var repetition = regexp.MustCompile(`«(\d+)\*([^»]*)»`)

// fill puts real names and long texts into a request.
func (s *script) fill(body string) string {
	for short, name := range s.tables {
		body = strings.ReplaceAll(body, "$"+short, name)
	}
	body = strings.ReplaceAll(body, "$R", s.region)
	body = strings.ReplaceAll(body, "$P", strconv.FormatInt(runID, 36))
	return repetition.ReplaceAllStringFunc(body, func(m string) string {
		p := repetition.FindStringSubmatch(m)
		n, _ := strconv.Atoi(p[1])
		return strings.Repeat(p[2], n)
	})
}

// body is a command's request as JSON's values.
func (s *script) body(t *testing.T, d *datadriven.TestData) (body any) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(s.fill(d.Input)))
	decoder.UseNumber()
	if err := decoder.Decode(&body); err != nil {
		t.Fatalf("%s: %v", d.Pos, err)
	}
	return body
}

// call sends one request and tells the answer.
func (s *script) call(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	client := reflect.ValueOf(s.client())
	method := client.MethodByName(d.Cmd)
	if !method.IsValid() {
		t.Fatalf("%s: no operation %s", d.Pos, d.Cmd)
	}
	input := reflect.New(method.Type().In(1).Elem())
	assign(t, input.Elem(), s.body(t, d))
	result := method.Call([]reflect.Value{reflect.ValueOf(t.Context()), input})
	var text string
	if err, failed := result[1].Interface().(error); failed {
		text = refusal(t, err)
	} else {
		text = s.shown(t, d, plain(result[0]))
	}
	for short, name := range s.tables {
		text = strings.ReplaceAll(text, name, "$"+short)
	}
	return strings.ReplaceAll(text, s.region, "$R") + "\n"
}

// shown is the part of an answer that a command asks for.
func (s *script) shown(t *testing.T, d *datadriven.TestData, answer any) string {
	if d.HasArg("sort") {
		sortItems(t, answer)
	}
	var paths []string
	for _, arg := range d.CmdArgs {
		if arg.Key == "show" {
			paths = arg.Vals
		}
	}
	if paths == nil {
		return compact(t, answer)
	}
	var out []string
	for _, path := range paths {
		v := answer
		for _, name := range strings.Split(path, ".") {
			switch x := v.(type) {
			case map[string]any:
				v = x[name]
			case []any:
				i, err := strconv.Atoi(name)
				if v = nil; err == nil && i < len(x) {
					v = x[i]
				}
			default:
				v = nil
			}
		}
		out = append(out, path+" "+compact(t, v))
	}
	return strings.Join(out, "\n")
}

func compact(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// sortItems orders every list in an answer by its elements' text.
func sortItems(t *testing.T, v any) {
	switch x := v.(type) {
	case map[string]any:
		for _, e := range x {
			sortItems(t, e)
		}
	case []any:
		slices.SortFunc(x, func(a, b any) int { return strings.Compare(compact(t, a), compact(t, b)) })
	}
}

// refusal tells an error with its details.
func refusal(t *testing.T, err error) string {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) {
		t.Fatalf("no answer: %v", err)
	}
	text := api.ErrorCode() + ": " + api.ErrorMessage()
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) && failed.Item != nil {
		text += "\n" + compact(t, plain(reflect.ValueOf(failed.Item)))
	}
	var canceled *types.TransactionCanceledException
	if errors.As(err, &canceled) {
		text += "\n" + compact(t, plain(reflect.ValueOf(canceled.CancellationReasons)))
	}
	return text
}

// assign turns a value of JSON into one of the SDK's.
func assign(t *testing.T, dst reflect.Value, src any) {
	t.Helper()
	if dst.Type() == reflect.TypeFor[types.AttributeValue]() {
		dst.Set(reflect.ValueOf(attributeOf(t, src)))
		return
	}
	switch dst.Kind() {
	case reflect.Pointer:
		dst.Set(reflect.New(dst.Type().Elem()))
		assign(t, dst.Elem(), src)
	case reflect.Struct:
		for name, v := range src.(map[string]any) {
			f := dst.FieldByName(name)
			if !f.IsValid() {
				t.Fatalf("%s has no member %s", dst.Type(), name)
			}
			assign(t, f, v)
		}
	case reflect.Map:
		dst.Set(reflect.MakeMap(dst.Type()))
		for name, v := range src.(map[string]any) {
			e := reflect.New(dst.Type().Elem()).Elem()
			assign(t, e, v)
			dst.SetMapIndex(reflect.ValueOf(name), e)
		}
	case reflect.Slice:
		list := src.([]any)
		dst.Set(reflect.MakeSlice(dst.Type(), len(list), len(list)))
		for i, v := range list {
			assign(t, dst.Index(i), v)
		}
	case reflect.String:
		dst.SetString(src.(string))
	case reflect.Bool:
		dst.SetBool(src.(bool))
	default:
		n, err := src.(json.Number).Int64()
		if err != nil {
			t.Fatal(err)
		}
		dst.SetInt(n)
	}
}

// attributeOf reads an attribute value of DynamoDB JSON.
func attributeOf(t *testing.T, src any) types.AttributeValue {
	t.Helper()
	one := src.(map[string]any)
	for kind, v := range one {
		text, _ := v.(string)
		switch kind {
		case "S":
			return &types.AttributeValueMemberS{Value: text}
		case "N":
			return &types.AttributeValueMemberN{Value: text}
		case "B":
			return &types.AttributeValueMemberB{Value: []byte(text)}
		case "BOOL":
			return &types.AttributeValueMemberBOOL{Value: v.(bool)}
		case "NULL":
			return &types.AttributeValueMemberNULL{Value: v.(bool)}
		case "M":
			m := map[string]types.AttributeValue{}
			assign(t, reflect.ValueOf(&m).Elem(), v)
			return &types.AttributeValueMemberM{Value: m}
		case "L":
			var l []types.AttributeValue
			assign(t, reflect.ValueOf(&l).Elem(), v)
			return &types.AttributeValueMemberL{Value: l}
		}
		var texts []string
		assign(t, reflect.ValueOf(&texts).Elem(), v)
		switch kind {
		case "SS":
			return &types.AttributeValueMemberSS{Value: texts}
		case "NS":
			return &types.AttributeValueMemberNS{Value: texts}
		case "BS":
			set := &types.AttributeValueMemberBS{}
			for _, s := range texts {
				set.Value = append(set.Value, []byte(s))
			}
			return set
		}
	}
	t.Fatalf("no attribute value: %v", src)
	return nil
}

// plain turns a value of the SDK into one that JSON shows; absent members are
// left out. Bytes are shown as text.
func plain(v reflect.Value) any {
	if v.Type() == reflect.TypeFor[types.AttributeValue]() {
		value := v.Elem().Elem()
		kind := strings.TrimPrefix(value.Type().Name(), "AttributeValueMember")
		return map[string]any{kind: plain(value.FieldByName("Value"))}
	}
	switch v.Kind() {
	case reflect.Pointer:
		return plain(v.Elem())
	case reflect.Struct:
		out := map[string]any{}
		for i := range v.NumField() {
			f, field := v.Field(i), v.Type().Field(i)
			switch {
			case !field.IsExported() || field.Name == "ResultMetadata":
			case f.Kind() == reflect.String && f.String() == "":
			case (f.Kind() == reflect.Pointer || f.Kind() == reflect.Map || f.Kind() == reflect.Slice) && f.IsNil():
			default:
				out[field.Name] = plain(f)
			}
		}
		return out
	case reflect.Map:
		out := map[string]any{}
		for _, key := range v.MapKeys() {
			out[key.String()] = plain(v.MapIndex(key))
		}
		return out
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return string(v.Bytes())
		}
		out := make([]any, v.Len())
		for i := range out {
			out[i] = plain(v.Index(i))
		}
		return out
	}
	return v.Interface()
}
