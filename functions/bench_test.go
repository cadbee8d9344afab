package functions

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
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
		{"PutItem1KB", "PutItem", put(7)},
		{"UpdateItem", "UpdateItem", `{"TableName":"bench","Key":{"pk":{"S":"a"},"sk":{"N":"7"}},"UpdateExpression":"SET #c = #c + :one",` +
			`"ExpressionAttributeNames":{"#c":"count"},"ExpressionAttributeValues":{":one":{"N":"1"}}}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				body := []byte(c.body)
				header := http.Header{"X-Amz-Target": {"DynamoDB_20120810." + c.operation}}
				for pb.Next() {
					r := &http.Request{Method: http.MethodPost, Header: header, ContentLength: int64(len(body)),
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
