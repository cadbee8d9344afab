package conformance

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/cockroachdb/datadriven"
)

// TestPartiQL runs the scripts in testdata/partiql: statements, one a line, and
// what each answers. In statements and answers, T is the script's table, whose
// real name has as many characters in every run: error texts tell columns.
func TestPartiQL(t *testing.T) {
	datadriven.Walk(t, "testdata/partiql", func(t *testing.T, path string) {
		s := &statements{client: in(target.regions[0])}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return s.run(t, d) })
	})
}

// statements is the state of one script.
type statements struct {
	client *dynamodb.Client
	table  string
}

var scriptTables atomic.Int64

func (s *statements) run(t *testing.T, d *datadriven.TestData) string {
	var out strings.Builder
	lines := strings.Split(strings.TrimSpace(d.Input), "\n")
	switch d.Cmd {
	case "table":
		s.create(t, d.Input)
	case "run", "pages":
		for _, line := range lines {
			fmt.Fprintf(&out, "%s\n%s", line, s.statement(t, d, line))
		}
	case "transaction":
		out.WriteString(s.transaction(t, d, lines))
	case "await":
		s.await(t, d, lines[0])
	case "batch":
		out.WriteString(s.batch(t, d, lines))
	default:
		t.Fatalf("no directive %s", d.Cmd)
	}
	return strings.ReplaceAll(out.String(), s.table, "T")
}

// create makes the script's table of CreateTable's JSON.
func (s *statements) create(t *testing.T, text string) {
	t.Helper()
	var in dynamodb.CreateTableInput
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		t.Fatal(err)
	}
	s.table = fmt.Sprintf("partiql-%08x-%02x", os.Getpid(), scriptTables.Add(1))
	in.TableName, in.BillingMode = &s.table, types.BillingModePayPerRequest
	if _, err := s.client.CreateTable(t.Context(), &in); err != nil {
		t.Fatalf("create table: %v", err)
	}
	t.Cleanup(func() {
		_, _ = s.client.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: in.TableName})
	})
	awaitTable(t, target.regions[0], s.table)
}

// statement runs one statement, with what stands behind " ?? " as its
// parameters, and gives its answer: an item a line, or the error. pages follows
// NextToken.
func (s *statements) statement(t *testing.T, d *datadriven.TestData, line string) string {
	in := &dynamodb.ExecuteStatementInput{}
	in.Statement, in.Parameters = s.parameters(t, line)
	if d.HasArg("consistent") {
		in.ConsistentRead = aws.Bool(true)
	}
	if d.HasArg("old") {
		in.ReturnValuesOnConditionCheckFailure = types.ReturnValuesOnConditionCheckFailureAllOld
	}
	if d.HasArg("capacity") {
		in.ReturnConsumedCapacity = types.ReturnConsumedCapacityIndexes
	}
	limit := 0
	if d.MaybeScanArgs(t, "limit", &limit) {
		in.Limit = aws.Int32(int32(limit))
	}
	var out strings.Builder
	for {
		got, err := s.client.ExecuteStatement(t.Context(), in)
		if err != nil {
			return out.String() + "  " + errorText(err) + "\n"
		}
		if len(got.Items) == 0 {
			out.WriteString("  none\n")
		}
		for _, it := range got.Items {
			out.WriteString("  " + itemText(it) + "\n")
		}
		if c := got.ConsumedCapacity; c != nil {
			out.WriteString("  " + capacityText(c) + "\n")
		}
		if d.Cmd != "pages" || got.NextToken == nil {
			return out.String()
		}
		out.WriteString("  --\n")
		in.NextToken = got.NextToken
	}
}

// await runs a statement until it gives as many items as count says: indexes
// follow their table.
func (s *statements) await(t *testing.T, d *datadriven.TestData, line string) {
	count := 0
	d.ScanArgs(t, "count", &count)
	text, params := s.parameters(t, line)
	eventually(t, line, func(ctx context.Context) (string, bool) {
		got, err := s.client.ExecuteStatement(ctx, &dynamodb.ExecuteStatementInput{Statement: text, Parameters: params})
		if err != nil {
			return err.Error(), false
		}
		return fmt.Sprintf("%d items", len(got.Items)), len(got.Items) == count
	})
}

// parameters cuts a line into a statement and its parameters.
func (s *statements) parameters(t *testing.T, line string) (*string, []types.AttributeValue) {
	t.Helper()
	text, params, _ := strings.Cut(line, " ?? ")
	text = strings.NewReplacer(`"T"`, `"`+s.table+`"`, `\n`, "\n").Replace(text)
	if params == "" {
		return &text, nil
	}
	var values []any
	if err := json.Unmarshal([]byte(params), &values); err != nil {
		t.Fatalf("%s: %v", params, err)
	}
	var out []types.AttributeValue
	for _, v := range values {
		out = append(out, attribute(t, v))
	}
	return &text, out
}

func (s *statements) batch(t *testing.T, d *datadriven.TestData, lines []string) string {
	in := &dynamodb.BatchExecuteStatementInput{}
	if d.HasArg("capacity") {
		in.ReturnConsumedCapacity = types.ReturnConsumedCapacityIndexes
	}
	for _, line := range lines {
		m := types.BatchStatementRequest{}
		if rest, ok := strings.CutPrefix(line, "consistent "); ok {
			m.ConsistentRead, line = aws.Bool(true), rest
		}
		m.Statement, m.Parameters = s.parameters(t, line)
		in.Statements = append(in.Statements, m)
	}
	got, err := s.client.BatchExecuteStatement(t.Context(), in)
	if err != nil {
		return errorText(err) + "\n"
	}
	var out strings.Builder
	for _, r := range got.Responses {
		switch {
		case r.Error != nil:
			fmt.Fprintf(&out, "%s: %s", r.Error.Code, aws.ToString(r.Error.Message))
		case r.Item != nil:
			out.WriteString(itemText(r.Item))
		default:
			out.WriteString("none")
		}
		fmt.Fprintf(&out, " (%s)\n", aws.ToString(r.TableName))
	}
	for i := range got.ConsumedCapacity {
		out.WriteString(capacityText(&got.ConsumedCapacity[i]) + "\n")
	}
	return out.String()
}

// transaction runs all lines as one transaction.
func (s *statements) transaction(t *testing.T, d *datadriven.TestData, lines []string) string {
	in := &dynamodb.ExecuteTransactionInput{}
	if d.HasArg("capacity") {
		in.ReturnConsumedCapacity = types.ReturnConsumedCapacityIndexes
	}
	token := ""
	if d.MaybeScanArgs(t, "token", &token) {
		in.ClientRequestToken = aws.String(s.table + token)
	}
	for _, line := range lines {
		m := types.ParameterizedStatement{}
		if d.HasArg("old") {
			m.ReturnValuesOnConditionCheckFailure = types.ReturnValuesOnConditionCheckFailureAllOld
		}
		m.Statement, m.Parameters = s.parameters(t, line)
		in.TransactStatements = append(in.TransactStatements, m)
	}
	var out strings.Builder
	got, err := s.client.ExecuteTransaction(t.Context(), in)
	if err != nil {
		out.WriteString(errorText(err) + "\n")
		var canceled *types.TransactionCanceledException
		if errors.As(err, &canceled) {
			for _, r := range canceled.CancellationReasons {
				fmt.Fprintf(&out, "  %s: %s", aws.ToString(r.Code), aws.ToString(r.Message))
				if r.Item != nil {
					out.WriteString(" " + itemText(r.Item))
				}
				out.WriteString("\n")
			}
		}
		return out.String()
	}
	for _, r := range got.Responses {
		out.WriteString(itemText(r.Item) + "\n")
	}
	for i := range got.ConsumedCapacity {
		c := &got.ConsumedCapacity[i]
		fmt.Fprintf(&out, "%s read %v write %v\n", capacityText(c), aws.ToFloat64(c.ReadCapacityUnits), aws.ToFloat64(c.WriteCapacityUnits))
	}
	return out.String() + "done\n"
}

func errorText(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return err.Error()
	}
	text := api.ErrorCode() + ": " + api.ErrorMessage()
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) && failed.Item != nil {
		text += " " + itemText(failed.Item)
	}
	return text
}

func capacityText(c *types.ConsumedCapacity) string {
	text := fmt.Sprintf("units %v table %v", aws.ToFloat64(c.CapacityUnits), aws.ToFloat64(c.Table.CapacityUnits))
	for name, x := range c.GlobalSecondaryIndexes {
		text += fmt.Sprintf(" %s %v", name, aws.ToFloat64(x.CapacityUnits))
	}
	for name, x := range c.LocalSecondaryIndexes {
		text += fmt.Sprintf(" %s %v", name, aws.ToFloat64(x.CapacityUnits))
	}
	return text
}

// itemText is an item in PartiQL's own notation, names and elements of sets in
// byte order.
func itemText(it map[string]types.AttributeValue) string {
	return valueText(&types.AttributeValueMemberM{Value: it})
}

func valueText(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return "'" + v.Value + "'"
	case *types.AttributeValueMemberN:
		return v.Value
	case *types.AttributeValueMemberB:
		return "b" + base64.StdEncoding.EncodeToString(v.Value)
	case *types.AttributeValueMemberBOOL:
		return strconv.FormatBool(v.Value)
	case *types.AttributeValueMemberNULL:
		return "null"
	case *types.AttributeValueMemberL:
		var parts []string
		for _, e := range v.Value {
			parts = append(parts, valueText(e))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case *types.AttributeValueMemberM:
		var parts []string
		for name, e := range v.Value {
			parts = append(parts, name+": "+valueText(e))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	case *types.AttributeValueMemberSS:
		return setText(v.Value)
	case *types.AttributeValueMemberNS:
		return setText(v.Value)
	case *types.AttributeValueMemberBS:
		var parts []string
		for _, e := range v.Value {
			parts = append(parts, base64.StdEncoding.EncodeToString(e))
		}
		return setText(parts)
	}
	return fmt.Sprint(v)
}

func setText(parts []string) string {
	slices.Sort(parts)
	return "<<" + strings.Join(parts, ", ") + ">>"
}

// attribute is the attribute value of DynamoDB's JSON.
func attribute(t *testing.T, v any) types.AttributeValue {
	t.Helper()
	for kind, content := range v.(map[string]any) {
		switch kind {
		case "S":
			return &types.AttributeValueMemberS{Value: content.(string)}
		case "N":
			return &types.AttributeValueMemberN{Value: content.(string)}
		case "B":
			return &types.AttributeValueMemberB{Value: decoded(t, content)}
		case "BOOL":
			return &types.AttributeValueMemberBOOL{Value: content.(bool)}
		case "NULL":
			return &types.AttributeValueMemberNULL{Value: content.(bool)}
		case "SS":
			return &types.AttributeValueMemberSS{Value: texts(content)}
		case "NS":
			return &types.AttributeValueMemberNS{Value: texts(content)}
		case "BS":
			out := &types.AttributeValueMemberBS{}
			for _, e := range content.([]any) {
				out.Value = append(out.Value, decoded(t, e))
			}
			return out
		case "L":
			out := &types.AttributeValueMemberL{Value: []types.AttributeValue{}}
			for _, e := range content.([]any) {
				out.Value = append(out.Value, attribute(t, e))
			}
			return out
		case "M":
			out := &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{}}
			for name, e := range content.(map[string]any) {
				out.Value[name] = attribute(t, e)
			}
			return out
		}
	}
	t.Fatalf("no attribute value: %v", v)
	return nil
}

func decoded(t *testing.T, v any) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(v.(string))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func texts(v any) []string {
	out := []string{}
	for _, e := range v.([]any) {
		out = append(out, e.(string))
	}
	return out
}
