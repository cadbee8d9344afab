package functions

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// mustCall runs an operation and decodes its answer, which must be a success.
func mustCall(t testing.TB, h *Handler, operation string, in map[string]any) map[string]any {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	w := post(h, "DynamoDB_20120810."+operation, "", string(body))
	if w.Code != http.StatusOK {
		t.Fatalf("%s %s: %d %s", operation, body, w.Code, w.Body)
	}
	out := map[string]any{}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatalf("%s: %v", operation, err)
		}
	}
	return out
}

func attribute(kind, value string) map[string]any { return map[string]any{kind: value} }

// newPagingTable makes a table of several partitions with a local index, and
// fills it: 8 collections of 25 items. Sizes differ, so that pages end in
// different places.
func newPagingTable(t testing.TB, h *Handler) {
	t.Helper()
	mustCall(t, h, "CreateTable", map[string]any{
		"TableName": "paging", "BillingMode": "PAY_PER_REQUEST",
		"KeySchema": []any{
			map[string]any{"AttributeName": "pk", "KeyType": "HASH"}, map[string]any{"AttributeName": "sk", "KeyType": "RANGE"},
		},
		"AttributeDefinitions": []any{
			map[string]any{"AttributeName": "pk", "AttributeType": "S"}, map[string]any{"AttributeName": "sk", "AttributeType": "N"},
			map[string]any{"AttributeName": "lk", "AttributeType": "S"},
		},
		"LocalSecondaryIndexes": []any{map[string]any{
			"IndexName": "local", "Projection": map[string]any{"ProjectionType": "KEYS_ONLY"},
			"KeySchema": []any{
				map[string]any{"AttributeName": "pk", "KeyType": "HASH"}, map[string]any{"AttributeName": "lk", "KeyType": "RANGE"},
			},
		}},
	})
	waitFor(t, h.cfg.Regions[testRegion], "paging", false)
	random := rand.New(rand.NewPCG(1, 2))
	for p := range 8 {
		var puts []any
		for s := range 25 {
			puts = append(puts, map[string]any{"PutRequest": map[string]any{"Item": map[string]any{
				"pk": attribute("S", fmt.Sprint("p", p)), "sk": attribute("N", fmt.Sprint(s-12)),
				"lk": attribute("S", fmt.Sprint(random.IntN(5))), "filler": attribute("S", strings.Repeat("x", random.IntN(2500))),
			}}})
		}
		mustCall(t, h, "BatchWriteItem", map[string]any{"RequestItems": map[string]any{"paging": puts}})
	}
}

// readAll follows LastEvaluatedKey to the end and returns the items' keys in
// the order in which they came.
func readAll(t *rapid.T, h *Handler, operation string, in map[string]any) []string {
	var keys []string
	scanned, counted := 0, 0
	for range 10000 {
		body, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		w := post(h, "DynamoDB_20120810."+operation, "", string(body))
		var page struct {
			Items               []map[string]map[string]string
			Count, ScannedCount int
			LastEvaluatedKey    map[string]any
		}
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%s %s: %d %s", operation, body, w.Code, w.Body)
		}
		if limit := h.cfg.MaxResponseBytes; limit > 0 && w.Body.Len() > limit && page.ScannedCount > 1 {
			t.Fatalf("an answer of %d bytes, %d allowed", w.Body.Len(), limit)
		}
		if page.Count != len(page.Items) {
			t.Fatalf("Count is %d of %d items", page.Count, len(page.Items))
		}
		for _, it := range page.Items {
			keys = append(keys, it["pk"]["S"]+"/"+it["sk"]["N"])
		}
		scanned, counted = scanned+page.ScannedCount, counted+page.Count
		if page.LastEvaluatedKey == nil {
			if scanned != counted && in["FilterExpression"] == nil {
				t.Fatalf("scanned %d, counted %d, without a filter", scanned, counted)
			}
			return keys
		}
		in = maps.Clone(in)
		in["ExclusiveStartKey"] = page.LastEvaluatedKey
	}
	t.Fatal("the pages do not end")
	return nil
}

// However it is cut into pages and segments, a Scan sees each item once; a Query
// sees its collection in order, forwards and backwards.
func TestPagesMissAndRepeatNothing(t *testing.T) {
	h := newTestHandler(t, Config{Partitions: 5})
	newPagingTable(t, h)
	bounded := *h
	bounded.cfg.MaxResponseBytes = 8000
	rapid.Check(t, func(t *rapid.T) {
		h := h
		in := map[string]any{"TableName": "paging", "ProjectionExpression": "pk, sk, filler"}
		if rapid.Bool().Draw(t, "bounded") {
			h = &bounded
		}
		if rapid.Bool().Draw(t, "limited") {
			in["Limit"] = rapid.IntRange(1, 60).Draw(t, "limit")
		}
		if rapid.Bool().Draw(t, "index") {
			in["IndexName"] = "local"
		}
		in["ConsistentRead"] = rapid.Bool().Draw(t, "consistent")
		if rapid.Bool().Draw(t, "query") {
			checkQuery(t, h, in)
		} else {
			checkScan(t, h, in)
		}
	})
}

func checkScan(t *rapid.T, h *Handler, in map[string]any) {
	var keys []string
	total := rapid.IntRange(1, 9).Draw(t, "segments")
	for segment := range total {
		in := maps.Clone(in)
		if total > 1 {
			in["Segment"], in["TotalSegments"] = segment, total
		}
		keys = append(keys, readAll(t, h, "Scan", in)...)
	}
	slices.Sort(keys)
	if n := len(slices.Compact(keys)); n != 200 || len(keys) != 200 {
		t.Fatalf("%d keys, %d of them different, want 200", len(keys), n)
	}
}

func checkQuery(t *rapid.T, h *Handler, in map[string]any) {
	in["KeyConditionExpression"] = "pk = :p"
	in["ExpressionAttributeValues"] = map[string]any{":p": attribute("S", fmt.Sprint("p", rapid.IntRange(0, 7).Draw(t, "pk")))}
	forward := readAll(t, h, "Query", in)
	if len(forward) != 25 {
		t.Fatalf("%d items, want 25", len(forward))
	}
	if in["IndexName"] == nil {
		for i, key := range forward {
			if want := fmt.Sprint("/", i-12); !strings.HasSuffix(key, want) {
				t.Fatalf("item %d is %s", i, key)
			}
		}
	}
	in["ScanIndexForward"] = false
	backward := readAll(t, h, "Query", in)
	slices.Reverse(backward)
	if !slices.Equal(forward, backward) {
		t.Fatalf("forwards  %v\nbackwards %v", forward, backward)
	}
}

// A batch that does not fit the answer comes back in parts, each key once.
func TestBatchGetFitsTheAnswer(t *testing.T) {
	h := newTestHandler(t, Config{Partitions: 3, MaxResponseBytes: 8000})
	newPagingTable(t, h)
	var keys []any
	for s := range 25 {
		keys = append(keys, map[string]any{"pk": attribute("S", "p3"), "sk": attribute("N", fmt.Sprint(s-12))})
	}
	seen := map[string]int{}
	request := map[string]any{"paging": map[string]any{"Keys": keys, "ConsistentRead": true}}
	rounds := 0
	for ; len(request) > 0; rounds++ {
		out := mustCall(t, h, "BatchGetItem", map[string]any{"RequestItems": request})
		for _, it := range out["Responses"].(map[string]any)["paging"].([]any) {
			seen[it.(map[string]any)["sk"].(map[string]any)["N"].(string)]++
		}
		request = out["UnprocessedKeys"].(map[string]any)
		if len(request) > 0 && request["paging"].(map[string]any)["ConsistentRead"] != true {
			t.Fatalf("unprocessed keys without their options: %v", request)
		}
	}
	if len(seen) != 25 || rounds < 2 {
		t.Errorf("%d items in %d rounds, want 25 in several", len(seen), rounds)
	}
	for key, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", key, n)
		}
	}
}
