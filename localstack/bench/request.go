package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// host is what every request is signed for; the connection decides where it
// goes, so floors and product get the same bytes.
const host = "dynamodb.us-east-1.amazonaws.com"

// signed is one DynamoDB request as raw HTTP/1.1, signed as an SDK signs it.
func signed(region, operation, body string) ([]byte, error) {
	r, err := http.NewRequest(http.MethodPost, "http://"+host+"/", strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	r.Header.Set("Accept-Encoding", "identity")
	r.Header.Set("User-Agent", "antipode-bench")
	sum := sha256.Sum256([]byte(body))
	keys := aws.Credentials{AccessKeyID: "bench", SecretAccessKey: "bench"}
	err = v4.NewSigner().SignHTTP(context.Background(), keys, r, hex.EncodeToString(sum[:]), "dynamodb", region, time.Now())
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	var raw bytes.Buffer
	if err := r.Write(&raw); err != nil {
		return nil, fmt.Errorf("serialize request: %w", err)
	}
	return raw.Bytes(), nil
}

// signedAll signs one request for each body.
func signedAll(region, operation string, bodies []string) ([][]byte, error) {
	out := make([][]byte, len(bodies))
	for i, body := range bodies {
		raw, err := signed(region, operation, body)
		if err != nil {
			return nil, err
		}
		out[i] = raw
	}
	return out, nil
}

// keyCount is how many different items the workloads touch: more than any
// number of connections, so that writers rarely meet on one key.
const keyCount = 4096

// withHeader adds a header, which the signature does not cover, to raw requests.
func withHeader(requests [][]byte, name, value string) [][]byte {
	out := make([][]byte, len(requests))
	for i, raw := range requests {
		line := bytes.Index(raw, []byte("\r\n")) + 2
		out[i] = slices.Concat(raw[:line], []byte(name+": "+value+"\r\n"), raw[line:])
	}
	return out
}

func bodies(format func(i int) string) []string {
	out := make([]string, keyCount)
	for i := range out {
		out[i] = format(i)
	}
	return out
}

// The workloads' requests. An item has ten attributes and about 1 KB.
func putBody(i int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"TableName":"bench","Item":{"pk":{"S":"key-%06d"},"n":{"N":"%d"}`, i, i)
	for a := range 8 {
		fmt.Fprintf(&b, `,"attribute%d":{"S":"%s"}`, a, strings.Repeat(string(rune('a'+a)), 112))
	}
	b.WriteString("}}")
	return b.String()
}

func getBody(i int, consistent bool) string {
	return fmt.Sprintf(`{"TableName":"bench","Key":{"pk":{"S":"key-%06d"}},"ConsistentRead":%t}`, i, consistent)
}

func updateBody(i int) string {
	return fmt.Sprintf(`{"TableName":"bench","Key":{"pk":{"S":"key-%06d"}},"UpdateExpression":"SET n = n + :one","ExpressionAttributeValues":{":one":{"N":"1"}}}`, i)
}

// listBody puts items of about 100 bytes, run of them to a partition key.
func listBody(table string, run int) func(i int) string {
	text := strings.Repeat("q", 80)
	return func(i int) string {
		return fmt.Sprintf(`{"TableName":"%s","Item":{"pk":{"S":"list-%06d"},"sk":{"N":"%d"},"text":{"S":"%s"}}}`, table, i/run, i%run, text)
	}
}

// queryBody reads one partition key of a table that listBody filled.
func queryBody(table string, run int) func(i int) string {
	return func(i int) string {
		return fmt.Sprintf(`{"TableName":"%s","KeyConditionExpression":"pk = :p","ExpressionAttributeValues":{":p":{"S":"list-%06d"}}}`, table, i/run)
	}
}

// batchGetBody reads 100 items of the list tables' size.
func batchGetBody(i int) string {
	var keys []string
	for k := range 100 {
		n := (i*100 + k) % keyCount
		keys = append(keys, fmt.Sprintf(`{"pk":{"S":"list-%06d"},"sk":{"N":"%d"}}`, n/longRun, n%longRun))
	}
	return `{"RequestItems":{"benchlong":{"Keys":[` + strings.Join(keys, ",") + `]}}}`
}

// transactBody puts three items in one transaction, the last into another table;
// transactions of neighbouring requests share no item.
func transactBody(table, last string) func(i int) string {
	return func(i int) string {
		var puts []string
		for k, name := range []string{table, table, last} {
			puts = append(puts, fmt.Sprintf(`{"Put":{"TableName":"%s","Item":{"pk":{"S":"t-%06d-%d"},"text":{"S":"%s"}}}}`, name, i, k, strings.Repeat("t", 300)))
		}
		return `{"TransactItems":[` + strings.Join(puts, ",") + `]}`
	}
}

// tokenMark stands in a request where each sending puts a token of its own.
const tokenMark = "token-to-be-replaced"

// withToken adds a ClientRequestToken.
func withToken(format func(int) string) func(int) string {
	return func(i int) string {
		return strings.Replace(format(i), "{", `{"ClientRequestToken":"`+tokenMark+`",`, 1)
	}
}

// indexedBody is putBody into a table with one global index; the index's key
// changes with each write, so that every write moves an entry.
func indexedBody(i int) string {
	return strings.Replace(putBody(i), `"TableName":"bench"`, `"TableName":"benchindexed"`, 1)
}

// shortRun and longRun are how many items share a partition key.
const (
	shortRun = 10
	longRun  = 100
)

// tables are the bodies of the CreateTable requests, by name.
var tables = map[string]string{
	"bench":          hashTable("bench", ""),
	"benchtransact":  hashTable("benchtransact", ""),
	"benchtransact2": hashTable("benchtransact2", ""),
	"benchindexed": hashTable("benchindexed", `,"GlobalSecondaryIndexes":[{"IndexName":"by-n","KeySchema":[{"AttributeName":"n","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}]`,
		`,{"AttributeName":"n","AttributeType":"N"}`),
	"benchlist": listTable("benchlist"),
	"benchlong": listTable("benchlong"),
}

func hashTable(name, more string, attributes ...string) string {
	return `{"TableName":"` + name + `","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"}` +
		strings.Join(attributes, "") + `],"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}]` + more + `}`
}

func listTable(name string) string {
	return `{"TableName":"` + name + `","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"},{"AttributeName":"sk","AttributeType":"N"}],"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"sk","KeyType":"RANGE"}]}`
}
