package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"antipode/localstack/cluster"
)

// run is one call of the command line.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := command()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestPartitionsAreListedAndSplit(t *testing.T) {
	dir := t.TempDir()
	c, err := cluster.Start(t.Context(), cluster.Config{Regions: []string{"us-east-1", "eu-west-1"}, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	createNotes(t, c.Info().Endpoint, "eu-west-1")
	here := []string{"--data", dir, "--region", "eu-west-1"}
	rows := func() []string {
		t.Helper()
		out, err := run(t, append([]string{"partition", "list", "notes"}, here...)...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(out), "\n")[1:]
	}
	if list := rows(); len(list) != 1 || !strings.Contains(list[0], " 0000000000000000 ") || !strings.Contains(list[0], "eu-west-1-1") {
		t.Fatalf("%q", list)
	}
	out, err := run(t, append([]string{"partition", "split", "notes"}, here...)...)
	if err != nil || !strings.Contains(out, "ends before hash 8000000000000000, where partition ") {
		t.Fatalf("%q, %v", out, err)
	}
	first := strings.Fields(rows()[0])[0]
	out, err = run(t, append([]string{"partition", "split", "notes", "--partition", first, "--at", "123456789abcdef0", "--json"}, here...)...)
	if err != nil || !strings.Contains(out, `"end":"123456789abcdef0"`) || !strings.Contains(out, `"start":"123456789abcdef0"`) {
		t.Fatalf("%q, %v", out, err)
	}
	if list := rows(); len(list) != 3 || !strings.Contains(list[1], " 123456789abcdef0 ") || !strings.Contains(list[2], " 8000000000000000 ") {
		t.Fatalf("%q", list)
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"another table":     {append([]string{"partition", "split", "none"}, here...), "Requested resource not found: Table: none not found"},
		"another region":    {[]string{"partition", "list", "notes", "--data", dir, "--region", "us-east-1"}, "Requested resource not found: Table: notes not found"},
		"no region":         {[]string{"partition", "list", "notes", "--data", dir, "--region", "mars-1"}, "region mars-1 does not run on " + dir},
		"another partition": {append([]string{"partition", "split", "notes", "--partition", "5"}, here...), "Table notes has no partition 5."},
		"no hash":           {append([]string{"partition", "split", "notes", "--at", "xyz"}, here...), `"xyz" is no hash of up to 16 hex digits above 0`},
		"an outer hash":     {append([]string{"partition", "split", "notes", "--partition", first, "--at", "f"}, here...), ""},
		"its first hash":    {append([]string{"partition", "split", "notes", "--at", "8000000000000000"}, here...), "it begins at 8000000000000000"},
		"nothing runs":      {[]string{"partition", "list", "notes", "--data", t.TempDir()}, "nothing runs on"},
		"no node":           {[]string{"partition", "list", "notes", "--admin", "http://127.0.0.1:1"}, "connection refused"},
	} {
		_, err := run(t, test.args...)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func createNotes(t *testing.T, endpoint, region string) {
	t.Helper()
	db := dynamodb.New(dynamodb.Options{Region: region, BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")})
	_, err := db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("notes"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
	})
	if err == nil {
		err = dynamodb.NewTableExistsWaiter(db, func(o *dynamodb.TableExistsWaiterOptions) { o.MinDelay = 10 * time.Millisecond }).Wait(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("notes")}, time.Minute)
	}
	if err != nil {
		t.Fatal(err)
	}
}
