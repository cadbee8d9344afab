package functions

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// sink is the cheapest http.ResponseWriter.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }

// transact is a transaction of n actions on the table of the benchmark.
func transact(n int, action string, body func(i int) string) string {
	actions := make([]string, n)
	for i := range actions {
		actions[i] = fmt.Sprintf(`{%q:{"TableName":"bench",%s}}`, action, body(i))
	}
	return `{"TransactItems":[` + strings.Join(actions, ",") + `]}`
}

// BenchmarkHandler is the edge and a node in memory without a network between:
// what a request costs beyond HTTP and disk.
func BenchmarkHandler(b *testing.B) {
	h := newTestHandler(b, Config{})
	w := post(h, "DynamoDB_20120810.CreateTable", "", `{"TableName":"bench","BillingMode":"PAY_PER_REQUEST",
		"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"sk","KeyType":"RANGE"}],
		"AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"},{"AttributeName":"sk","AttributeType":"N"}]}`)
	if w.Code != http.StatusOK {
		b.Fatal(w.Body)
	}
	waitFor(b, h.cfg.Regions[testRegion], "bench", false)
	// Items of about 100 bytes, for reads of many.
	keys := make([]string, 100)
	for i := range keys {
		item := fmt.Sprintf(`{"TableName":"bench","Item":{"pk":{"S":"small-key"},"sk":{"N":"%d"},"text":{"S":%q}}}`, i, strings.Repeat("q", 80))
		if w := post(h, "DynamoDB_20120810.PutItem", "", item); w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
		keys[i] = fmt.Sprintf(`{"pk":{"S":"small-key"},"sk":{"N":"%d"}}`, i)
	}
	payload := strings.Repeat("x", 900)
	put := func(i int) string {
		return fmt.Sprintf(`{"TableName":"bench","Item":{"pk":{"S":"a"},"sk":{"N":"%d"},"count":{"N":"17"},"data":{"S":%q}}}`, i%100, payload)
	}
	for i := range 100 {
		if w := post(h, "DynamoDB_20120810.PutItem", "", put(i)); w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
	// Reads first: a key that is written over and over leaves its old versions in
	// the memtable.
	for _, c := range []struct{ name, operation, body string }{
		{"GetItemEventual", "GetItem", `{"TableName":"bench","Key":{"pk":{"S":"a"},"sk":{"N":"7"}}}`},
		{"GetItemStrong", "GetItem", `{"TableName":"bench","Key":{"pk":{"S":"a"},"sk":{"N":"7"}},"ConsistentRead":true}`},
		{"Query10", "Query", `{"TableName":"bench","KeyConditionExpression":"pk = :p","Limit":10,"ExpressionAttributeValues":{":p":{"S":"a"}}}`},
		{"Query100", "Query", `{"TableName":"bench","KeyConditionExpression":"pk = :p","ExpressionAttributeValues":{":p":{"S":"small-key"}}}`},
		{"QueryProjected100", "Query", `{"TableName":"bench","KeyConditionExpression":"pk = :p","ProjectionExpression":"sk","ExpressionAttributeValues":{":p":{"S":"small-key"}}}`},
		{"QueryFiltered100", "Query", `{"TableName":"bench","KeyConditionExpression":"pk = :p","FilterExpression":"size(#t) > :n",` +
			`"ExpressionAttributeNames":{"#t":"text"},"ExpressionAttributeValues":{":p":{"S":"small-key"},":n":{"N":"10"}}}`},
		{"BatchGetItem100", "BatchGetItem", `{"RequestItems":{"bench":{"Keys":[` + strings.Join(keys, ",") + `]}}}`},
		{"TransactGetItems25", "TransactGetItems", transact(25, "Get", func(i int) string { return `"Key":` + keys[i] })},
		{"TransactWriteItems3", "TransactWriteItems", transact(3, "Put", func(i int) string {
			return fmt.Sprintf(`"Item":{"pk":{"S":"transacted LANE"},"sk":{"N":"%d"},"text":{"S":%q}}`, i, strings.Repeat("t", 300))
		})},
		{"PutItem1KB", "PutItem", put(7)},
		{"UpdateItem", "UpdateItem", `{"TableName":"bench","Key":{"pk":{"S":"a"},"sk":{"N":"7"}},"UpdateExpression":"SET #c = #c + :one",` +
			`"ExpressionAttributeNames":{"#c":"count"},"ExpressionAttributeValues":{":one":{"N":"1"}}}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var lanes atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				// Transactions of one item would refuse one another.
				body := []byte(strings.ReplaceAll(c.body, "LANE", strconv.FormatInt(lanes.Add(1), 10)))
				header := http.Header{"Content-Type": {"application/x-amz-json-1.0"}, "X-Amz-Target": {"DynamoDB_20120810." + c.operation}}
				for pb.Next() {
					r := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: "/"}, Header: header, ContentLength: int64(len(body)),
						Body: io.NopCloser(bytes.NewReader(body))}
					w := sink{header: http.Header{}}
					h.ServeHTTP(&w, r.WithContext(b.Context()))
					if w.status != http.StatusOK {
						b.Fatalf("status %d", w.status)
					}
				}
			})
		})
	}
}
