package conformance

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// TestPartiQLTokens: a NextToken is good for the statement that gave it, with
// any Limit, and for nothing else.
func TestPartiQLTokens(t *testing.T) {
	region := target.regions[0]
	name := newTable(t, region)
	run := func(token *string, limit int32, statement string, params ...types.AttributeValue) (*dynamodb.ExecuteStatementOutput, error) {
		r := &dynamodb.ExecuteStatementInput{Statement: aws.String(fmt.Sprintf(statement, name)), NextToken: token, Parameters: params}
		if limit > 0 {
			r.Limit = aws.Int32(limit)
		}
		return in(region).ExecuteStatement(t.Context(), r)
	}
	for _, id := range []string{"a", "b", "c"} {
		if _, err := run(nil, 0, `INSERT INTO "%s" VALUE {'id': ?}`, &types.AttributeValueMemberS{Value: id}); err != nil {
			t.Fatal(err)
		}
	}
	const some = `SELECT * FROM "%s" WHERE id <> ?`
	none := &types.AttributeValueMemberS{Value: "none"}
	first, err := run(nil, 1, some, none)
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Items) != 1 || first.NextToken == nil || len(first.LastEvaluatedKey) != 1 {
		t.Fatalf("a page of one has %d items, token %v, last key %v", len(first.Items), first.NextToken, first.LastEvaluatedKey)
	}
	rest, err := run(first.NextToken, 0, some, none)
	if err != nil || len(rest.Items) != 2 || rest.NextToken != nil {
		t.Errorf("the second page: %v, %v", rest, err)
	}
	const foreign = "ValidationException: NextToken does not match request"
	token := *first.NextToken
	changed := "A" + token[1:len(token)-8] + "AAAA" + token[len(token)-4:]
	for what, c := range map[string]struct {
		token, statement string
		param            types.AttributeValue
		want             string
	}{
		"another statement": {token, `SELECT id FROM "%s" WHERE id <> ?`, none, foreign},
		"other parameters":  {token, some, &types.AttributeValueMemberS{Value: "other"}, foreign},
		"a write":           {token, `DELETE FROM "%s" WHERE id = ?`, none, foreign},
		"garbage":           {"garbage", some, none, "ValidationException: Invalid NextToken"},
		"a changed token":   {changed, some, none, foreign},
	} {
		if _, err := run(&c.token, 0, c.statement, c.param); err == nil || errorText(err) != c.want {
			t.Errorf("%s: %v, want %s", what, err, c.want)
		}
	}
}

// deep is a value with levels of maps around a leaf.
func deep(levels int, leaf types.AttributeValue) types.AttributeValue {
	for range levels {
		leaf = &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{"n": leaf}}
	}
	return leaf
}

// TestPartiQLFaultyParameters: of several faults in parameters the first one is
// told, before anything is said of the statement.
func TestPartiQLFaultyParameters(t *testing.T) {
	const nesting = "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
	const unconvertible = "The parameter cannot be converted to a numeric value: abc"
	bad := &types.AttributeValueMemberN{Value: "abc"}
	leaf := &types.AttributeValueMemberS{Value: "leaf"}
	client := in(target.regions[0])
	for _, levels := range []int{40, 100} {
		for what, c := range map[string]struct {
			params []types.AttributeValue
			want   string
		}{
			"deep first":            {[]types.AttributeValue{deep(levels, leaf), bad}, nesting},
			"deep second":           {[]types.AttributeValue{bad, deep(levels, leaf)}, unconvertible},
			"both in one":           {[]types.AttributeValue{deep(levels, bad)}, nesting},
			"deep before too large": {[]types.AttributeValue{deep(levels, leaf), &types.AttributeValueMemberN{Value: "1e126"}}, nesting},
		} {
			_, err := client.ExecuteStatement(t.Context(), &dynamodb.ExecuteStatementInput{Statement: aws.String("no statement"), Parameters: c.params})
			if err == nil || errorText(err) != "ValidationException: "+c.want {
				t.Errorf("%d levels, %s: %v, want %s", levels, what, err, c.want)
			}
			batch, err := client.BatchExecuteStatement(t.Context(), &dynamodb.BatchExecuteStatementInput{Statements: []types.BatchStatementRequest{
				{Statement: aws.String("no statement")}, {Statement: aws.String("no statement"), Parameters: c.params},
			}})
			if err != nil {
				t.Fatal(err)
			}
			if e := batch.Responses[1].Error; e == nil || e.Code != types.BatchStatementErrorCodeEnumValidationError || *e.Message != c.want {
				t.Errorf("%d levels in a batch, %s: %v, want %s", levels, what, e, c.want)
			}
			if e := batch.Responses[0].Error; e == nil || !strings.HasPrefix(*e.Message, "Statement wasn't well formed") {
				t.Errorf("the statement before it: %v", e)
			}
		}
	}
}

// TestPartiQLLargeItems: an item may have 400 KB, however it came to them.
func TestPartiQLLargeItems(t *testing.T) {
	region := target.regions[0]
	name := newTable(t, region)
	run := func(statement string, size int) error {
		p := &types.AttributeValueMemberS{Value: strings.Repeat("x", size)}
		_, err := in(region).ExecuteStatement(context.Background(), &dynamodb.ExecuteStatementInput{
			Statement: aws.String(fmt.Sprintf(statement, name)), Parameters: []types.AttributeValue{p}})
		return err
	}
	const limit = 400<<10 - len("id") - len("a") - len("p")
	const insert, update = `INSERT INTO "%s" VALUE {'id': 'a', 'p': ?}`, `UPDATE "%s" SET p = ? WHERE id = 'a'`
	for _, c := range []struct {
		statement string
		size      int
		want      string
	}{
		{insert, limit + 1, "ValidationException: Item size has exceeded the maximum allowed size"},
		{insert, limit, ""},
		{update, limit, ""},
		{update, limit + 1, "ValidationException: Item size to update has exceeded the maximum allowed size"},
	} {
		got := ""
		if err := run(c.statement, c.size); err != nil {
			got = errorText(err)
		}
		if got != c.want {
			t.Errorf("%s of %d bytes: %q, want %q", c.statement, c.size, got, c.want)
		}
	}
}
